"""Shared-risk groups: links that one event takes together.

Besides the scenario's own there are groups that follow from the maps: where
several transports use the same map, their cables between the same two cities lie
in one duct, ``conduit:CityA-CityB``.
"""

from collections.abc import Mapping, Sequence

from patronus.sim.scenario import GroupSpec
from patronus.sim.topology.links import cables
from patronus.sim.topology.maps import Map
from patronus.sim.topology.unknown import unknown
from patronus.sim.underlay import Underlay

Groups = dict[str, tuple[int, ...]]


def conduits(charts: Mapping[int, Map], first_link: Sequence[int]) -> Groups:
    """Return the directed links that share a duct, by name.

    Args:
        charts: the map of each transport that has one.
        first_link: directed index of each transport's first provider cable.
    """
    users: dict[str, list[int]] = {}
    for transport, chart in charts.items():
        if not chart.drawn:
            users.setdefault(chart.name, []).append(transport)
    groups: dict[str, list[int]] = {}
    for transports in users.values():
        for transport in transports if len(transports) > 1 else ():
            chart = charts[transport]
            for i, (a, b) in enumerate(chart.links):
                forth = first_link[transport] + 2 * i
                name = "-".join(sorted((chart.nodes[a], chart.nodes[b])))
                groups.setdefault(f"conduit:{name}", []).extend((forth, forth + 1))
    return {name: tuple(sorted(members)) for name, members in sorted(groups.items())}


def resolve_groups(specs: Sequence[GroupSpec], underlay: Underlay) -> Groups:
    """Return the directed links of the scenario's groups; a cable means both directions.

    Raises:
        ValueError: a group without links, one name for two groups, or an unknown link.
    """
    known = cables(underlay) if specs else {}
    groups: Groups = {}
    for spec in specs:
        if spec.name in groups or spec.name in underlay.groups:
            raise ValueError(f"two shared-risk groups are called `{spec.name}`")
        if not spec.links:
            raise ValueError(f"the shared-risk group `{spec.name}` has no links")
        for link in spec.links:
            if link not in known:
                raise unknown(f"group `{spec.name}`", "link", link, known)
        groups[spec.name] = tuple(sorted({i for link in spec.links for i in known[link]}))
    return groups
