"""From counts to a verdict: did the fault act as commanded, and is it gone?

Two statements are held against what was counted: *it is there*, and *nothing is*. Each
allows an interval. While the fault lasts its verdict is

    yes           only the first one fits
    no            the first one does not fit
    unobserved    both fit: there were too few packets to say

and after its end the same with the two exchanged. A fault is verified if both times
say yes; one that is not undone within the run needs the first alone.

Shares are allowed the central 99.9 % of a binomial (3.29 standard deviations, and one
packet). What was lost anyway may be less than before, since traffic leaves a bad link
and its queues with it; it may be more by what bursts of the link's own can explain.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final, NamedTuple

from patronus.engine.units import PPM
from patronus.sim.scenario import Burst

YES: Final = "yes"
NO: Final = "no"
UNOBSERVED: Final = "unobserved"

_DEVIATIONS_SQUARED: Final = 1083
"""3.29 squared, times 100: 99.9 % of a normal law lie within."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured before, during and after a fault; -1 where nothing was."""

    before: int = -1
    during: int = -1
    after: int = -1
    verified: str = UNOBSERVED


class Count(NamedTuple):
    """Packets looked at, and those of them that were hit."""

    packets: int
    hits: int

    @property
    def share_ppm(self) -> int:
        """The share of hits, -1 of nothing."""
        return self.hits * PPM // self.packets if self.packets else -1


class Range(NamedTuple):
    """What a statement allows, both ends included."""

    low: int
    high: int

    def fits(self, value: int) -> bool:
        """Tell whether a value is allowed."""
        return self.low <= value <= self.high


def weigh(claimed: bool, denied: bool) -> str:
    """Return the verdict on a statement, given whether it and its opposite fit."""
    if not claimed:
        return NO
    return UNOBSERVED if denied else YES


def tell(shown: Sequence[int], there: str, then: str | None) -> Reading:
    """Join the values and the verdicts of the times.

    Args:
        shown: measured before, during and after.
        there: while it lasts, is it there?
        then: after its end, is it gone? ``None``: it is not undone within the run.
    """
    if NO in (there, then):
        verified = NO
    else:
        verified = YES if there == YES and then in (None, YES) else UNOBSERVED
    before, during, after = shown
    return Reading(before, during, after, verified)


def band_ppm(share_ppm: int, packets: int) -> int:
    """Return how far a counted share may lie from a true one; of a certainty not at all."""
    if share_ppm >= PPM:
        return 0
    variance = share_ppm * (PPM - share_ppm) * _DEVIATIONS_SQUARED // (100 * packets)
    return isqrt(variance) + PPM // packets


@dataclass(frozen=True, slots=True)
class Weighted:
    """A link that loses in bursts, and the share of the packets that cross it."""

    weight_ppm: int
    burst: Burst


def burst_slack_ppm(bursts: Iterable[Weighted], span_ns: int) -> int:
    """Return how far bursts can push a share within a time span: 3.29 standard deviations.

    The share of bad time of a two-state process with exponential periods has, over a span
    T, the variance 2 p (1 - p) r / T, with 1 / r = 1 / gap + 1 / length, and never more
    than p (1 - p). Links have bursts of their own, so variances add.
    """
    variance = 0
    for weight_ppm, burst in ((b.weight_ppm, b.burst) for b in bursts):
        period = burst.gap_ns + burst.length_ns
        bad = burst.length_ns * PPM // period
        relaxation = burst.gap_ns * burst.length_ns // period
        most = bad * (PPM - bad)
        share = min(most, 2 * most * relaxation // max(span_ns, 1))
        pushed = isqrt(share) * burst.loss_ppm // PPM * weight_ppm // PPM
        variance += pushed * pushed
    return isqrt(variance * _DEVIATIONS_SQUARED // 100)


def burst_mean_ppm(bursts: Iterable[Weighted]) -> int:
    """Return what bursts lose on average."""
    mean = 0
    for item in bursts:
        burst = item.burst
        bad = burst.length_ns * PPM // (burst.gap_ns + burst.length_ns)
        mean += bad * burst.loss_ppm // PPM * item.weight_ppm // PPM
    return mean


@dataclass(frozen=True, slots=True)
class Shares:
    """What a fault that hits a share of the packets should look like."""

    effect_ppm: int
    """What it hits, nothing else being there."""
    own: tuple[Weighted, ...] = ()
    """Bursts of the fault."""
    native: tuple[Weighted, ...] = ()
    """Bursts of the links themselves."""

    def judge(self, before: Count, now: Count, span_ns: int) -> tuple[bool, bool]:
        """Tell whether a count fits the effect, and whether it fits nothing having changed."""
        usual = min(PPM, max(self._most(before), burst_mean_ppm(self.native)))
        native = burst_slack_ppm(self.native, span_ns)
        nothing = Range(0, min(PPM, usual + band_ppm(usual, now.packets) + native))
        joined = usual + self.effect_ppm - usual * self.effect_ppm // PPM
        own = burst_slack_ppm(self.own, span_ns)
        high = joined + band_ppm(joined, now.packets) + native + own
        effect = Range(self._least(now.packets, own, span_ns), min(PPM, high))
        return effect.fits(now.share_ppm), nothing.fits(now.share_ppm)

    def _least(self, packets: int, own_ppm: int, span_ns: int) -> int:
        least = self.effect_ppm - band_ppm(self.effect_ppm, packets) - own_ppm
        # In the time of ten bursts there is a tenth of the loss at the very least.
        periods = sum(span_ns // (w.burst.gap_ns + w.burst.length_ns) for w in self.own)
        return max(least, self.effect_ppm // 10 if periods >= 10 else 0)

    @staticmethod
    def _most(count: Count) -> int:
        """Return the largest share that a count leaves possible."""
        if not count.packets:
            return PPM
        smoothed = (count.hits + 3) * PPM // (count.packets + 3)
        return min(PPM, count.share_ppm + band_ppm(smoothed, count.packets))


@dataclass(frozen=True, slots=True)
class Shift:
    """What a fault that moves a quantity should look like."""

    effect: int

    def judge(self, shift: int, noise: int, *, tenths: int = 1) -> tuple[bool, bool]:
        """Tell whether a shift fits the effect to so many tenths, and whether it fits none.

        Args:
            shift: measured.
            noise: what chance can do to it.
            tenths: what the model itself leaves open, of the effect.
        """
        there = abs(shift - self.effect) <= noise + abs(self.effect) * tenths // 10
        return there, abs(shift) <= noise
