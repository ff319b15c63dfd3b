"""Scales of the figures: where a value stands between the edges, and round ticks."""

import math
from dataclasses import dataclass

LOG_FROM = 12
"""Durations spread wider than this factor are drawn on a logarithmic scale."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to shares of a figure's width or height."""

    low: float
    high: float
    log: bool = False
    end: float = 1.0
    """Share where ``high`` stands; what is beyond may be kept for "never"."""

    def place(self, value: float) -> float:
        """Return the share of a value, held inside the figure."""
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.end * min(1.0, max(0.0, part))

    def ticks(self, most: int = 6) -> list[float]:
        """Return at most ``most`` round values in the range, evenly spread to the eye."""
        return _decades(self.low, self.high, most) if self.log else self._even(most)

    def _even(self, most: int) -> list[float]:
        step = round_step((self.high - self.low) / max(1, most - 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def linear(high: float, *, end: float = 1.0) -> Scale:
    """Return a scale from zero to a round value at or above ``high``."""
    if high <= 0:
        return Scale(0.0, 1.0, end=end)
    step = round_step(high / 8)
    return Scale(0.0, math.ceil(high / step - 1e-9) * step, end=end)


def fitting(low: float, high: float, *, end: float = 1.0) -> Scale:
    """Return a logarithmic scale where positive values spread widely, else a linear one."""
    if low <= 0 or high / low < LOG_FROM:
        return linear(high, end=end)
    return Scale(_round_down(low), _round_up(high), log=True, end=end)


def round_step(rough: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _decades(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for marks in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**p for p in range(first, last + 1) for m in marks]
        inside = [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]
        if len(inside) <= most:
            return inside
    return inside[:: math.ceil(len(inside) / most)]


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(m * power for m in (1, 2, 5) if m * power <= value * (1 + 1e-9))


def _round_up(value: float) -> float:
    return round_step(value)
