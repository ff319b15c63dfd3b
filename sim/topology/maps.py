"""Maps of real providers: cities and the cables between them.

Three ways to name one:

    abilene, map:abilene       shipped with Patronus, see ``sim/maps``
    topohub:topozoo/Abilene    any of the topohub package (``pip install patronus[maps]``)

Some maps of topohub lie in a plane instead of on the Earth (drawn reference
networks, Gabriel graphs). One unit of their plane is taken as one kilometre, as
topohub does, and the plane is laid around 0° N 0° E, where a degree of longitude
is as long as one of latitude.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import count
from typing import Any, Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.sim.topology.parts import check_connected
from patronus.sim.topology.unknown import unknown

NODES_MAX: Final = 1000
"""Routes are kept for every pair of nodes: the table of a larger map would not fit."""

TOPOHUB: Final = "topohub:"
SHIPPED: Final = "map:"
DEGREE: Final = 1_000_000
"""In micro-degrees."""
KILOMETRE: Final = 8993
"""On the equator, in micro-degrees."""

Place = tuple[int, int]
"""Latitude and longitude in micro-degrees."""


@dataclass(frozen=True, slots=True)
class Map:
    """A connected graph of named places.

    Raises:
        ValueError: it has no nodes or too many, a name twice, a place that is not on
            the Earth, a link twice or to nowhere, or parts that are not connected.
    """

    name: str
    source: str
    """Who published it, and what was changed."""
    licence: str
    nodes: tuple[str, ...]
    places: tuple[Place, ...]
    links: tuple[tuple[int, int], ...]
    """Cables, each once, by the positions of their two nodes."""
    drawn: bool = False
    """Generated: two of one name are still two networks."""

    def __post_init__(self) -> None:
        """Check all that the generators rely on."""
        if not 1 <= len(self.nodes) <= NODES_MAX:
            raise ValueError(f"{self.name} has {len(self.nodes)} nodes, not 1 to {NODES_MAX}")
        twice = [name for name, times in Counter(self.nodes).items() if times > 1]
        if twice:
            raise ValueError(f"{self.name} has two nodes called {twice[0]!r}")
        for node, (latitude, longitude) in zip(self.nodes, self.places, strict=True):
            if abs(latitude) > 90 * DEGREE or abs(longitude) > 180 * DEGREE:
                raise ValueError(f"{self.name}: {node} does not lie on the Earth")
        known = range(len(self.nodes))
        if any(a == b or a not in known or b not in known for a, b in self.links):
            raise ValueError(f"{self.name}: a link must join two different nodes of the map")
        if len({frozenset(link) for link in self.links}) < len(self.links):
            raise ValueError(f"{self.name}: a link is there twice")
        check_connected(self.name, self.nodes, self.ends)

    @property
    def position(self) -> I64:
        """Latitude and longitude of each node in micro-degrees, shape (nodes, 2)."""
        return np.array(self.places, dtype=np.int64)

    @property
    def ends(self) -> I64:
        """The nodes that each cable joins, shape (links, 2)."""
        return np.array(self.links, dtype=np.int64).reshape(-1, 2)


def shipped_maps() -> list[str]:
    """Return the names of the shipped maps, sorted."""
    return sorted(file.name.removesuffix(".json") for file in _shipped() if _is_map(file))


def topohub_maps() -> list[str]:
    """Return the names of all maps of the topohub package, sorted; none without the package."""
    try:
        return sorted(f"{TOPOHUB}{key}" for key in _topohub_keys())
    except ModuleNotFoundError:
        return []


@cache
def load_map(name: str) -> Map:
    """Return a map by name; see the top of this file for the three ways.

    Raises:
        ValueError: there is no such map (with the nearest name), or its package is missing.
    """
    if name.startswith(TOPOHUB):
        return _load_topohub(name)
    bare = name.removeprefix(SHIPPED)
    if bare not in shipped_maps():
        raise unknown("maps", "map", bare, shipped_maps())
    file = resources.files("patronus.sim") / "maps" / f"{bare}.json"
    return map_of(json.loads(file.read_text(encoding="utf-8")))


def map_of(data: Mapping[str, Any]) -> Map:
    """Build a map from our JSON: {name, source, licence, nodes: [{name, lat, lon}], links}.

    Coordinates are degrees, links pairs of node names.
    """
    names = tuple(node["name"] for node in data["nodes"])
    places = tuple((micro(node["lat"]), micro(node["lon"])) for node in data["nodes"])
    position = {name: i for i, name in enumerate(names)}
    links = tuple((position[a], position[b]) for a, b in data["links"])
    return Map(data["name"], data["source"], data["licence"], names, places, links)


def micro(degrees: float) -> int:
    """Return degrees, as people write them, in micro-degrees."""
    return round(degrees * DEGREE)


def _load_topohub(name: str) -> Map:
    key = name.removeprefix(TOPOHUB)
    try:
        known = _topohub_keys()
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the map `{name}` needs the topohub package: pip install 'patronus[maps]'"
        ) from error
    if key not in known:
        raise unknown("topohub", "map", name, topohub_maps())
    return from_topohub(name, json.loads(known[key].read_text(encoding="utf-8")))


def from_topohub(name: str, data: Mapping[str, Any]) -> Map:
    """Build a map from topohub's node-link form; parallel cables become one."""
    nodes: Sequence[Mapping[str, Any]] = data["nodes"]
    position = {node["id"]: i for i, node in enumerate(nodes)}
    ends = ((position[edge["source"]], position[edge["target"]]) for edge in data["edges"])
    links = dict.fromkeys((min(pair), max(pair)) for pair in ends if pair[0] != pair[1])
    places = _plane(nodes) if _is_plane(data) else [_place(node) for node in nodes]
    source = "topohub package, https://www.topohub.org"
    terms = "see https://www.topohub.org: each collection keeps its authors' terms"
    return Map(name, source, terms, _distinct(nodes), tuple(places), tuple(links))


def _is_plane(data: Mapping[str, Any]) -> bool:
    # Drawn maps leave the range of degrees, or topohub's length of a cable (kilometres on the
    # Earth) is the plain distance of its coordinates.
    position = {node["id"]: node["pos"] for node in data["nodes"]}
    if any(abs(x) > 180 or abs(y) > 90 for x, y in position.values()):
        return True
    square = length = 0
    for edge in data["edges"]:
        (x, y), (u, v) = position[edge["source"]], position[edge["target"]]
        square, length = square + (x - u) ** 2 + (y - v) ** 2, length + edge["dist"] ** 2
    return bool(length < 4 * square)


def _place(node: Mapping[str, Any]) -> Place:
    longitude, latitude = node["pos"]
    return micro(latitude), micro(longitude)


def _plane(nodes: Sequence[Mapping[str, Any]]) -> list[Place]:
    xs, ys = [node["pos"][0] for node in nodes], [node["pos"][1] for node in nodes]
    x, y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    return [
        (round((node["pos"][1] - y) * KILOMETRE), round((node["pos"][0] - x) * KILOMETRE))
        for node in nodes
    ]


def _distinct(nodes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    # Some nodes have no name, some share one: those get a number behind it.
    plain = [" ".join(str(node.get("name") or f"node {node['id']}").split()) for node in nodes]
    taken, names = set(plain), list[str]()
    for name in plain:
        numbered = (f"{name} {number}" for number in count(2))
        free = name if name not in names else next(n for n in numbered if n not in taken)
        taken.add(free)
        names.append(free)
    return tuple(names)


def _shipped() -> Iterable[Traversable]:
    return (resources.files("patronus.sim") / "maps").iterdir()


def _is_map(file: Traversable) -> bool:
    return file.name.endswith(".json")


@cache
def _topohub_keys() -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}

    def walk(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                walk(entry, f"{prefix}{entry.name}/")
            elif _is_map(entry):
                found[prefix + entry.name.removesuffix(".json")] = entry

    walk(resources.files("topohub") / "data", "")
    return found
