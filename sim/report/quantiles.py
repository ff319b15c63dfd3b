"""Nearest-rank percentiles of durations, in which ``NEVER`` is the largest."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from patronus.engine.overlay import I64
from patronus.engine.units import NEVER, PPM

CURVE_POINTS = 400
"""A drawn distribution has at most about this many steps; more cannot be seen."""


@dataclass(frozen=True, eq=False)
class Quantiles:
    """A sample of durations in ns, sorted; those never reached stand at the end."""

    ordered: I64

    @classmethod
    def of(cls, durations: "pd.Series[int] | Iterable[int] | npt.NDArray[np.int64]") -> "Quantiles":
        """Sort a sample; negative entries mean "does not apply" and are left out."""
        values = np.asarray(
            list(durations)
            if isinstance(durations, Iterable) and not hasattr(durations, "__array__")
            else durations,
            dtype=np.int64,
        )
        return cls(np.sort(values[values >= 0]))

    @property
    def count(self) -> int:
        """Number of durations, those never reached included."""
        return len(self.ordered)

    @property
    def reached(self) -> I64:
        """The finite durations."""
        return self.ordered[: self.count - self.never]

    @property
    def never(self) -> int:
        """How many were never reached."""
        return self.count - int(np.searchsorted(self.ordered, NEVER))

    @property
    def worst_ns(self) -> int:
        """The longest, ``NEVER`` if one was never reached."""
        return self.at(PPM)

    def at(self, ppm: int) -> int:
        """Return the nearest-rank percentile.

        Raises:
            ValueError: the sample is empty.
        """
        if not self.count:
            raise ValueError("an empty sample has no percentile")
        rank = max(1, -(-ppm * self.count // PPM))
        return int(self.ordered[rank - 1])

    def steps(self) -> tuple[I64, I64]:
        """Return (duration, how many are at most that long) of a curve fit for drawing."""
        values, counts = np.unique(self.reached, return_counts=True)
        below = np.cumsum(counts)
        if len(values) > CURVE_POINTS:
            levels = np.linspace(1, below[-1], CURVE_POINTS)
            keep = np.unique(np.searchsorted(below, levels))
            values, below = values[keep], below[keep]
        return values, below
