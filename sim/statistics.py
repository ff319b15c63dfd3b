"""Percentiles of what was seen, and exact bounds on what new seeds would show.

Two different questions are answered here and never mixed.

*What happened?* ``nearest_rank``: the smallest value that at least the asked share of
the values does not exceed. No interpolation, so it is a value that occurred.

*What would new seeds show?* The seed is the independent unit: the thousand exposures
of one seed share its luck. A new exposure means: draw a seed, then one of its
exposures. Its percentile lies above ``u`` exactly when the mean over seeds of
``X = share of the seed's exposures above u`` is greater than ``1 - q``. So a bound on a
percentile is a test on the mean of independent variables in [0, 1]:

- one exposure in every seed: X is 0 or 1, the test is the exact binomial one and the
  bound an order statistic (Clopper and Pearson 1934; Wilks 1941);
- otherwise: Hoeffding (1963, his proof of theorem 1) showed that for every convex f,
  E f(sum X) <= E f(Binomial). With f(s) = max(0, t - s) and Markov's inequality,
  P(sum X <= x) <= E max(0, t - Binomial) / (t - x) for each t > x, and the smallest
  of these is our p-value (the bound that Bentkus 2004 studies). With no exceedance
  it equals the binomial one, so both ask for the same number of seeds then.

Nothing here assumes a distribution, resamples, or extrapolates beyond the largest value.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.units import PPM

F64 = npt.NDArray[np.float64]

SEEDS_MOST: Final = 1 << 20
"""Where the search for a sufficient number of seeds gives up: nobody runs a million."""

FIRST_LOOK: Final = 8
"""A growing experiment is not judged before this many seeds: nothing passes so early, and
what fails so clearly fails at the first look all the same."""

_ROUNDING: Final = 1e-12
"""Sums of shares like 1/3 miss the whole number by less than this."""


class Bounds(NamedTuple):
    """A bound from below and one from above; infinite where nothing can be said."""

    lower: float
    upper: float


def nearest_rank(ordered: F64, ppm: int) -> float:
    """Return the nearest-rank percentile of sorted values.

    Args:
        ordered: at least one value, ascending, infinite ones included.
        ppm: the percentile as parts per million of the whole; 0 is the minimum.
    """
    rank = max(1, -(-ppm * len(ordered) // PPM))
    return float(ordered[rank - 1])


def seed_percentile(clusters: Sequence[F64], ppm: int) -> float:
    """Return the percentile in which each seed weighs the same, however many values it has."""
    values = np.concatenate(clusters)
    weights = np.concatenate([np.full(len(c), 1 / len(c)) for c in clusters])
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= len(clusters) * (ppm / PPM) - _ROUNDING * len(values)
    return float(values[order][int(np.argmax(reached))])


def percentile_bounds(clusters: Sequence[F64], ppm: int, alpha: float) -> Bounds:
    """Bound the percentile of a new exposure from below and from above.

    Args:
        clusters: the values of each seed, none of them empty.
        ppm: the percentile, strictly between 0 and one million.
        alpha: the risk taken by each of the two bounds.

    Returns:
        Bounds among the values seen; infinite where the seeds do not suffice.
    """
    upper = _upper(clusters, (PPM - ppm) / PPM, alpha)
    lower = -_upper([-c for c in clusters], ppm / PPM, alpha)
    return Bounds(lower, upper)


def few_exceed(seeds: int, share: float, total: float, *, single: bool) -> float:
    """Return a p-value against "a new exposure exceeds with probability ``share`` or more".

    Args:
        seeds: how many independent seeds were run.
        share: the probability to be excluded, between 0 and 1.
        total: sum over seeds of the share of exposures that exceeded.
        single: whether every seed has one exposure, so that ``total`` is a whole number.
    """
    whole = round(total) if single else math.floor(total + _ROUNDING)
    if whole >= seeds:
        return 1.0
    below = np.cumsum(_binomial(seeds, share))
    if single:
        return min(1.0, float(below[whole]))
    # sum of P(Binomial <= j) for j < t is E max(0, t - Binomial); the ratio is monotone
    # between whole numbers, so its minimum stands at a whole t.
    t = np.arange(whole + 1, seeds + 1)
    return min(1.0, float((np.cumsum(below)[whole:seeds] / (t - total)).min()))


def seeds_needed(share: float, alpha: float, *, total: float = 0.0, single: bool) -> int | None:
    """Return how many seeds would do if no further one exceeded; None for more than a million.

    With ``total`` 0 this is the well known ln(alpha) / ln(1 - share): 299 for p99 and
    59 for p95 at 95 %.
    """

    def enough(seeds: int) -> bool:
        return few_exceed(seeds, share, total, single=single) <= alpha

    high = 1
    while not enough(high):
        high *= 2
        if high > SEEDS_MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def median_interval(values: F64, alpha: float) -> Bounds | None:
    """Return a two-sided interval of the median: order statistics, as in the sign test.

    None where even the extremes do not suffice (fewer than 6 values at 95 %).
    """
    outside = np.cumsum(_binomial(len(values), 0.5))
    rank = int(np.searchsorted(2 * outside, alpha, side="right"))
    if rank == 0:
        return None
    ordered = np.sort(values)
    return Bounds(float(ordered[rank - 1]), float(ordered[len(values) - rank]))


def looks(maximum: int) -> tuple[int, ...]:
    """Return after how many seeds a growing experiment may be judged: halves of the maximum."""
    if maximum < 1:
        raise ValueError(f"the largest number of seeds must be at least 1, not {maximum}")
    sizes = [maximum]
    while sizes[-1] >= 2 * FIRST_LOOK:
        sizes.append(sizes[-1] // 2)
    return tuple(reversed(sizes))


def spending(sizes: Sequence[int]) -> tuple[float, ...]:
    """Return the part of the risk that each look may take: that of the seeds it adds.

    The parts add up to one, so by the union bound the whole experiment errs no more
    often than one fixed beforehand. Linear spending (Lan and DeMets 1983) leaves half of the
    risk to the last look when sizes double, and enough to the one before to stop there.
    """
    added = np.diff(np.array((0, *sizes), dtype=np.float64))
    return tuple(float(a) for a in added / sizes[-1])


def _upper(clusters: Sequence[F64], share: float, alpha: float) -> float:
    # The smallest value seen above which a new exposure falls with less than `share`.
    values = np.concatenate(clusters)
    weights = np.concatenate([np.full(len(c), 1 / len(c)) for c in clusters])
    order = np.argsort(values, kind="stable")
    distinct, first = np.unique(values[order], return_index=True)
    above = np.cumsum(weights[order][::-1])[::-1]
    totals = np.append(above[first[1:]], 0.0)
    single = len(values) == len(clusters)
    low, high = -1, len(distinct)
    while high - low > 1:
        middle = (low + high) // 2
        p = few_exceed(len(clusters), share, float(totals[middle]), single=single)
        low, high = (low, middle) if p <= alpha else (middle, high)
    return float(distinct[high]) if high < len(distinct) else math.inf


def _binomial(trials: int, share: float) -> F64:
    # By logarithms: the ends of a large one are too small to multiply up.
    k = np.arange(1, trials + 1)
    ratios = np.log((trials - k + 1) / k) + math.log(share) - math.log1p(-share)
    return np.exp(trials * math.log1p(-share) + np.concatenate([[0.0], np.cumsum(ratios)]))
