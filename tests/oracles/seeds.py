"""Percentiles and bounds, spelled out with fractions: slow, exact, one number at a time."""

from collections.abc import Sequence
from fractions import Fraction
from math import comb


def percentile(values: Sequence[float], ppm: int) -> float:
    """Return the smallest value that at least the asked share does not exceed."""
    reached = [
        v for v in values if Fraction(sum(w <= v for w in values), len(values)) * 10**6 >= ppm
    ]
    return min(reached)


def chance(n: int, k: int, share: Fraction) -> Fraction:
    """Return the probability of exactly k successes in n trials."""
    return comb(n, k) * share**k * (1 - share) ** (n - k)


def at_most(n: int, k: int, share: Fraction) -> Fraction:
    """Return the probability of at most k successes in n trials."""
    return sum((chance(n, i, share) for i in range(k + 1)), Fraction(0))


def convex_bound(n: int, share: Fraction, total: Fraction) -> Fraction:
    """Return the smallest E max(0, t - Binomial) / (t - total) over whole t, at most 1."""
    bounds = [Fraction(1)]
    for t in range(n + 1):
        if t > total:
            mean = sum(((t - k) * chance(n, k, share) for k in range(t)), Fraction(0))
            bounds.append(mean / (t - total))
    return min(bounds)


def upper_order_statistic(values: Sequence[float], ppm: int, alpha: Fraction) -> float | None:
    """Return the smallest value above which too few of the values lie to be chance."""
    beyond = Fraction(10**6 - ppm, 10**6)
    for value in sorted(values):
        if at_most(len(values), sum(v > value for v in values), beyond) <= alpha:
            return value
    return None
