"""Counting the comb at the receiver: packets, delays, outage, time outside the SLA.

A *stream* is one measured entry. Outage follows the definition: the time in which
less than half of what is offered is delivered, judged for each tooth (10 ms) over
five teeth around it, so that a lone random loss is no outage and a cut is exact to
a tooth. Everything else is counted by whole seconds of the scenario.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.mos import CODEC_INDEX, mos_milli
from patronus.engine.overlay import I64
from patronus.engine.policy import SlaClass, TrafficClass
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, PPM, SECOND
from patronus.engine.verdict import COMPLIANT, Figures, verdict
from patronus.sim.comb import TOOTH_NS, Teeth

_AROUND: Final = 2  # teeth on each side of the one that is judged


@dataclass(frozen=True, eq=False)
class Second:
    """One second of some streams."""

    streams: I64
    offered: I64
    delivered: I64
    duplicated: I64
    delay_ns: I64
    """Mean one-way delay of the delivered, -1 when none was."""
    jitter_ns: I64
    """Mean difference of successive delays, -1 when fewer than two arrived."""
    mos_milli: I64
    in_sla: I64
    """1, 0, or -1 for a class without limits or a second with nothing offered."""


class Tally:
    """Accumulators by stream; streams are added as they come."""

    def __init__(self, classes: Sequence[TrafficClass]) -> None:
        self._classes = classes
        self.traffic_class: I64 = np.zeros(0, dtype=np.int64)
        self.outage_ns: I64 = np.zeros(0, dtype=np.int64)
        self.degraded_ns: I64 = np.zeros(0, dtype=np.int64)
        # offered, delivered, copies, delay sum, jitter sum, jitter count, last delay
        self._second: I64 = np.zeros((0, 7), dtype=np.int64)
        self._tail = np.zeros((0, 2 * _AROUND), dtype=np.int8)

    def add(self, traffic_class: I64) -> I64:
        """Add streams of given classes; return their numbers."""
        first, count = len(self.traffic_class), len(traffic_class)
        self.traffic_class = np.concatenate([self.traffic_class, traffic_class])
        zeros = np.zeros(count, dtype=np.int64)
        self.outage_ns = np.concatenate([self.outage_ns, zeros])
        self.degraded_ns = np.concatenate([self.degraded_ns, zeros])
        fresh = np.zeros((count, 7), dtype=np.int64)
        fresh[:, 6] = -1
        self._second = np.concatenate([self._second, fresh])
        # Before its first tooth a stream counts as delivered.
        self._tail = np.concatenate([self._tail, np.ones((count, 2 * _AROUND), dtype=np.int8)])
        return np.arange(first, first + count, dtype=np.int64)

    def reset(self) -> None:
        """Forget what was counted (the warm-up), but not how the last teeth fared."""
        self.outage_ns[:] = self.degraded_ns[:] = 0
        self._second[:, :6] = 0

    def count(self, streams: I64, teeth: Teeth) -> None:
        """Count the packets of one slot; every stream occurs once."""
        here, arrived = teeth.inside, teeth.arrived_ns != NEVER
        delay = np.where(arrived, teeth.arrived_ns - teeth.sent_ns, 0)
        second = self._second[streams]
        second[:, 0] += here.sum(axis=1)
        second[:, 1] += (arrived & here).sum(axis=1)
        second[:, 2] += np.where(here, teeth.copies, 0).sum(axis=1)
        second[:, 3] += np.where(here, delay, 0).sum(axis=1)
        self._vary(second, delay, arrived & here)
        self._second[streams] = second
        self._judge_outage(streams, here, arrived)

    def _vary(self, second: I64, delay: I64, arrived: Bools) -> None:
        """Sum up the differences of successive delays, beginning with the last one before."""
        line = np.concatenate([second[:, 6:7], delay], axis=1)
        # By place in the line: where the newest delay stands, this one included.
        newest = np.arange(1, line.shape[1]) * arrived
        np.maximum.accumulate(newest, axis=1, out=newest)
        before = np.zeros_like(newest)
        before[:, 1:] = newest[:, :-1]
        previous = np.take_along_axis(line, before, axis=1)
        both = arrived & (previous >= 0)
        second[:, 4] += np.where(both, np.abs(delay - previous), 0).sum(axis=1)
        second[:, 5] += both.sum(axis=1)
        second[:, 6] = np.take_along_axis(line, newest[:, -1:], axis=1)[:, 0]

    def _judge_outage(self, streams: I64, here: Bools, arrived: Bools) -> None:
        """Judge each tooth once two more have passed after it."""
        # Teeth outside the slot stand at its ends; a row's own ones are contiguous.
        first = here.argmax(axis=1)
        width = here.shape[1]
        column = np.minimum(first[:, None] + np.arange(width)[None, :], width - 1)
        bits = np.take_along_axis(arrived, column, axis=1).astype(np.int8)
        number = here.sum(axis=1)
        line = np.concatenate([self._tail[streams], bits], axis=1)
        span = 2 * _AROUND + 1
        delivered = line[:, :width].copy()
        for place in range(1, span):
            delivered += line[:, place : place + width]
        valid = np.arange(width)[None, :] < number[:, None]
        out = (2 * delivered < span) & valid
        self.outage_ns[streams] += np.count_nonzero(out, axis=1) * TOOTH_NS
        last = number[:, None] + np.arange(2 * _AROUND)[None, :]
        self._tail[streams] = np.take_along_axis(line, last, axis=1)

    def close_second(self, streams: I64) -> Second:
        """End a second for some streams: judge it and start the next."""
        second = self._second[streams]
        offered, delivered, copies = second[:, 0], second[:, 1], second[:, 2]
        delay = np.where(delivered > 0, second[:, 3] // np.maximum(delivered, 1), -1)
        jitter = np.where(second[:, 5] > 0, second[:, 4] // np.maximum(second[:, 5], 1), -1)
        loss = np.where(offered > 0, (offered - delivered) * PPM // np.maximum(offered, 1), -1)
        mos, in_sla = self._judge(self.traffic_class[streams], delay, jitter, loss)
        self.degraded_ns[streams] += (in_sla == 0) * offered * TOOTH_NS
        self._second[streams, :6] = 0
        return Second(streams, offered, delivered, copies - delivered, delay, jitter, mos, in_sla)

    def finish(self) -> None:
        """Judge the last teeth, after which nothing has come."""
        for tooth in range(_AROUND, 2 * _AROUND):
            around = self._tail[:, tooth - _AROUND :].astype(np.int64)
            self.outage_ns += (2 * around.sum(axis=1) < around.shape[1]) * TOOTH_NS

    def _judge(self, number: I64, delay: I64, jitter: I64, loss: I64) -> tuple[I64, I64]:
        mos = np.full(len(number), -1, dtype=np.int64)
        in_sla = np.full(len(number), -1, dtype=np.int64)
        for index, traffic_class in enumerate(self._classes):
            at = hits((number == index) & (loss >= 0))
            if not len(at):
                continue
            sla = traffic_class.sla
            # With nothing delivered there is no delay; loss alone says what that is worth.
            known = np.maximum(delay[at], 0)
            mos[at] = mos_milli(known, loss[at], CODEC_INDEX[sla.codec])
            if has_limits(sla):
                figures = Figures(2 * known, np.maximum(jitter[at], 0), loss[at])
                fine = (verdict(figures, sla) == COMPLIANT) & (delay[at] >= 0)
                in_sla[at] = fine
        return mos, in_sla


def has_limits(sla: SlaClass) -> bool:
    """Tell whether a class limits anything."""
    limits = (sla.latency_ns, sla.jitter_ns, sla.loss_ppm, sla.mos_milli)
    return any(limit is not None for limit in limits)


def teeth_between(phase_ns: I64, start_ns: I64, end_ns: I64) -> I64:
    """Return how many teeth of combs with given phases leave in [start, end)."""
    before_end = -((phase_ns - end_ns) // TOOTH_NS)
    before_start = -((phase_ns - start_ns) // TOOTH_NS)
    return np.maximum(before_end - before_start, 0)


def spoiling_teeth(sla: SlaClass) -> int:
    """Return how many lost teeth in a second break an SLA by themselves.

    More than a second has, where no loss does.
    """
    per_second = SECOND // TOOTH_NS
    lost = np.arange(per_second + 1, dtype=np.int64)
    none = np.zeros(per_second + 1, dtype=np.int64)
    if has_limits(sla):
        broken = verdict(Figures(none, none, lost * PPM // per_second), sla) != COMPLIANT
        # With nothing delivered there is no delay either, and no SLA is kept.
        broken[-1] = True
        return int(broken.argmax())
    return per_second + 1
