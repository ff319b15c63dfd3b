"""The names that a scenario defines, as far as they can be known before it is built.

Generated sites are named here by the same rule as in ``patronus.sim.topology``
(a test holds the two together), so that the usual scenario needs no import of it;
the nodes of a map are asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from patronus.sim.language.build import topology
from patronus.sim.language.records import Rec
from patronus.sim.language.shapes import Reading
from patronus.sim.language.tree import ListNode, MapNode, Node


@dataclass(frozen=True, slots=True)
class Roster:
    """Names by what they name; None where they cannot be known."""

    sites: Mapping[str, bool] | None
    """In order, and whether each is a hub."""
    transports: tuple[str, ...] | None
    classes: tuple[str, ...] | None
    groups: tuple[str, ...]
    destinations: tuple[str, ...]


def roster(root: Rec, reading: Reading) -> Roster:
    """Return the names; an unknown map is noted as a mistake."""
    spec = root.get("topology")
    sites = _sites(spec, reading) if isinstance(spec, Rec) else None
    hubs = _hubs(spec, sites) if sites else frozenset()
    return Roster(
        None if sites is None else {name: name in hubs for name in sites},
        _keys(root.node.get("transports")),
        _classes(root),
        _keys(root.node.get("groups")) or (),
        _keys(root.node.get("destinations")) or (),
    )


def listed_sites(spec: Rec) -> tuple[Rec | str, ...]:
    """Return the sites that the file lists, each a name or a record."""
    sites = spec.get("sites")
    return sites if isinstance(sites, tuple) else ()


def site_name(site: Rec | str) -> str:
    """Return the name of a listed site, "" when it is broken."""
    return site if isinstance(site, str) else site.get("name", "")


def _sites(spec: Rec, reading: Reading) -> tuple[str, ...] | None:
    if any(spec.broken(key) for key in ("sites", "map", "hubs")):
        return None
    if isinstance(spec.get("sites"), tuple):
        given = listed_sites(spec)
        whole = spec.node.get("sites")
        complete = isinstance(whole, ListNode) and len(whole.items) == len(given)
        names = tuple(site_name(site) for site in given)
        return names if complete and all(names) else None
    if "map" in spec:
        return _on_map(spec, reading)
    count = spec.get("sites", 0)
    hubs = spec.get("hubs", 0)
    if not isinstance(hubs, int) or hubs > count:
        return None
    rest = "spoke" if hubs else "site"
    spokes = tuple(f"{rest}{n + 1}" for n in range(count - hubs))
    return (*(f"hub{n + 1}" for n in range(hubs)), *spokes)


def _on_map(spec: Rec, reading: Reading) -> tuple[str, ...] | None:
    from patronus.sim.topology.sites import site_names  # brings NumPy and the map

    try:
        return site_names(topology(spec))
    except ValueError as error:
        reading.wrong(spec.mark("map"), str(error), spec.fields["map"].shape.about)
        return None


def _hubs(spec: Rec, sites: tuple[str, ...]) -> frozenset[str]:
    hubs = spec.get("hubs", 0)
    marked = (s for s in listed_sites(spec) if isinstance(s, Rec) and s.get("hub"))
    named = frozenset(map(site_name, marked))
    return named or frozenset(sites[:hubs] if isinstance(hubs, int) else hubs)


def _classes(root: Rec) -> tuple[str, ...] | None:
    policy = root.node.get("policy")
    if policy is None:
        return ("default",)
    if not isinstance(policy, MapNode):
        return None
    return _keys(policy.get("classes")) if "classes" in policy.entries else ("default",)


def _keys(node: Node | None) -> tuple[str, ...] | None:
    if isinstance(node, MapNode):
        return tuple(node.entries)
    if isinstance(node, ListNode):
        return tuple(getattr(item, "text", "") for item in node.items)
    return None
