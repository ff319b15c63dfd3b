"""By how much common luck narrows a comparison: paired against unpaired differences.

Two policies under one seed meet the same faults, losses and delays, so their difference
holds no more of that luck than they treat differently. How much this is worth is read
from the same runs. Seeds are independent of each other, so a run of B under one seed
minus a run of A under *another* is distributed exactly as the difference of two runs
without common luck; nothing is modelled and nothing is run twice. Two figures come of it:

- *variance*: ``(Var a + Var b) / Var (b - a)`` over seeds, the variance of unpaired
  differences over that of paired ones. So many times as many seeds would be needed for
  the same certainty without common luck.
- *interval*: the width of the interval that unpaired differences give over the width
  of the paired one; the same interval (order statistics of the median), from as many
  differences. Seeds are re-paired by rotation (the run of B under seed i + k with that of
  A under seed i); over all rotations the median width counts.

Where B has also been run under seeds of its own, its runs there stand in the place of
re-paired ones: then the unpaired differences are simulated, each seed used once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.sim.statistics import F64, Bounds, median_interval

ROTATIONS: Final = 99
"""So many are looked at, spread evenly; with fewer seeds there are fewer."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What pairing is worth for one figure."""

    variance: float | None
    """Infinite where paired differences do not vary at all; None where it means nothing."""
    interval: float | None
    """The same of widths; None with too few seeds, too."""
    unpaired: Bounds | None
    """The interval of the median that unpaired differences give."""
    simulated: bool
    """The unpaired differences come from seeds of their own, not from re-paired ones."""


def differences(a: F64, b: F64) -> F64:
    """Return b - a; never (infinite) in both is no change."""
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, b - a)


def narrowing(a: F64, b: F64, alpha: float, *, alone: F64 | None = None) -> Narrowing:
    """Compare paired with unpaired differences.

    Args:
        a: shape (seeds,), a figure of A by seed, infinite where it was never reached.
        b: the same of B, under the same seeds.
        alpha: the risk of the intervals.
        alone: shape (some,), the figure of B under seeds that A was not run under.
    """
    paired = differences(a, b)
    if alone is None:
        unpaired = _rotated(a, b, alpha)
        spread = _variance(a) + _variance(b)
    else:
        some = min(len(a), len(alone))
        apart = differences(a[:some], alone[:some])
        unpaired, spread = _interval(apart, alpha), _variance(apart)
    return Narrowing(
        variance=_ratio(spread, _variance(paired)),
        interval=_ratio(_width(unpaired), _width(_interval(paired, alpha))),
        unpaired=unpaired,
        simulated=alone is not None,
    )


def _rotated(a: F64, b: F64, alpha: float) -> Bounds | None:
    """Return the interval of median width among those of rotated pairs."""
    seeds = len(a)
    if seeds < 2:
        return None
    steps = np.linspace(1, seeds - 1, min(ROTATIONS, seeds - 1)).astype(np.int64)
    found = [_interval(differences(a, np.roll(b, -k)), alpha) for k in steps.tolist()]
    # Whether there is an interval depends on the number of seeds alone.
    bounds = sorted((x for x in found if x is not None), key=_width)
    return bounds[(len(bounds) - 1) // 2] if bounds else None


def _interval(values: F64, alpha: float) -> Bounds | None:
    return median_interval(values, alpha) if len(values) else None


def _width(bounds: Bounds | None) -> float:
    """Return how wide an interval is; not a number where there is none."""
    if bounds is None:
        return float("nan")
    return 0.0 if bounds.lower == bounds.upper else bounds.upper - bounds.lower


def _variance(values: F64) -> float:
    """Return the variance of a sample; not a number where it has none."""
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(values.var(ddof=1))


def _ratio(unpaired: float, paired: float) -> float | None:
    """Return how many times the one is the other; None where that means nothing."""
    if np.isnan(unpaired) or np.isnan(paired) or np.isinf(paired):
        return None
    if paired == 0:
        return float("inf") if unpaired > 0 else None
    return unpaired / paired
