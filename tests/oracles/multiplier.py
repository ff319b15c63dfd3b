"""The prediction in exact fractions, one row at a time."""

from fractions import Fraction
from math import ceil

MONTH_NS = 30 * 86_400 * 10**9


def false_downs(
    multiplier: int, *, interval_ns: int, loss_ppm: int, burst_milli: int, over_ns: int = MONTH_NS
) -> Fraction:
    """Return the expected number of runs of ``multiplier`` lost probes (union bound)."""
    probes = ceil(Fraction(over_ns, interval_ns))
    loss = Fraction(min(loss_ppm, 10**6), 10**6)
    burst = max(Fraction(burst_milli, 1000), Fraction(1))
    # Probabilities are given in ppm, this one rounded up.
    again = max(loss, Fraction(ceil((1 - 1 / burst) * 10**6), 10**6))
    return probes * loss * again ** (multiplier - 1)
