"""Gauges of what faults do to packets on the wire, by test packets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.sim.agents import Agents
from patronus.sim.faults.kinds import kind_of
from patronus.sim.faults.outages import Mute, turns
from patronus.sim.gauging.capacity import Capacity
from patronus.sim.gauging.company import MEDDLERS, Company
from patronus.sim.gauging.delays import Delay, Largest, Spread
from patronus.sim.gauging.evidence import Reading
from patronus.sim.gauging.gauge import Gauge
from patronus.sim.gauging.instruments import Copies, Damage, Instrument, Loss, Order
from patronus.sim.gauging.shots import Field, Shots, choose, fire
from patronus.sim.gauging.spans import SPAN_NS, Span, Spans, When, patience_of
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence
from patronus.sim.wire import WINDOW_NS, Wire

INSTRUMENTS: Final[Mapping[str, Callable[[Occurrence, Wire], Instrument]]] = {
    "loss_ppm": Loss,
    "corrupted_ppm": Damage,
    "duplicated_ppm": Copies,
    "reordered_ppm": Order,
    "owd_ns": Delay,
    "owd_spread_ns": Spread,
    "largest_bytes": Largest,
    "delivered_bps": Capacity,
}
"""By quantity, as ``patronus.sim.faults.kinds`` names it."""


class BehindLan(Loss):
    """Packets that do not arrive where they are going, behind the last site."""

    def __init__(self, occurrence: Occurrence, wire: Wire, agents: Agents) -> None:
        super().__init__(occurrence, wire)
        self._agents = agents

    def _shoot(self, shots: Shots) -> None:
        super()._shoot(shots)
        # A slot ends where a LAN changes, and is counted before it does.
        end = self.wire.overlay.dst[self._aim.field.ways.rows]
        self._hit = self._hit | ~self._agents.lan_up[end][:, None]


class WireGauge(Gauge):
    """Sends test packets through what one fault hits."""

    def __init__(
        self,
        occurrences: Sequence[Occurrence],
        instrument: Instrument,
        *,
        wire: Wire,
        company: Company,
        seed: int,
        end_ns: int,
    ) -> None:
        super().__init__(occurrences, patience_of, end_ns)
        self._instrument, self._wire, self._company = instrument, wire, company
        self._seed = seed
        self._field: Field | None = None
        first = occurrences[0].fault
        self._kinds = MEDDLERS[kind_of(first).quantity]
        if first.kind is FaultKind.LAN_DOWN:
            self._kinds |= {FaultKind.LAN_DOWN}

    def see(self, start_ns: int, until_ns: int) -> None:
        """Measure in a slot that has ended."""
        window_ns = start_ns - start_ns % WINDOW_NS
        near = list(self.near(window_ns, window_ns + WINDOW_NS))
        if not near:
            self._field = None
            return
        if self._field is None:
            self._field = self._choose(near[0][0], window_ns, near[0][1])
            self._instrument.aim(self._field)
        if not len(self._field.keys):
            return
        shots = fire(self._field, self._wire, start_ns, until_ns)
        met = self._company.present(self._field.ways, shots.sent_ns, self._kinds)
        self._instrument.shoot(shots)
        for occurrence, spans in near:
            for when in When:
                now = self.within(occurrence, spans, when, shots.sent_ns)
                mask = shots.inside & now & (met == (when is When.DURING))
                if mask.any():
                    self._instrument.add(occurrence.ordinal, when, mask)

    def _choose(self, occurrence: Occurrence, start_ns: int, spans: Spans) -> Field:
        return choose(
            occurrence,
            self._wire,
            self._company,
            self._seed,
            from_ns=start_ns,
            until_ns=spans.after.until_ns,
            kinds=self._kinds,
        )

    def within(self, occurrence: Occurrence, spans: Spans, when: When, sent_ns: I64) -> Bools:
        """Tell which packets were sent at one of an occurrence's three times."""
        from_ns, until_ns = spans[when]
        now: Bools = (sent_ns >= from_ns) & (sent_ns < until_ns)
        return now

    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of an occurrence."""
        spans = self.spans[occurrence.ordinal]
        lengths = (_length(spans.during), _length(spans.after))
        return self._instrument.reading(occurrence.ordinal, lengths, undone=self.undone(occurrence))


class StormGauge(WireGauge):
    """Watches a rekey storm: each tunnel is mute at a time of its own."""

    def within(self, occurrence: Occurrence, spans: Spans, when: When, sent_ns: I64) -> Bools:
        """Tell which packets were sent at one of the three times of their own tunnel."""
        assert self._field is not None, "packets come from a field"
        reverse = self._wire.overlay.reverse
        times = {mute.row: mute for mute in turns(occurrence)}
        times.update({int(reverse[row]): mute for row, mute in times.items()})
        cut_short = Mute(-1, occurrence.end_ns, occurrence.end_ns)
        mine = [times.get(row, cut_short) for row in self._field.ways.rows.tolist()]
        mute = np.array([m.from_ns for m in mine], dtype=np.int64)[:, None]
        speaks = np.array([m.until_ns for m in mine], dtype=np.int64)[:, None]
        if when is When.BEFORE:
            return super().within(occurrence, spans, when, sent_ns)
        if when is When.DURING:
            return (sent_ns >= mute) & (sent_ns < speaks)
        return (sent_ns >= speaks) & (sent_ns < speaks + SPAN_NS)


def _length(span: Span) -> int:
    return max(0, span.until_ns - span.from_ns)
