"""Instruments that read delays and sizes off test packets."""

from abc import abstractmethod
from math import isqrt
from typing import Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, US
from patronus.sim.gauging.evidence import UNOBSERVED, Reading, Shift, tell, weigh
from patronus.sim.gauging.instruments import Aim, Instrument
from patronus.sim.gauging.shots import Field, Shots
from patronus.sim.gauging.spans import When

_GRAIN_NS: Final = 20 * US
"""Differences below this are nothing: queues breathe."""


class Moved(Instrument):
    """A mean by row that a fault moves: its sums are pairs of (number, total)."""

    tenths = 1
    """What the model leaves open, in tenths of the effect."""

    @abstractmethod
    def _noise(self, bound_ns: int, number: int) -> int:
        """Return what chance can do to the mean of so many, given the bound of the noise."""

    def _judge(self, sums: I64, aim: Aim, spans_ns: tuple[int, int], *, undone: bool) -> Reading:
        before, during, after = sums
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        shown = [0 if before[:, 0].any() else -1, -1, -1]
        if (found := self._shift(before, during, aim)) is not None:
            shown[When.DURING] = max(0, found[0])
            there = weigh(*Shift(found[1]).judge(found[0], found[2], tenths=self.tenths))
        if undone and (found := self._shift(before, after, aim)) is not None:
            shown[When.AFTER] = max(0, found[0])
            fits, nothing = Shift(found[1]).judge(found[0], found[2], tenths=self.tenths)
            then = weigh(nothing, fits)
        return tell(shown, there, then)

    def _shift(self, before: I64, now: I64, aim: Aim) -> tuple[int, int, int] | None:
        """Return shift, commanded effect and noise over the rows seen both times."""
        seen = np.flatnonzero((before[:, 0] > 0) & (now[:, 0] > 0))
        if not len(seen):
            return None
        means = [part[seen, 1] // part[seen, 0] for part in (before, now)]
        shift = int((means[1] - means[0]).sum()) // len(seen)
        number = int(min(before[seen, 0].sum(), now[seen, 0].sum()))
        noise = self._noise(int(aim.noise_ns[seen].max()), number) + _GRAIN_NS
        return shift, int(aim.effect[seen].sum()) // len(seen), noise


class Delay(Moved):
    """One-way delay beyond that before the fault."""

    def _effect(self, field: Field) -> I64:
        # The noise has a mean of 0.113 of its bound.
        return field.crossed * (self.fault.delay_ns + self.fault.jitter_ns * 113 // 1000)

    def _shoot(self, shots: Shots) -> None:
        arrived, _ = self.deliver(shots, shots.sent_ns)
        self._delay_ns = np.where(arrived == NEVER, -1, arrived - shots.sent_ns)

    def _values(self, mask: Bools) -> I64:
        here = mask & (self._delay_ns >= 0)
        total = np.where(here, self._delay_ns, 0).sum(axis=1)
        return np.stack([here.sum(axis=1), total], axis=1)

    def _noise(self, bound_ns: int, number: int) -> int:
        # Two means, each with a deviation of 0.15 of the bound, 3.29 times that.
        return bound_ns * 7 // 10 // isqrt(number)


class Spread(Moved):
    """The bound of the delay noise beyond that before the fault.

    The delays of two packets that leave together differ by 0.128 of the bound on average,
    so their mean difference tells the bound from few of them (the range of delays would
    need thousands).
    """

    def _effect(self, field: Field) -> I64:
        return field.crossed * self.fault.jitter_ns

    def _shoot(self, shots: Shots) -> None:
        one, _ = self.deliver(shots, shots.sent_ns)
        other, _ = self.deliver(shots, shots.sent_ns, salt=1)
        self._both = (one != NEVER) & (other != NEVER)
        self._apart_ns = np.where(self._both, np.abs(one - other), 0)

    def _values(self, mask: Bools) -> I64:
        here = mask & self._both
        apart = np.where(here, self._apart_ns, 0).sum(axis=1)
        return np.stack([here.sum(axis=1), apart], axis=1)

    def _shift(self, before: I64, now: I64, aim: Aim) -> tuple[int, int, int] | None:
        first, then = (np.stack([p[:, 0], p[:, 1] * 1000 // 128], axis=1) for p in (before, now))
        return super()._shift(first, then, aim)

    def _noise(self, bound_ns: int, number: int) -> int:
        # A difference deviates by 1.3 times its mean; two means, 3.29 times that.
        return bound_ns * 7 // isqrt(number)


class Largest(Instrument):
    """The largest packet that arrives; sizes go up and down a ladder."""

    _STEPS: Final = (128, 576, 1000, 1280, 1400, 1492, 1500)
    _FEW: Final = 100
    """In fewer packets a step of the ladder may be missing."""

    def _effect(self, field: Field) -> I64:
        return np.full(len(field.crossed), self.fault.mtu, dtype=np.int64)

    def _shoot(self, shots: Shots) -> None:
        mtu = self.fault.mtu
        steps = sorted({s for s in (*self._STEPS, mtu, mtu + 1) if s <= self._STEPS[-1]})
        ladder = np.array(steps, dtype=np.int64)
        self._size = ladder[shots.ordinal % len(ladder)]
        arrived, _ = self.deliver(shots, shots.sent_ns, size=self._size)
        self._arrived = arrived != NEVER

    def _values(self, mask: Bools) -> I64:
        largest = np.where(self._arrived & mask, self._size, 0).max(initial=0)
        return np.array([[mask.sum(), largest]], dtype=np.int64)

    def _join(self, sums: I64, values: I64) -> I64:
        return np.stack([sums[:, 0] + values[:, 0], np.maximum(sums[:, 1], values[:, 1])], axis=1)

    def _judge(self, sums: I64, aim: Aim, spans_ns: tuple[int, int], *, undone: bool) -> Reading:
        packets, largest = sums[:, 0, 0].tolist(), sums[:, 0, 1].tolist()
        sizes = [size if n else -1 for n, size in zip(packets, largest, strict=True)]
        enough, mtu = [n >= self._FEW for n in packets], self.fault.mtu
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        # Where nothing larger came before, nothing can be seen.
        seen = enough[When.BEFORE] and sizes[When.BEFORE] > mtu
        if seen and enough[When.DURING]:
            there = weigh(sizes[When.DURING] == mtu, False)
        if seen and undone and enough[When.AFTER]:
            then = weigh(sizes[When.AFTER] > mtu, False)
        return tell(sizes, there, then)
