"""Draws networks: few sites, for what fails in an overlay fails among few, and quickly.

Lines lose nothing of their own: what is lost is lost to faults, so that nothing has to
be forgiven when they are over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from patronus.engine.units import MS
from patronus.sim.fuzzing.dice import Dice
from patronus.sim.scenario import (
    ControlSpec,
    DestinationSpec,
    GroupSpec,
    LinkProfile,
    Mesh,
    SiteSpec,
    TopologySpec,
    TransportSpec,
)

MBPS: Final = 1_000_000

SITES: Final = (3, 10)
"""Fewest and most, where no number is asked for; half of the networks are of the least sizes."""

_MAPS: Final = ("map:abilene", "map:att")
_PROVIDERS: Final = ("ring:4", "ring:7", "mesh:4", "star:5", "geo:8", *_MAPS)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The parts of a scenario that are its network."""

    topology: TopologySpec
    transports: tuple[TransportSpec, ...]
    groups: tuple[GroupSpec, ...]
    destinations: tuple[DestinationSpec, ...]
    control: ControlSpec

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites."""
        return tuple(site.name for site in self.topology.sites)

    @property
    def hubs(self) -> tuple[str, ...]:
        """Names of the hubs."""
        return tuple(site.name for site in self.topology.sites if site.hub)


def network(dice: Dice, sites: int | None = None) -> Drawn:
    """Draw a network; ``sites``: a full mesh of so many over two transports."""
    if sites is None:
        transports = _transports(dice.apart("transports"), dice.between(2, 3))
        spec = _topology(dice, dice.scale(*SITES), [t.name for t in transports])
    else:
        transports = _transports(dice.apart("transports"), 2)
        names = [f"s{n}" for n in range(1, sites + 1)]
        spec = TopologySpec(mesh=Mesh.FULL, sites=tuple(SiteSpec(name) for name in names))
    control = ControlSpec(dice.between(5, 120) * MS, dice.between(0, 40) * MS)
    groups = _groups(dice.apart("groups"), spec, [t.name for t in transports])
    return Drawn(spec, transports, groups, _shared(dice.apart("shared"), spec), control)


def _shared(dice: Dice, spec: TopologySpec) -> tuple[DestinationSpec, ...]:
    """Draw destinations with several homes: the hubs, or any sites in any order."""
    hubs = tuple(site.name for site in spec.sites if site.hub)
    found = [DestinationSpec("internet", hubs)] if len(hubs) > 1 and dice.percent(60) else []
    if dice.percent(60):
        homes = dice.some([site.name for site in spec.sites], dice.between(2, 3))
        found.append(DestinationSpec("cloud", homes[::-1] if dice.percent(50) else homes))
    return tuple(found)


def _topology(dice: Dice, count: int, transports: Sequence[str]) -> TopologySpec:
    mesh = dice.one((Mesh.FULL, Mesh.HUBS, Mesh.HUBS, Mesh.PARTIAL))
    hubs = dice.between(1, min(3, count - 1)) if mesh is Mesh.HUBS or dice.percent(60) else 0
    names = [f"hub{n}" for n in range(1, hubs + 1)]
    names += [f"s{n}" for n in range(1, count - hubs + 1)]
    # Over each of its transports a site has somebody at the other end: the network is one, and
    # no fault is about nothing.
    whole = count if mesh is Mesh.PARTIAL else max(hubs, 1)
    return TopologySpec(
        mesh=mesh,
        sites=tuple(
            SiteSpec(name, hub=place < hubs, transports=_attached(dice, transports, place < whole))
            for place, name in enumerate(names)
        ),
        degree=dice.between(2, 4) if mesh is Mesh.PARTIAL else 4,
    )


def _attached(dice: Dice, transports: Sequence[str], whole: bool) -> tuple[str, ...]:
    """Return the transports of a site; empty: all of them. Most have all."""
    if whole or dice.percent(80):
        return ()
    return dice.some(transports, len(transports) - 1)


def _transports(dice: Dice, count: int) -> tuple[TransportSpec, ...]:
    names = ("mpls", "broadband", "lte")[:count]
    # On one map the cables of several carriers lie in one trench, and which tunnels share one
    # changes with their routes.
    same = dice.one(_MAPS) if dice.percent(40) else ""
    # Where delays tremble figures move all the time, and each time entries are looked at anew:
    # what somebody forgot to look at is found out only where they do not.
    calm = dice.percent(50)
    return tuple(_transport(dice.apart(name), name, same, calm=calm) for name in names)


def _transport(dice: Dice, name: str, provider: str, *, calm: bool) -> TransportSpec:
    access = LinkProfile(
        delay_ns=dice.scale(1, 40) * MS,
        jitter_ns=0 if calm else dice.scale(1, 8) * MS // 2,
        rate_bps=dice.scale(20, 200) * MBPS,
        buffer_ns=dice.scale(20, 200) * MS,
    )
    core = LinkProfile(jitter_ns=0 if calm else dice.between(0, 2) * MS // 2)
    reroute_ns = dice.scale(100, 2_000) * MS
    return TransportSpec(
        name, access, access, core, provider=provider or dice.one(_PROVIDERS), reroute_ns=reroute_ns
    )


def _groups(dice: Dice, spec: TopologySpec, transports: Sequence[str]) -> tuple[GroupSpec, ...]:
    """Draw ducts: access links of one site or of two that lie in one trench."""
    found = []
    for number in range(1, dice.between(0, 3) + 1):
        sites = dice.some(spec.sites, dice.between(1, 2))
        links = [
            f"access:{site.name}:{transport}"
            for site in sites
            for transport in dice.some(site.transports or transports, 2)
        ]
        found.append(GroupSpec(f"duct{number}", tuple(links)))
    return tuple(found)
