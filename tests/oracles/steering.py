"""The path of one entry, argued out from what its site knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import NamedTuple

from patronus.engine.policy import Policy, SlaClass, WhenNone
from tests.oracles.fingerprint import WORD, combine, key_of
from tests.oracles.overlays import LANES, SITES, Plan
from tests.oracles.selection import LAST_RESORT, Way, apart, choose

COMPLIANT, UNKNOWN, VIOLATING, OUTAGE = 0, 1, 2, 3
INIT, UP = 2, 3
WORST_NS = 2**42

Figures = tuple[int, int, int]


@dataclass(frozen=True)
class Tunnel:
    """One directed tunnel as its site knows it."""

    end: int
    lane: int
    state: int
    drained: bool
    verdicts: tuple[int, ...]
    told: Figures
    now: int
    published: int
    fates: frozenset[int]
    settled: bool
    """Down for so long that everybody knows."""


class Offer(NamedTuple):
    """What a site last said that it reaches: figures and verdict."""

    figures: Figures
    verdict: int


class Known(NamedTuple):
    """What one site knows."""

    tunnels: Mapping[int, Tunnel]
    """Its own, by row."""
    denied: frozenset[tuple[int, int]]
    """(site, destination) of which it has heard that the site does not announce it."""
    offers: Mapping[tuple[int, int, int], Offer]
    """By site, destination and class; fresh ones."""


class Picked(NamedTuple):
    """The outcome for one entry."""

    rows: list[int]
    shared_fate: bool
    tier: int
    waiting: bool
    cause: str
    """``rank``, ``lost`` or ``violated``."""


class Entry(NamedTuple):
    site: int
    destination: int
    number: int


class Option(NamedTuple):
    """One way that there may be."""

    row: int
    tunnel: Tunnel
    rank: tuple[int, ...]
    """All but the metric; lower is better."""
    tier: int
    now: int
    smooth: int
    through: bool


def badness(figures: Figures) -> int:
    """Return how bad figures are, as one number."""
    rtt, jitter, loss = figures
    return WORST_NS if min(figures) < 0 else min(rtt + 4 * jitter + 10_000 * loss, WORST_NS - 1)


def judge(figures: Figures, sla: SlaClass) -> int:
    """Return the verdict of figures (without opinion scores)."""
    limits = sla.latency_ns, sla.jitter_ns, sla.loss_ppm
    asked = [(f, limit) for f, limit in zip(figures, limits, strict=True) if limit is not None]
    if figures[2] >= 500_000:
        return OUTAGE
    if any(f > limit for f, limit in asked):
        return VIOLATING
    return UNKNOWN if figures[0] < 0 or any(f < 0 for f, _ in asked) else COMPLIANT


def add(first: Figures, second: Figures) -> Figures:
    """Return the figures of two tunnels in a row."""
    rtt, jitter, loss = (-1 if min(a, b) < 0 else a + b for a, b in zip(first, second, strict=True))
    return rtt, jitter, loss if loss < 0 else loss - first[2] * second[2] // 10**6


def options(plan: Plan, policy: Policy, known: Known, entry: Entry, least: int) -> list[Option]:
    """Return the ways that an entry could take now, over tunnels of some state at least."""
    site, destination, number = entry
    homes, wanted, sla = plan.homes(destination), policy.classes[number], policy.classes[number].sla
    found: list[Option] = []
    for row, tunnel in known.tunnels.items():
        lane, end = LANES[tunnel.lane], tunnel.end
        if site in homes or tunnel.state < least or lane in sla.forbid:
            continue
        tier, now, smooth = tunnel.verdicts[number], tunnel.now, tunnel.published
        through = end not in homes
        if not through and (end, destination) in known.denied:
            continue
        if through:
            offer = known.offers.get((end, destination, number))
            if offer is None or end not in plan.transit or not policy.features.transit:
                continue
            fresh = any(t.end in homes and not t.settled for t in known.tunnels.values())
            if site in plan.transit and end < site and fresh:
                continue
            if policy.features.sla:
                whole = judge(add(tunnel.told, offer.figures), sla)
                tier = max(tier, offer.verdict, whole)
            now, smooth = (min(m + badness(offer.figures), WORST_NS) for m in (now, smooth))
        if sla.when_none is WhenNone.DROP and tier >= VIOLATING:
            continue
        liked = sla.prefer.index(lane) if lane in sla.prefer else len(LANES)
        wish = (0 if through else homes.index(end), through, liked, policy.cost.get(lane, 0))
        detour = through and site in plan.transit
        rank = (detour, tunnel.drained, tier, *(wish if tier < VIOLATING else (0, 0, 0, 0)))
        found.append(Option(row, tunnel, rank, tier, now, smooth, through))
    return shared(entry, wanted.share, found, plan) if wanted.share else found


def shared(
    entry: Entry, share: Mapping[str, int], found: Sequence[Option], plan: Plan
) -> list[Option]:
    """Put what is not on the drawn transport behind its equals."""
    best = min((o.rank for o in found), default=())
    equal = [o for o in found if o.rank == best and o.tier < VIOLATING]
    names = sorted({LANES[o.tunnel.lane] for o in equal})
    open_lanes = [name for name in names if share.get(name, 0) > 0]
    if not open_lanes:
        return [o._replace(rank=(*o.rank, 0)) for o in found]
    pair = combine(key_of("site", SITES[entry.site]), place_key(entry.destination, plan))

    def waits(name: str) -> float:
        word = max(1, combine(pair, key_of("transport", name)))
        return (64 - log2(word)) / share[name]

    drawn = min(open_lanes, key=waits)
    return [
        o._replace(rank=(*o.rank, int(o in equal and LANES[o.tunnel.lane] != drawn))) for o in found
    ]


def place_key(destination: int, plan: Plan) -> int:
    """Return the fingerprint of a destination."""
    sites = plan.sites
    name = SITES[destination] if destination < sites else f"net{destination - sites}"
    return key_of("destination", name)


def tie_of(site: int, option: Option, destination: int, plan: Plan) -> int:
    """Return the fingerprint by which equals are told apart."""
    ends = combine(key_of("site", SITES[site]), key_of("site", SITES[option.tunnel.end]))
    row = combine(ends, key_of("transport", LANES[option.tunnel.lane]))
    return (combine(row, place_key(destination, plan)) % WORD) >> 1


def ways(entry: Entry, plan: Plan, found: Sequence[Option]) -> list[Way]:
    """Number the ranks, so that last resorts are recognised."""
    ranks = sorted({o.rank for o in found})
    only = len(plan.homes(entry.destination)) == 1
    return [
        Way(
            usable=True,
            grade=ranks.index(o.rank) + LAST_RESORT * (max(o.rank[:2]) > 0),
            now=o.now,
            smooth=o.smooth,
            tie=tie_of(entry.site, o, entry.destination, plan),
            lane=o.tunnel.lane,
            fates=o.tunnel.fates,
            end=-1 if only and not o.through else o.tunnel.end,
        )
        for o in found
    ]


def pick(
    plan: Plan, policy: Policy, known: Known, entry: Entry, current: int, *, keep: bool
) -> Picked:
    """Choose for one entry, whose primary is a row (-1: none)."""
    sla, features = policy.classes[entry.number].sla, policy.features
    found = options(plan, policy, known, entry, UP)
    here = next((place for place, o in enumerate(found) if o.row == current), None)
    listed = ways(entry, plan, found)
    if here is not None and (keep or rests(sla, found, listed, here)):
        listed[here] = listed[here]._replace(grade=-1)
    margins = (policy.margin_ns, policy.margin_ppm) if features.hysteresis else (0, 0)
    chosen = choose(listed, here, *margins)
    rows = [found[place].row if place >= 0 else -1 for place in chosen.places]
    if not features.backups:
        rows[1:] = [-1, -1]
    tier = found[chosen.places[0]].tier if rows[0] >= 0 else VIOLATING
    cause = "lost"
    if here is not None:
        bettered = found[here].tier >= VIOLATING and tier < found[here].tier
        cause = "violated" if bettered else "rank"
    shared_fate = chosen.shared_fate
    if rows[0] < 0 and sla.when_none is not WhenNone.DROP:
        rows[0], shared_fate = current, current >= 0  # fail static
    return Picked(rows, shared_fate, tier, chosen.waiting, cause)


def rests(sla: SlaClass, found: Sequence[Option], listed: Sequence[Way], here: int) -> bool:
    """Tell whether an entry stays where it is, since nothing complies anyway."""
    ready = [way.grade < LAST_RESORT for way in listed]
    complies = any(o.tier == COMPLIANT and good for o, good in zip(found, ready, strict=True))
    delivers = found[here].tier < OUTAGE
    return sla.when_none is WhenNone.STAY and delivers and ready[here] and not complies


def promote(rows: Sequence[int], tunnels: Mapping[int, Tunnel]) -> list[int] | None:
    """Return what an entry holds after its primary went down; None: choose anew."""
    for place, row in enumerate(rows[1:]):
        if row >= 0 and tunnels[row].state == UP and not tunnels[row].drained:
            left = [*rows[2 + place :], -1, -1]
            return [row, *left[:2]]
    return None


def stands_apart(one: Tunnel, other: Tunnel, homes: tuple[int, ...]) -> bool:
    """Tell whether no single thing takes both tunnels to a destination."""
    ends = [-1 if homes == (one.end,) else t.end for t in (one, other)]
    ways = [
        Way(True, 0, 0, 0, 0, t.lane, t.fates, end)
        for t, end in zip((one, other), ends, strict=True)
    ]
    return apart(*ways)


def unproven(plan: Plan, policy: Policy, known: Known, entry: Entry) -> set[int]:
    """Return the tunnels in Init that would serve an entry which nothing else can."""
    heard = options(plan, policy, known, entry, INIT)
    return set() if any(o.tunnel.state == UP for o in heard) else {o.row for o in heard}
