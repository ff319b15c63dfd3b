"""What each tunnel does in truth, kept up to date on the grid of 100 ms.

This is read off the wire: links, routes, congestion, faults. Loss in bursts counts
with its mean, wherever it comes from, since a burst that is over before anybody
could act is nobody's mistake, while a link that has one every second is a bad link.

Links are few, so their state is worked out whole when something changed; tunnels
are many, so only those over links that differ are worked out anew.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from patronus.engine.arrays import distinct, hits
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO, MS, PPM
from patronus.engine.verdict import Figures
from patronus.sim.faults.effects import LinkEffects, effects
from patronus.sim.faults.kinds import commanded
from patronus.sim.scenario import Burst, FaultKind
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.wire import Wire

_ROWS_AT_ONCE = 65_536

_NEAR_NS: Final = MS // 2
_NEAR_PPM: Final = 100
"""A queue that grows or shrinks by less is not worth looking at thousands of entries; the
checks have wider margins. A link that dies or comes back always is."""

_State = tuple[I64, I64, I64]
"""Delay, jitter and survival by link."""


class Truth:
    """One way's figures of each row.

    The arrays have two elements more than there are rows: ``nowhere`` stands for a leg
    that is not needed and does nothing, -1 for one that is missing and is dead.
    """

    def __init__(self, wire: Wire, timeline: Timeline, seed: int) -> None:
        self._wire, overlay = wire, wire.overlay
        self.nowhere = rows = overlay.rows
        self.delay_ns: I64 = np.zeros(rows + 2, dtype=np.int64)
        self.jitter_ns: I64 = np.zeros(rows + 2, dtype=np.int64)
        self.loss_ppm: I64 = np.zeros(rows + 2, dtype=np.int64)
        self.loss_ppm[-1] = PPM
        self.reverse: I32 = np.append(overlay.reverse, [rows, rows + 1]).astype(np.int32)
        self.turned_ns: I64 = np.full(rows + 2, LONG_AGO, dtype=np.int64)
        """When each row last began or ceased to work both ways."""
        self.foresee(timeline, seed)
        self._native = np.array([_mean_ppm(b) for b in wire.underlay.links.burst], dtype=np.int64)
        nothing = np.zeros(0, dtype=np.int64)
        self._links: _State = (nothing, nothing, nothing)
        self._seen: tuple[object, ...] = ()
        self._at_ns = LONG_AGO
        self._rerouted: list[I64] = []

    def foresee(self, timeline: Timeline, seed: int) -> None:
        """Take note of a timeline."""
        self._mean = _mean_bursts(timeline, self._wire, seed)
        self._bursty = _bursty_links(timeline, len(self._wire.underlay.links.names))
        self._storms = [o for o in timeline.occurrences if o.rows]

    # ------------------------------------------------------------ keeping up

    def rerouted(self, rows: I64) -> None:
        """Take note that the routes under some rows have changed."""
        self._rerouted.append(rows)

    def refresh(self, now_ns: int) -> I64:
        """Bring the figures up to date; return the rows that may differ, ascending.

        ``now_ns`` lies in the wire's window or at its end.
        """
        first = self._at_ns == LONG_AGO
        mute = self._storming(now_ns)
        parts = [*self._rerouted, mute]
        if self._news(now_ns):
            links = self._link_state(now_ns)
            changed = np.ones(0, dtype=np.bool_) if first else _different(self._links, links)
            if first or changed.any():
                parts.append(self._wire.rows_of(hits(changed)))
                self._links = links if first else _taken(changed, links, self._links)
        self._at_ns, self._rerouted = now_ns, []
        rows = np.arange(self.nowhere) if first else distinct(np.concatenate(parts))
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            self._work_out(rows[start : start + _ROWS_AT_ONCE], distinct(mute), now_ns)
        return rows

    def _news(self, now_ns: int) -> bool:
        """Tell whether any link may do something else than at the last look."""
        wire = self._wire
        seen = (wire.effects, wire.congestion_delay_ns, wire.congestion_loss_ppm)
        same = len(self._seen) == len(seen) and all(
            a is b for a, b in zip(seen, self._seen, strict=True)
        )
        self._seen = seen
        since = self._at_ns
        return (
            not same
            or len(wire.effects.changing(since, now_ns + 1)) > 0
            or len(self._mean.changing(since, now_ns + 1)) > 0
        )

    def _storming(self, now_ns: int) -> I64:
        """Return the rows of rekey storms that are, or just were, under way."""
        since = self._at_ns
        rows = [o.rows for o in self._storms if o.start_ns <= now_ns and o.end_ns > since]
        mine = np.array([r for part in rows for r in part], dtype=np.int64)
        return np.concatenate([mine, self.reverse[mine].astype(np.int64)])

    def _link_state(self, now_ns: int) -> _State:
        """Return delay, jitter and survival of each link, the padding and -1 at the end."""
        wire, links = self._wire, self._wire.underlay.links
        every = np.arange(wire.neutral, dtype=np.int64)
        state, mean = wire.effects.at(every, now_ns), self._mean.at(every, now_ns)
        loss = np.where(self._bursty, mean.loss_ppm, state.loss_ppm)
        survive = np.full(wire.neutral, PPM, dtype=np.int64)
        for part in (
            links.loss_ppm, wire.congestion_loss_ppm, self._native, loss, state.corrupt_ppm
        ):  # fmt: skip
            survive = survive * (PPM - part) // PPM
        survive[state.blackhole] = 0
        delay = links.delay_ns + wire.congestion_delay_ns + state.delay_ns
        jitter = links.jitter_ns + state.jitter_ns
        return (
            np.append(delay, [0, 0]), np.append(jitter, [0, 0]), np.append(survive, [PPM, 0])
        )  # fmt: skip

    def _work_out(self, rows: I64, storming: I64, now_ns: int) -> None:
        """Carry the links' state over to some rows; of those in a storm ask which are mute."""
        matrix = self._wire.links_of(rows)
        delay, jitter, survive = self._links
        worked = self.works(rows)
        self.delay_ns[rows] = delay[matrix].sum(axis=1)
        self.jitter_ns[rows] = jitter[matrix].sum(axis=1)
        left = np.full(len(rows), PPM, dtype=np.int64)
        for link in matrix.T:
            left = left * survive[link] // PPM
        at = hits(np.isin(rows, storming)) if len(storming) else storming
        now = np.full(len(at), now_ns, dtype=np.int64)
        left[at[self._wire.passage(rows[at], now).loss_ppm >= PPM]] = 0
        self.loss_ppm[rows] = PPM - left
        turned = rows[worked != self.works(rows)]
        self.turned_ns[turned] = self.turned_ns[self.reverse[turned]] = now_ns

    # ------------------------------------------------------------ reading

    def works(self, rows: I32 | I64) -> Bools:
        """Tell which rows deliver at least half both ways, so that their ends can know it."""
        half = PPM // 2
        works: Bools = self.loss_ppm[rows] < half
        works &= self.loss_ppm[self.reverse[rows]] < half
        return works

    def figures(self, *legs: I32 | I64) -> Figures:
        """Return round trip, jitter and loss of ways made of legs, arrays of one shape."""
        shape = legs[0].shape
        rtt, jitter = np.zeros((2, *shape), dtype=np.int64)
        survive = np.full(shape, PPM, dtype=np.int64)
        for leg in legs:
            back = self.reverse[leg]
            noise = self.jitter_ns[leg] + self.jitter_ns[back]
            # The delay noise has a mean of 0.113 of its bound, successive ones differ by 0.128.
            rtt += self.delay_ns[leg] + self.delay_ns[back] + noise * 113 // 1000
            jitter += self.jitter_ns[leg] * 128 // 1000
            survive = survive * (PPM - self.loss_ppm[leg]) // PPM
        return Figures(rtt, jitter, PPM - survive)


def longest_ns(wire: Wire) -> int:
    """Return the longest round trip of any tunnel when nothing is wrong."""
    links = wire.underlay.links
    hop = np.append(links.delay_ns + links.jitter_ns, [0, 0])
    segment = hop[wire.route].sum(axis=1)
    way = hop[wire.up] + segment[wire.segment] + hop[wire.down]
    return 2 * int(way.max(initial=0))


def _different(before: _State, after: _State) -> Bools:
    """Tell which links changed by more than nobody cares about, one by one or in sum."""
    delay, jitter, survive = (np.abs(a - b) for a, b in zip(before, after, strict=True))
    dead = (before[2] == 0) != (after[2] == 0)
    found: Bools = dead | (delay > _NEAR_NS) | (jitter > _NEAR_NS) | (survive > _NEAR_PPM)
    return found


def _taken(changed: Bools, after: _State, before: _State) -> _State:
    delay, jitter, survive = (np.where(changed, a, b) for a, b in zip(after, before, strict=True))
    return delay, jitter, survive


def _mean_ppm(burst: Burst | None) -> int:
    if burst is None:
        return 0
    return burst.loss_ppm * burst.length_ns // (burst.gap_ns + burst.length_ns)


def _mean_bursts(timeline: Timeline, wire: Wire, seed: int) -> LinkEffects:
    """Return what faults lose when those that lose in bursts lose their mean all the time."""
    steady = [
        _steady(o)
        for o in timeline.occurrences
        if o.fault.kind in (FaultKind.LOSS, FaultKind.BURST_LOSS)
    ]
    return effects(Timeline(tuple(steady), (), timeline.end_ns), wire.underlay.links, seed)


def _steady(occurrence: Occurrence) -> Occurrence:
    fault = occurrence.fault
    if fault.kind is FaultKind.BURST_LOSS:
        fault = replace(fault, kind=FaultKind.LOSS, burst=None, loss_ppm=max(1, commanded(fault)))
    return replace(occurrence, fault=fault)


def _bursty_links(timeline: Timeline, links: int) -> Bools:
    bursty = np.zeros(links, dtype=np.bool_)
    for occurrence in timeline.occurrences:
        if occurrence.fault.kind is FaultKind.BURST_LOSS:
            bursty[list(occurrence.links)] = True
    return bursty
