"""The provider graph of a transport: a real map, or one that is generated.

    map:NAME, topohub:KEY   a map, see ``maps``
    ring:N   8 nodes        two disjoint routes everywhere
    mesh:N   8 nodes        a cable between any two
    star:N   9 nodes        one route: the middle is a single point of failure
    geo:N    16 nodes       two routes everywhere, short cables: two spanning trees

Where the scenario has a map, generated nodes are cities of that map, drawn by the
transport's name; else they are ``pop1`` … at drawn places. No node follows from
the sites, so a further site changes no provider.
"""

from typing import Final

import numpy as np

from patronus.engine.fingerprint import U64, combine
from patronus.engine.overlay import I64
from patronus.sim.topology.land import Land, keys
from patronus.sim.topology.maps import (
    NODES_MAX,
    SHIPPED,
    TOPOHUB,
    Map,
    Place,
    load_map,
    shipped_maps,
)
from patronus.sim.topology.sphere import chords, vectors
from patronus.sim.topology.unknown import unknown

SIZES: Final = {"ring": (8, 3, NODES_MAX), "mesh": (8, 2, 200), "star": (9, 2, NODES_MAX)}
SIZES["geo"] = (16, 3, 500)
"""Nodes of each kind: usual, fewest, most."""


def carrier(provider: str, transport: str, land: Land) -> Map:
    """Return the provider graph of a transport.

    Raises:
        ValueError: an unknown kind or map, or a size that makes no such graph.
    """
    kind, _, size = provider.partition(":")
    if provider.startswith((SHIPPED, TOPOHUB)) or (
        provider not in SIZES and provider in shipped_maps()
    ):
        return load_map(provider)
    if kind not in SIZES:
        known = [*SIZES, f"{SHIPPED}…", f"{TOPOHUB}…", *shipped_maps()]
        raise unknown(f"transport `{transport}`", "provider", provider, known)
    names, places = _nodes(_size(kind, size, provider), transport, land)
    if len(names) < SIZES[kind][1]:
        raise ValueError(f"provider `{provider}`: the map has only {len(names)} cities for it")
    position = np.array(places, dtype=np.int64)
    ends = {"ring": ring, "mesh": mesh, "star": star, "geo": two_trees}[kind](position, keys(names))
    links = tuple((a, b) for a, b in np.sort(ends, axis=1).tolist())
    return Map(provider, "generated", "", names, places, links, drawn=True)


def _size(kind: str, size: str, provider: str) -> int:
    usual, least, most = SIZES[kind]
    if size and (not size.isdecimal() or not least <= int(size[:9]) <= most):
        raise ValueError(f"provider `{provider}`: `{kind}` takes {least} to {most} nodes")
    return int(size[:9] or usual)


def _nodes(size: int, transport: str, land: Land) -> tuple[tuple[str, ...], tuple[Place, ...]]:
    if land.cities is None:
        names = tuple(f"pop{i + 1}" for i in range(size))
        drawn = land.scatter(f"pop-{transport}", names).tolist()
        return names, tuple((a, b) for a, b in drawn)
    cities = land.cities
    size = min(size, len(cities.nodes))
    order = sorted(land.ranking(f"pop-{transport}", cities.nodes)[:size].tolist())
    return tuple(cities.nodes[i] for i in order), tuple(cities.places[i] for i in order)


def ring(position: I64, key: U64) -> I64:
    """Return a ring whose cables do not cross, shape (n, 2).

    Nodes above the line from the first to the last one (by longitude) are visited on the
    way there, the others on the way back.
    """
    order = np.lexsort((key, position[:, 0], position[:, 1]))
    (y, x), (dy, dx) = position[order[0]], position[order[-1]] - position[order[0]]
    above = dx * (position[order, 0] - y) - dy * (position[order, 1] - x) > 0
    above[[0, -1]] = True, False
    tour = np.concatenate([order[above], order[~above][::-1]])
    return np.stack([tour, np.roll(tour, -1)], axis=1)


def mesh(position: I64, key: U64) -> I64:
    """Return a cable between any two nodes."""
    return np.stack(np.triu_indices(len(key), 1), axis=1)


def star(position: I64, key: U64) -> I64:
    """Return a cable from the node nearest to all others to each of them."""
    vector = vectors(position)
    total = (chords(vector[:, None], vector[None]) >> 12).sum(axis=1)
    middle = np.lexsort((key, total))[0]
    others = np.setdiff1d(np.arange(len(key)), middle)
    return np.stack([np.full(len(others), middle), others], axis=1)


def two_trees(position: I64, key: U64) -> I64:
    """Return a shortest spanning tree, and a shortest one of the cables left over.

    Any cut of the nodes is crossed by both trees, so no cable is a single point of failure.
    (If the first is a star, its middle is missing in the second: then a cut is crossed by
    one of its rays for each leaf, which is as good.)
    """
    ends = mesh(position, key)
    vector = vectors(position)
    chord = chords(vector[ends[:, 0]], vector[ends[:, 1]])
    low, high = np.sort(key[ends], axis=1).T
    ends = ends[np.lexsort((combine(low, high), chord))]
    first = _spanning(ends, len(key))
    second = _spanning(ends[~first], len(key))
    return np.concatenate([ends[first], ends[~first][second]])


def _spanning(ends: I64, nodes: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    # Kruskal's algorithm: the shortest cable that joins two parts, until one part is left.
    part, taken = list(range(nodes)), np.zeros(len(ends), dtype=np.bool_)

    def root(node: int) -> int:
        while part[node] != node:
            part[node] = part[part[node]]
            node = part[node]
        return node

    for i, (a, b) in enumerate(ends.tolist()):
        if (one := root(a)) != (other := root(b)):
            part[one] = other
            taken[i] = True
    return taken
