"""Which failures an overlay can have: every one is an ordinary fault of an ordinary scenario.

    link           a site's access cable is dead, and both of its ends see it
    transport      a site's attachment carries nothing, while its cable looks sound
    provider-link  a cable of a provider is dead; the provider routes around it
    provider       a whole transport is dead everywhere
    group          all cables of a shared-risk group are cut at once
    site           a site has lost its power

A failure's id is the name of its fault, made of names alone, so luck and ids stay the same
when other sites come or go.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from patronus.sim.faults.selectors import Network
from patronus.sim.scenario import FaultKind, FaultSpec, Scenario, Schedule, Selector


class FailureKind(StrEnum):
    """What fails."""

    LINK = "link"
    TRANSPORT = "transport"
    PROVIDER_LINK = "provider-link"
    PROVIDER = "provider"
    GROUP = "group"
    SITE = "site"
    PAIR = "pair"
    """Two of the others at the same instant."""


SINGLE: Final = tuple(kind for kind in FailureKind if kind is not FailureKind.PAIR)

_ACCESS: Final = "access:"
_ODD: Final = re.compile(r"[\s\x00-\x1f\x7f:>,*?\[\]#/\\+]")
_LONGEST: Final = 64
"""What names of faults may be made of, and their length: ``patronus.sim.language.names``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing, or a pair of things, that can fail."""

    id: str
    kind: FailureKind
    label: str
    """What fails, in words."""
    faults: Sequence[FaultSpec]
    """All begin at the same instant and are not undone."""


def singles(
    scenario: Scenario, network: Network, at_ns: int, only: Collection[FailureKind] = SINGLE
) -> list[Failure]:
    """Return every single failure of some kinds that an overlay can have, each id once.

    Args:
        scenario: names the shared-risk groups that can be named in files.
        network: where.
        at_ns: when each begins.
        only: kinds that are wanted.
    """
    found: list[Failure] = []
    taken: set[str] = set()
    for kind, parts, label, fault_kind, selector in _all(scenario, network):
        if kind in only:
            name = name_of((str(kind), *parts), taken)
            fault = FaultSpec(name, fault_kind, selector, Schedule(at_ns=at_ns))
            found.append(Failure(name, kind, label, (fault,)))
    return found


_Found = tuple[FailureKind, tuple[str, ...], str, FaultKind, Selector]


def _all(scenario: Scenario, network: Network) -> Iterator[_Found]:
    overlay, underlay = network.overlay, network.underlay
    for site, name in enumerate(overlay.sites):
        for number, transport in enumerate(overlay.transports):
            if underlay.up[site, number] < 0:
                continue
            where = Selector(sites=(name,), transports=(transport,))
            for kind, does in (
                (FailureKind.LINK, FaultKind.LINK_DOWN),
                (FailureKind.TRANSPORT, FaultKind.BLACKHOLE),
            ):
                yield kind, (name, transport), f"{transport} of {name}", does, where
    known = dict.fromkeys(underlay.links.names[::2])
    for cable in known:
        if not cable.startswith(_ACCESS):
            where = Selector(links=(cable,))
            yield FailureKind.PROVIDER_LINK, (cable,), cable, FaultKind.LINK_DOWN, where
    for transport in overlay.transports:
        where = Selector(providers=(transport,))
        yield (
            FailureKind.PROVIDER, (transport,), f"all of {transport}",
            FaultKind.PROVIDER_OUTAGE, where,
        )  # fmt: skip
    yield from _groups(scenario, network)
    for name in overlay.sites:
        yield FailureKind.SITE, (name,), name, FaultKind.SITE_CRASH, Selector(sites=(name,))


def _groups(scenario: Scenario, network: Network) -> Iterator[_Found]:
    named = {group.name for group in scenario.groups}
    links = network.underlay.links.names
    for name, members in network.underlay.groups.items():
        kind, where = FaultKind.SHARED_RISK_CUT, Selector(groups=(name,))
        if name not in named:
            # Files cannot name what follows from maps alone, but they can name its cables.
            kind = FaultKind.LINK_DOWN
            where = Selector(links=tuple(dict.fromkeys(links[i] for i in members)))
        yield FailureKind.GROUP, (name,), name, kind, where


def name_of(parts: Sequence[str], taken: set[str]) -> str:
    """Return a name that a fault can have in a file, and that no other failure has."""
    whole = ".".join(parts)
    name = _ODD.sub("_", whole)
    if len(name) > _LONGEST or name in taken:
        mark = sha256(whole.encode()).hexdigest()[:8]
        name = f"{name[: _LONGEST - len(mark) - 1]}-{mark}"
    taken.add(name)
    return name
