"""Which objects a fault hits: a set by name, then how many of it.

The set is resolved to *targets*: a cable, a whole group, a whole provider, or a
site. ``mode`` counts targets. Which of them are taken is decided by a word keyed
by the fault's and the target's names, highest first: another site or another
fault changes the choice only where it wins itself.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final, Protocol

import numpy as np

from patronus.engine.fingerprint import name_key
from patronus.engine.overlay import Overlay
from patronus.engine.units import PPM
from patronus.sim.faults.kinds import Target, kind_of
from patronus.sim.luck import object_keys, words
from patronus.sim.patterns import NoMatchError, find, listed, site_sets
from patronus.sim.scenario import Direction, FaultKind, FaultSpec, Scenario, Selector
from patronus.sim.topology.links import cables
from patronus.sim.underlay import Underlay


class Network(Protocol):
    """What faults and traffic need to know of a network."""

    @property
    def overlay(self) -> Overlay:
        """Sites and tunnels."""

    @property
    def underlay(self) -> Underlay:
        """Links beneath."""


class FaultError(ValueError):
    """A fault that cannot be compiled; the message names it and what to change."""

    def __init__(self, fault: FaultSpec, problem: str) -> None:
        super().__init__(f"fault {fault.name!r} ({fault.kind}): {problem}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Hit:
    """One target that a selector matches."""

    name: str
    out: tuple[int, ...] = ()
    """Directed links up from a site, or out of the first end of a provider's cable."""
    back: tuple[int, ...] = ()
    """The other directions."""
    site: int = -1

    @property
    def links(self) -> tuple[int, ...]:
        """Both directions, ascending."""
        return tuple(sorted(self.out + self.back))


def select(fault: FaultSpec, scenario: Scenario, network: Network, seed: int) -> tuple[Hit, ...]:
    """Return the targets of a fault, in order of their names' positions.

    Raises:
        FaultError: a word that matches nothing, a part of the selector that means nothing
            for this kind, or more targets asked for than there are.
    """
    _check(fault)
    try:
        if kind_of(fault).target is Target.LINKS:
            hits = _Cables(fault.select, scenario, network).hits(fault.kind)
        else:
            hits = _sites(fault.select, scenario, network)
    except NoMatchError as error:
        raise FaultError(fault, str(error)) from error
    if not hits:
        raise FaultError(fault, "none of the selected sites has any of the selected transports")
    return _choose(fault, hits, seed)


_PARTS: Final = ("sites", "transports", "links", "groups", "providers")


def _check(fault: FaultSpec) -> None:
    kind, selector = kind_of(fault), fault.select
    given = [part for part in _PARTS if getattr(selector, part)]
    allowed = [part for part in _PARTS if part in kind.selects]
    if not given:
        raise FaultError(fault, f"selects nothing (give one of {listed(allowed)})")
    for part in given:
        if part not in kind.selects:
            raise FaultError(fault, f"is not selected by {part} (but by {listed(allowed)})")
    if selector.direction is not Direction.BOTH and not kind.directed:
        raise FaultError(fault, "has no direction; a blackhole can be one-way")


# ---------------------------------------------------------------- links


class _Cables:
    """Resolves a selector to cables, groups and providers."""

    def __init__(self, selector: Selector, scenario: Scenario, network: Network) -> None:
        self.selector, self.overlay = selector, network.overlay
        self.underlay = network.underlay
        self.sets = site_sets(scenario.topology, network.overlay)

    def hits(self, kind: FaultKind) -> list[Hit]:
        parts: list[Iterable[Hit]] = []
        if self.selector.sites or self.selector.transports:
            parts.append(self._access())
        if self.selector.links:
            parts.append(self._links())
        if self.selector.groups:
            parts.append(self._groups())
        if self.selector.providers:
            parts.append(self._providers(whole=kind is FaultKind.PROVIDER_OUTAGE))
        # A cable named twice is one target, seen from the end that was named first.
        found: dict[str, Hit] = {}
        for hit in chain.from_iterable(parts):
            found.setdefault(hit.name, hit)
        return list(found.values())

    def _access(self) -> Iterable[Hit]:
        under, names = self.underlay, self.underlay.links.names
        sites = find(self.selector.sites or ["*"], self.overlay.sites, "site", self.sets)
        transports = _transports(self.selector, self.overlay)
        for site in sites:
            for transport in transports:
                up, down = int(under.up[site, transport]), int(under.down[site, transport])
                if up >= 0:
                    yield Hit(names[up], (up,), (down,))

    def _links(self) -> Iterable[Hit]:
        known = cables(self.underlay)
        for word in self.selector.links:
            # Unless a word asks for access links it means those of providers.
            access = word.startswith("access:")
            names = [name for name in known if access or not name.startswith("access:")]
            for i in find([word], names, "link"):
                out, back = known[names[i]]
                yield self._hit(self.underlay.links.names[out], (out, back), {out})

    def _groups(self) -> Iterable[Hit]:
        names = tuple(self.underlay.groups)
        for i in find(self.selector.groups, names, "group"):
            yield self._hit(f"group:{names[i]}", self.underlay.groups[names[i]])

    def _providers(self, *, whole: bool) -> Iterable[Hit]:
        names = [self.overlay.transports[p.transport] for p in self.underlay.providers]
        for i in find(self.selector.providers, names, "provider"):
            provider = self.underlay.providers[i]
            first = provider.first_link
            links = list(range(first, first + 2 * len(provider.ends)))
            if whole:
                links.extend(self._attached(provider.transport))
            yield self._hit(f"provider:{names[i]}", links)

    def _attached(self, transport: int) -> Iterable[int]:
        for ends in (self.underlay.up, self.underlay.down):
            yield from (int(link) for link in ends[:, transport] if link >= 0)

    def _hit(self, name: str, links: Iterable[int], out: Container[int] | None = None) -> Hit:
        out = self._outward if out is None else out
        return Hit(
            name,
            tuple(sorted(link for link in links if link in out)),
            tuple(sorted(link for link in links if link not in out)),
        )

    @cached_property
    def _outward(self) -> frozenset[int]:
        # The even link of a provider's cable leads out of its first end; in groups as well.
        even = set(range(0, len(self.underlay.links.names), 2))
        ups, downs = set(self.underlay.up.ravel()), set(self.underlay.down.ravel())
        return frozenset(int(link) for link in (even - downs) | ups)


def _transports(selector: Selector, overlay: Overlay) -> tuple[int, ...]:
    return find(selector.transports or ["*"], overlay.transports, "transport")


def directed(hits: Iterable[Hit], direction: Direction) -> tuple[int, ...]:
    """Return the links of targets in one direction, ascending, each once."""
    links = {
        Direction.OUT: [i for hit in hits for i in hit.out],
        Direction.IN: [i for hit in hits for i in hit.back],
        Direction.BOTH: [i for hit in hits for i in hit.links],
    }
    return tuple(sorted(set(links[direction])))


# ---------------------------------------------------------------- sites


def _sites(selector: Selector, scenario: Scenario, network: Network) -> list[Hit]:
    overlay, underlay = network.overlay, network.underlay
    sets = site_sets(scenario.topology, overlay)
    transports = list(_transports(selector, overlay))
    return [
        Hit(
            f"site:{overlay.sites[site]}",
            tuple(int(link) for link in underlay.up[site] if link >= 0),
            tuple(int(link) for link in underlay.down[site] if link >= 0),
            site,
        )
        for site in find(selector.sites or ["*"], overlay.sites, "site", sets)
        if not selector.transports or (underlay.up[site, transports] >= 0).any()
    ]


# ---------------------------------------------------------------- how many


def _choose(fault: FaultSpec, hits: Sequence[Hit], seed: int) -> tuple[Hit, ...]:
    wanted = _wanted(fault, len(hits))
    if not 0 < wanted <= len(hits):
        raise FaultError(fault, f"{wanted} of {len(hits)} matches cannot be taken")
    names = np.array([name_key(hit.name) for hit in hits], dtype=np.uint64)
    drawn = words(object_keys(seed, f"select/{fault.name}", names), 0).tolist()
    ranked = sorted(range(len(hits)), key=lambda i: (-drawn[i], hits[i].name))
    return tuple(hits[i] for i in sorted(ranked[:wanted]))


def _wanted(fault: FaultSpec, matches: int) -> int:
    amount = fault.select.amount
    match fault.select.mode:
        case "one":
            return 1
        case "all":
            return matches
        case "count":
            return amount
        case "percent":
            # To the nearest, but a share above zero takes something.
            return max(int(amount > 0), (matches * amount + PPM // 2) // PPM)
    raise FaultError(fault, f"mode {fault.select.mode!r} is none of one, all, count, percent")
