"""Measurements taken several times: their median, and how far apart they were."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """The same thing, measured at least once."""

    values: tuple[float, ...]
    """In seconds, in the order in which they were taken."""

    @property
    def median(self) -> float:
        """The middle one; of an even number the mean of both."""
        return float(median(self.values))

    def record(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
        }


def timed(work: Callable[[], object], runs: int) -> Spread:
    """Do some work several times; what it returns is thrown away."""
    return Spread(tuple(seconds(work) for _ in range(runs)))


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    began = perf_counter()
    work()
    return perf_counter() - began
