"""Which objects a fault hits: a set by name, then how many of it.

The set is resolved to *targets*: a cable, a whole group, a whole provider, or a
site. ``mode`` counts targets. Which of them are taken is decided by a word keyed
by the fault's and the target's names, highest first: another site or another
fault changes the choice only where it wins itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from patronus.engine.fingerprint import name_key
from patronus.engine.overlay import Overlay
from patronus.engine.units import PPM
from patronus.sim.faults.kinds import Target, kind_of
from patronus.sim.luck import Bools, object_keys, words
from patronus.sim.patterns import NoMatchError, find, listed, site_sets
from patronus.sim.scenario import Direction, FaultKind, FaultSpec, Scenario, Selector
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
    links: tuple[int, ...] = ()
    """Directed links, both directions of each cable."""
    site: int = -1


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
        # A cable named twice is one target.
        return list({hit.name: hit for part in parts for hit in part}.values())

    def _access(self) -> Iterable[Hit]:
        sites = find(self.selector.sites or ["*"], self.overlay.sites, "site", self.sets)
        transports = _transports(self.selector, self.overlay)
        for site in sites:
            for transport in transports:
                up = int(self.underlay.up[site, transport])
                if up >= 0:
                    yield self._cable(up)

    def _cable(self, link: int) -> Hit:
        first = link - link % 2
        return Hit(self.underlay.links.names[first], (first, first + 1))

    def _links(self) -> Iterable[Hit]:
        names = self.underlay.links.names[::2]
        provided = [i for i, name in enumerate(names) if not name.startswith("access:")]
        # Unless a word asks for access links it means those of providers.
        for word in self.selector.links:
            pool = range(len(names)) if word.startswith("access:") else provided
            for i in find([word], [names[i] for i in pool], "link"):
                yield self._cable(2 * pool[i])

    def _groups(self) -> Iterable[Hit]:
        names = tuple(self.underlay.groups)
        for i in find(self.selector.groups, names, "group"):
            yield Hit(f"group:{names[i]}", tuple(sorted(self.underlay.groups[names[i]])))

    def _providers(self, *, whole: bool) -> Iterable[Hit]:
        names = [self.overlay.transports[p.transport] for p in self.underlay.providers]
        for i in find(self.selector.providers, names, "provider"):
            provider = self.underlay.providers[i]
            first = provider.first_link
            links = set(range(first, first + 2 * len(provider.ends)))
            if whole:
                links.update(self._attached(provider.transport))
            yield Hit(f"provider:{names[i]}", tuple(sorted(links)))

    def _attached(self, transport: int) -> Iterable[int]:
        for ends in (self.underlay.up, self.underlay.down):
            yield from (int(link) for link in ends[:, transport] if link >= 0)


def _transports(selector: Selector, overlay: Overlay) -> tuple[int, ...]:
    return find(selector.transports or ["*"], overlay.transports, "transport")


def outward(underlay: Underlay) -> Bools:
    """Return which directed links lead up from a site, or from the first end of a cable."""
    out: Bools = np.arange(len(underlay.links.names)) % 2 == 0
    out[underlay.up[underlay.up >= 0]] = True
    out[underlay.down[underlay.down >= 0]] = False
    return out


def directed(hits: Iterable[Hit], direction: Direction, out: Bools) -> tuple[int, ...]:
    """Return the links of targets in one direction, ascending; ``out`` is :func:`outward`."""
    links = np.array(sorted({link for hit in hits for link in hit.links}), dtype=np.int64)
    if direction is not Direction.BOTH:
        links = links[out[links] == (direction is Direction.OUT)]
    return tuple(links.tolist())


# ---------------------------------------------------------------- sites


def _sites(selector: Selector, scenario: Scenario, network: Network) -> list[Hit]:
    overlay, underlay = network.overlay, network.underlay
    sets = site_sets(scenario.topology, overlay)
    transports = list(_transports(selector, overlay))
    return [
        Hit(f"site:{overlay.sites[site]}", _access_links(site, underlay), site)
        for site in find(selector.sites or ["*"], overlay.sites, "site", sets)
        if not selector.transports or (underlay.up[site, transports] >= 0).any()
    ]


def _access_links(site: int, underlay: Underlay) -> tuple[int, ...]:
    both = np.concatenate([underlay.up[site], underlay.down[site]])
    return tuple(sorted(int(link) for link in both if link >= 0))


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
