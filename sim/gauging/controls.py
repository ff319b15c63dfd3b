"""Gauges of agents and clocks: announcements that arrive, and stamps on probes."""

from collections.abc import Sequence
from math import isqrt
from typing import Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.units import MS, NEVER, SECOND, US
from patronus.sim.flight import Samples
from patronus.sim.gauging.company import MEDDLERS, Company, Ways
from patronus.sim.gauging.evidence import NO, UNOBSERVED, YES, Reading, Shift, tell, weigh
from patronus.sim.gauging.gauge import Gauge
from patronus.sim.gauging.shots import Field, choose, unmoved
from patronus.sim.gauging.spans import LONGEST_NS, SPAN_NS, Patience, Span, When
from patronus.sim.scenario import ControlSpec, FaultKind
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.wire import WINDOW_NS, Wire


class AnnouncementGauge(Gauge):
    """Counts the announcements that come from the sites a fault hits, or reach them.

    Every announcer repeats itself, so silence for longer than that takes is proof.
    """

    def __init__(
        self,
        occurrences: Sequence[Occurrence],
        company: Company,
        *,
        policy: Policy,
        control: ControlSpec,
        end_ns: int,
    ) -> None:
        spread = control.delay_ns + control.jitter_ns
        self._repeat_ns = policy.announcement_ns + policy.evaluation_ns + spread
        patience = Patience(
            settle_ns=spread,
            span_ns=max(SPAN_NS, self._repeat_ns),
            longest_ns=max(LONGEST_NS, self._repeat_ns),
        )
        super().__init__(occurrences, lambda _: patience, end_ns)
        self._sites = np.array(occurrences[0].sites, dtype=np.int64)
        self._others = company.silencers(occurrences[0])
        self._count: dict[int, list[int]] = {}

    def heard(self, site: int, observers: I64, now_ns: int) -> None:
        """Some sites receive an announcement of another."""
        mine = np.isin(observers, self._sites)
        number = len(observers) if site in self._sites else int(mine.sum())
        if not number or any(o.start_ns <= now_ns < o.end_ns for o in self._others):
            return
        for occurrence, spans in self.near(now_ns, now_ns + 1):
            count = self._count.setdefault(occurrence.ordinal, [0, 0, 0])
            for when, span in zip(When, spans, strict=True):
                count[when] += number * (span.from_ns <= now_ns < span.until_ns)

    def see(self, start_ns: int, until_ns: int) -> None:
        """Nothing to do: announcements come one by one."""

    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of an occurrence."""
        spans = self.spans[occurrence.ordinal]
        counts = self._count.get(occurrence.ordinal, [0, 0, 0])
        clear = [self._clear_ns(span) for span in spans]
        shown = [n if ns > 0 else -1 for n, ns in zip(counts, clear, strict=True)]
        undone = self.undone(occurrence)
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        if counts[When.BEFORE]:
            long = [ns >= self._repeat_ns for ns in clear]
            if counts[When.DURING] or long[When.DURING]:
                there = NO if counts[When.DURING] else YES
            if undone and (counts[When.AFTER] or long[When.AFTER]):
                then = YES if counts[When.AFTER] else NO
        return tell(shown, there, then)

    def _clear_ns(self, span: Span) -> int:
        """Return the longest stretch of a span in which no other fault silences the sites."""
        edges = [span.from_ns]
        for other in self._others:
            if other.start_ns < span.until_ns and other.end_ns > span.from_ns:
                edges += [max(other.start_ns, span.from_ns), min(other.end_ns, span.until_ns)]
        edges.append(span.until_ns)
        return max(0, *(b - a for a, b in zip(edges[::2], edges[1::2], strict=True)))


# ---------------------------------------------------------------- clocks

_CLOCKS: Final = Patience(settle_ns=200 * MS, guard_ns=SECOND)
"""Probes are stamped when they are reported, so those under way at a jump are left out."""


class ClockGauge(Gauge):
    """Watches by how much the stamps of a site's peers and its own drift apart.

    A probe carries the time at which it was sent by the peer's clock and the time at
    which it was reflected by the site's; the difference moves by the jump.
    """

    def __init__(
        self,
        occurrences: Sequence[Occurrence],
        timeline: Timeline,
        *,
        wire: Wire,
        company: Company,
        seed: int,
        end_ns: int,
    ) -> None:
        super().__init__(occurrences, lambda _: _CLOCKS, end_ns)
        self._wire, self._company, self._seed = wire, company, seed
        self._jumps = [o for o in timeline.occurrences if o.fault.kind is FaultKind.CLOCK_JUMP]
        self._field: Field | None = None
        self._sums: dict[int, I64] = {}
        self._noise_ns: dict[int, int] = {}

    def see(self, start_ns: int, until_ns: int) -> None:
        """Choose tunnels when it is time to, and forget them afterwards."""
        if until_ns % WINDOW_NS:
            return
        near = list(self.near(until_ns, until_ns + WINDOW_NS))
        if not near:
            self._field = None
        elif self._field is None:
            self._field = choose(
                near[0][0], self._wire, self._company, self._seed,
                from_ns=until_ns, until_ns=near[0][1].after.until_ns, kinds=MEDDLERS["clock_ns"],
            )  # fmt: skip

    @property
    def rows(self) -> I64:
        """The tunnels whose reflections it looks at now."""
        none = np.zeros(0, dtype=np.int64)
        return none if self._field is None else self._field.ways.rows

    def sample(self, samples: Samples) -> None:
        """Look at reflections as they are reported."""
        field = self._field
        if field is None or not len(field.keys):
            return
        rows = field.ways.rows
        if isinstance(samples.rows, slice):
            here = np.flatnonzero((rows >= samples.rows.start) & (rows < samples.rows.stop))
            at = rows[here] - samples.rows.start
        else:
            _, here, at = np.intersect1d(rows, samples.rows, return_indices=True)
        back = samples.arrived_ns[at] != NEVER
        here, at = here[back], at[back]
        if len(here):
            self._book(field, here, samples.sent_ns[at], samples.reflected_ns[at])

    def _book(self, field: Field, here: I64, sent_ns: I64, reflected_ns: I64) -> None:
        clean = unmoved(field, self._wire)[here]
        kinds = MEDDLERS["clock_ns"]
        met = self._company.present(_some(field, here), sent_ns[:, None], kinds)
        clean &= met[:, 0] == 0
        low, high = int(sent_ns.min()), int(sent_ns.max()) + 1
        for occurrence, spans in self.near(low, high):
            good = clean & ~self._others_jump(occurrence, field, here, sent_ns)
            sums = self._sums.setdefault(
                occurrence.ordinal, np.zeros((3, len(field.keys), 2), dtype=np.int64)
            )
            self._noise_ns[occurrence.ordinal] = self._noise(field)
            for when, (from_ns, until_ns) in zip(When, spans, strict=True):
                now = good & (sent_ns >= from_ns) & (sent_ns < until_ns)
                np.add.at(sums[when, :, 0], here[now], 1)
                np.add.at(sums[when, :, 1], here[now], (reflected_ns - sent_ns)[now])

    def _others_jump(self, occurrence: Occurrence, field: Field, here: I64, sent_ns: I64) -> Bools:
        """Tell which samples another jump has a part in."""
        overlay, rows = self._wire.overlay, field.ways.rows[here]
        other = np.zeros(len(here), dtype=np.bool_)
        for jump in self._jumps:
            if jump is not occurrence:
                touched = np.isin(overlay.src[rows], jump.sites)
                touched |= np.isin(overlay.dst[rows], jump.sites)
                from_ns, until_ns = jump.start_ns - SECOND, min(jump.end_ns, NEVER - SECOND)
                other |= touched & (sent_ns >= from_ns) & (sent_ns < until_ns + SECOND)
        # Within a jump of several sites nothing shifts between two of them.
        return other | np.isin(overlay.src[rows], occurrence.sites)

    def _noise(self, field: Field) -> int:
        jitter = np.append(self._wire.underlay.links.jitter_ns, [0, 0])
        return int(jitter[field.ways.links].sum(axis=1).max(initial=0))

    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of an occurrence."""
        if occurrence.ordinal not in self._sums:
            return Reading()
        before, during, after = self._sums[occurrence.ordinal]
        jump, undone = occurrence.fault.jump_ns, self.undone(occurrence)
        bound = self._noise_ns[occurrence.ordinal]
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        shown = [0 if before[:, 0].any() else -1, -1, -1]
        if (found := _mean_shift(before, during, bound)) is not None:
            shown[When.DURING] = found[0]
            noise = found[1] + abs(jump) // 100
            there = weigh(*Shift(jump).judge(found[0], noise, tenths=0))
        if undone and (found := _mean_shift(before, after, bound)) is not None:
            shown[When.AFTER] = found[0]
            noise = found[1] + abs(jump) // 100
            fits, nothing = Shift(jump).judge(found[0], noise, tenths=0)
            then = weigh(nothing, fits)
        return tell(shown, there, then)


def _some(field: Field, here: I64) -> Ways:
    return Ways(field.ways.rows[here], field.ways.links[here])


def _mean_shift(before: I64, now: I64, bound_ns: int) -> tuple[int, int] | None:
    """Return by how much the means of rows moved, and what chance can do to that."""
    seen = np.flatnonzero((before[:, 0] > 0) & (now[:, 0] > 0))
    if not len(seen):
        return None
    means = [part[seen, 1] // part[seen, 0] for part in (before, now)]
    number = int(min(before[seen, 0].sum(), now[seen, 0].sum()))
    shift = int((means[1] - means[0]).sum()) // len(seen)
    return shift, bound_ns * 7 // 10 // isqrt(number) + 20 * US
