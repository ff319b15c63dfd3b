"""What faults do to each directed link, as a function of time.

Each occurrence is a *member* on each link it hits, from its start until its end.
What a link does at an instant is the composition of the members that are there
then, so undoing one is leaving it out, and nothing is ever restored:

    black                                any
    loss, corruption, duplication, …     1 - prod(1 - p), in the order of the faults' names
    delay, jitter                        sum
    rate, MTU                            minimum

Between two changes the result is constant. All such *spans* of all links lie in
one table, sorted by (link, time); span 0 is neutral and stands for every link
that no fault touches.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import distinct, hits
from patronus.engine.overlay import I32, I64
from patronus.engine.units import LONG_AGO, NEVER, PPM
from patronus.sim.bursts import EPOCH_NS, Bursts
from patronus.sim.faults.kinds import kind_of
from patronus.sim.luck import Bools, object_keys
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.underlay import Links


class Quantity(IntEnum):
    """Columns of the table of spans."""

    BLACK = 0
    LOSS_PPM = 1
    CORRUPT_PPM = 2
    DUPLICATE_PPM = 3
    REORDER_PPM = 4
    REORDER_NS = 5
    DELAY_NS = 6
    JITTER_NS = 7
    RATE_BPS = 8
    MTU = 9


_CHANCES: Final = slice(Quantity.LOSS_PPM, Quantity.REORDER_NS)
_SUMS: Final = slice(Quantity.REORDER_NS, Quantity.RATE_BPS)
_LIMITS: Final = slice(Quantity.RATE_BPS, len(Quantity))

NEUTRAL: Final = (0,) * Quantity.RATE_BPS + (NEVER, NEVER)
"""Nothing lost, nothing added, no limit."""

_FIELDS: Final = {
    FaultKind.LOSS: {Quantity.LOSS_PPM: "loss_ppm"},
    FaultKind.DELAY: {Quantity.DELAY_NS: "delay_ns", Quantity.JITTER_NS: "jitter_ns"},
    FaultKind.JITTER: {Quantity.JITTER_NS: "jitter_ns"},
    FaultKind.CORRUPTION: {Quantity.CORRUPT_PPM: "loss_ppm"},
    FaultKind.DUPLICATION: {Quantity.DUPLICATE_PPM: "loss_ppm"},
    FaultKind.REORDERING: {Quantity.REORDER_PPM: "loss_ppm", Quantity.REORDER_NS: "delay_ns"},
    FaultKind.RATE: {Quantity.RATE_BPS: "rate_bps"},
    FaultKind.MTU_BLACKHOLE: {Quantity.MTU: "mtu"},
}


class _Members(NamedTuple):
    link: I64
    from_ns: I64
    until_ns: I64
    who: I64
    """Position of the occurrence in the timeline."""
    rank: I64
    """Position of the occurrence by (fault, ordinal): the order of composition."""
    value: I64
    """Shape (members, quantities)."""


class Parameters:
    """What faults do to packets on given links at given instants; arrays, made when asked for."""

    __slots__ = ("_cause", "_columns", "_span")

    def __init__(self, columns: Sequence[I64], cause: I32, span: I64) -> None:
        self._columns, self._cause, self._span = columns, cause, span

    def _column(self, quantity: Quantity) -> I64:
        return self._columns[quantity].take(self._span)

    @property
    def blackhole(self) -> Bools:
        """Nothing gets through."""
        return self._column(Quantity.BLACK) > 0

    @property
    def cause(self) -> I32:
        """The occurrence (position in the timeline) that makes it black, -1 if none."""
        return self._cause.take(self._span)

    @property
    def loss_ppm(self) -> I64:
        """Loss of packets on the way, bursts of faults included."""
        return self._column(Quantity.LOSS_PPM)

    @property
    def corrupt_ppm(self) -> I64:
        """Packets that arrive and fail authentication."""
        return self._column(Quantity.CORRUPT_PPM)

    @property
    def duplicate_ppm(self) -> I64:
        """Packets that arrive twice."""
        return self._column(Quantity.DUPLICATE_PPM)

    @property
    def reorder_ppm(self) -> I64:
        """Packets held back for ``reorder_ns``."""
        return self._column(Quantity.REORDER_PPM)

    @property
    def reorder_ns(self) -> I64:
        """How long a packet is held back."""
        return self._column(Quantity.REORDER_NS)

    @property
    def delay_ns(self) -> I64:
        """Added delay."""
        return self._column(Quantity.DELAY_NS)

    @property
    def jitter_ns(self) -> I64:
        """Added to the bound of the delay noise."""
        return self._column(Quantity.JITTER_NS)

    @property
    def rate_bps(self) -> I64:
        """The most the link carries, ``NEVER`` for no limit but its own."""
        return self._column(Quantity.RATE_BPS)

    @property
    def mtu(self) -> I64:
        """The largest packet that gets through, ``NEVER`` for no limit but its own."""
        return self._column(Quantity.MTU)


class LinkEffects:
    """The table of spans; build it with :func:`effects`."""

    def __init__(self, links: Links, members: _Members) -> None:
        known = distinct(members.link)
        place = np.searchsorted(known, members.link)
        # Two more places: links[-1] (no route) and links[n] (padding) are neutral as well.
        self._slot = np.full(len(links.names) + 2, -1, dtype=np.int64)
        self._slot[known] = np.arange(len(known))
        edges = np.concatenate([members.from_ns, members.until_ns])
        self._times = distinct(np.append(edges[edges < NEVER], LONG_AGO))
        codes = np.concatenate(
            [
                place * len(self._times) + np.searchsorted(self._times, members.from_ns),
                place * len(self._times) + np.searchsorted(self._times, members.until_ns),
            ]
        )
        ends = codes[: len(place)], codes[len(place) :]
        base = np.arange(len(known)) * len(self._times)
        real = codes[edges < NEVER]
        self._codes = distinct(np.concatenate([base, real]))
        table, self.cause = _compose(self._codes, *ends, members)
        self.columns = tuple(np.ascontiguousarray(table[:, q]) for q in Quantity)
        """One array a quantity, an element a span."""
        self._plain = (table == NEUTRAL).all(axis=1)
        self._known = known
        self._list_changes()
        self.longest_delay_ns = _longest(links, known, self._codes // len(self._times), table)
        """No packet is held back longer than this by faults, whatever its route."""

    def _list_changes(self) -> None:
        slot, step = np.divmod(self._codes, len(self._times))
        real = hits(step > 0)
        order = real[np.argsort(self._times[step[real]], kind="stable")]
        self._change_ns = self._times[step[order]]
        self._change_link = self._known[slot[order]]

    def find(self, links: I32 | I64, t_ns: int | I64) -> I64:
        """Return the span of each link at each instant (0: neutral); -1 is no link."""
        slot = self._slot[links]
        span = np.zeros(len(slot), dtype=np.int64)
        hit = hits(slot >= 0)
        if len(hit):
            at = t_ns[hit] if isinstance(t_ns, np.ndarray) else t_ns
            step = np.searchsorted(self._times, at, side="right") - 1
            code = slot[hit] * len(self._times) + step
            span[hit] = np.searchsorted(self._codes, code, side="right")
        return span

    def at(self, links: I32 | I64, t_ns: int | I64) -> Parameters:
        """Return what happens to packets that enter links (-1: no link) at given instants."""
        return Parameters(self.columns, self.cause, self.find(links, t_ns))

    def changing(self, start_ns: int, end_ns: int) -> I64:
        """Return the links that change within the window: after its start, before its end."""
        low = self._change_ns.searchsorted(start_ns, side="right")
        high = self._change_ns.searchsorted(end_ns, side="left")
        return distinct(self._change_link[low:high])

    def changes_between(self, start_ns: int, end_ns: int) -> I64:
        """Return the instants after the start, up to the end, at which some link changes."""
        low, high = self._times.searchsorted([start_ns, end_ns], side="right")
        times: I64 = self._times[low:high]
        return times

    def touched(self, start_ns: int, end_ns: int) -> I64:
        """Return the links that are not neutral throughout the window [start, end)."""
        harmed = self._known[~self._plain[self.find(self._known, start_ns)]]
        return distinct(np.concatenate([harmed, self.changing(start_ns, end_ns)]))


def _compose(codes: I64, low: I64, high: I64, members: _Members) -> tuple[I64, I32]:
    # Span i + 1 begins at codes[i]. Pair every member with the spans it covers, then apply
    # the members of each span one after the other, all spans at once.
    first, count = np.searchsorted(codes, low), np.searchsorted(codes, high)
    count -= first
    member = np.repeat(np.arange(len(first)), count)
    offset = np.arange(len(member)) - np.repeat(np.cumsum(count) - count, count)
    span = first[member] + offset + 1
    order = np.lexsort((members.rank[member], span))
    member, span = member[order], span[order]
    turn = np.arange(len(span)) - np.searchsorted(span, span)
    table = np.tile(np.array(NEUTRAL, dtype=np.int64), (len(codes) + 1, 1))
    cause = np.full(len(table), -1, dtype=np.int32)
    for k in range(int(turn.max(initial=-1)) + 1):
        where, value = span[turn == k], members.value[member[turn == k]]
        fresh = (value[:, Quantity.BLACK] > 0) & (cause[where] < 0)
        cause[where[fresh]] = members.who[member[turn == k]][fresh]
        table[where] = _joined(table[where], value)
    return table, cause


def _joined(a: I64, b: I64) -> I64:
    joined = np.maximum(a, b)
    p, q = a[:, _CHANCES], b[:, _CHANCES]
    joined[:, _CHANCES] = p + q - (p * q + PPM // 2) // PPM
    joined[:, _SUMS] = a[:, _SUMS] + b[:, _SUMS]
    joined[:, _LIMITS] = np.minimum(a[:, _LIMITS], b[:, _LIMITS])
    return joined


def _longest(links: Links, known: I64, slot: I64, table: I64) -> int:
    # A route crosses two access links and, at most, every other link of one transport.
    held, worst = table[1:, _SUMS].sum(axis=1), np.zeros(len(known), dtype=np.int64)
    np.maximum.at(worst, slot, held)
    access = np.array([links.names[i].startswith("access:") for i in known], dtype=np.bool_)
    core = np.zeros(int(links.transport.max(initial=0)) + 1, dtype=np.int64)
    np.add.at(core, links.transport[known[~access]], worst[~access])
    return int(np.sort(worst[access])[-2:].sum() + core.max())


# ---------------------------------------------------------------- members


def effects(timeline: Timeline, links: Links, seed: int) -> LinkEffects:
    """Return what a timeline does to the links; other targets than links have no part in it.

    Raises:
        ValueError: bursts without end on a timeline without end.
    """
    ranked = sorted(timeline.occurrences, key=lambda o: (o.fault.name, o.ordinal))
    rank = {o.name: i for i, o in enumerate(ranked)}
    none = np.zeros(0, dtype=np.int64)
    parts = [_Members(none, none, none, none, none, _values(0))]
    for who, occurrence in enumerate(timeline.occurrences):
        for link, from_ns, until_ns, value in _members(occurrence, timeline.end_ns, links, seed):
            whose, place = np.full(len(link), who), np.full(len(link), rank[occurrence.name])
            parts.append(_Members(link, from_ns, until_ns, whose, place, value))
    columns = zip(*parts, strict=True)
    return LinkEffects(links, _Members._make(np.concatenate(c) for c in columns))


def _members(
    occurrence: Occurrence, end_ns: int, links: Links, seed: int
) -> Iterator[tuple[I64, I64, I64, I64]]:
    fault, hit = occurrence.fault, np.array(occurrence.links, dtype=np.int64)
    if fault.burst is not None and fault.kind is FaultKind.BURST_LOSS:
        # The process runs on the fault's own clock of epochs, whatever its schedule; a few
        # packets of the run may still be under way after its end.
        keys = object_keys(seed, f"burst/{fault.name}", links.key[hit])
        until_ns = min(occurrence.end_ns, end_ns + EPOCH_NS)
        if until_ns >= NEVER:
            raise ValueError(f"the bursts of {occurrence.name} and the timeline have no end")
        bad = Bursts(keys, [fault.burst] * len(hit)).bad(occurrence.start_ns, until_ns)
        loss = {Quantity.LOSS_PPM: fault.burst.loss_ppm}
        yield hit[bad.link], bad.from_ns, bad.until_ns, _values(len(bad.link), loss)
    elif kind_of(fault).black or fault.kind in _FIELDS:
        fields = _FIELDS.get(fault.kind, {})
        what = {quantity: int(getattr(fault, name)) for quantity, name in fields.items()}
        value = _values(len(hit), what or {Quantity.BLACK: 1})
        times = np.full(len(hit), occurrence.start_ns), np.full(len(hit), occurrence.end_ns)
        yield hit, *times, value


def _values(count: int, what: dict[Quantity, int] | None = None) -> I64:
    row = list(NEUTRAL)
    for quantity, amount in (what or {}).items():
        row[quantity] = amount
    return np.tile(np.array(row, dtype=np.int64), (count, 1))
