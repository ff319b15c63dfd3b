"""Measurements taken several times: their median, and how far apart they were."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Spread:
    """The same thing, measured at least once."""

    values: tuple[float, ...]
    """Wall time in seconds, in the order in which they were taken."""
    cpu: tuple[float, ...] = ()
    """Of this process meanwhile; on a busy machine this says more. Empty where it is unknown."""

    @property
    def median(self) -> float:
        """The middle one; of an even number the mean of both."""
        return float(median(self.values))

    def record(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        found: dict[str, Any] = {
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
        }
        if self.cpu:
            found |= {"cpu_median": float(median(self.cpu)), "cpu_values": list(self.cpu)}
        return found


class Clock:
    """Times work as often as it is asked to."""

    def __init__(self) -> None:
        self._walls: list[float] = []
        self._cpus: list[float] = []

    def time(self, work: Callable[[], Result]) -> Result:
        """Do some work once, and return what it returns."""
        began, cpu = perf_counter(), process_time()
        done = work()
        self._walls.append(perf_counter() - began)
        self._cpus.append(process_time() - cpu)
        return done

    @property
    def spread(self) -> Spread:
        """What it took so far."""
        return Spread(tuple(self._walls), tuple(self._cpus))


def timed(work: Callable[[], object], runs: int) -> Spread:
    """Do some work several times; what it returns is thrown away."""
    clock = Clock()
    for _ in range(runs):
        clock.time(work)
    return clock.spread
