"""How often members speak, and how long they wait; jitter keeps them from doing it together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from patronus.engine.units import MINUTE, MS, PPM, SECOND

Jitter = Callable[[str, int], int]
"""Parts per million below one whole, from a name and a number: equal for equal ones."""


class Moment(NamedTuple):
    """The time: timers follow the first clock, counters and dates the second."""

    now_ns: int
    """Of the monotonic clock."""
    wall_ns: int
    """Since 1970; it may jump."""


@dataclass(frozen=True, slots=True)
class Timing:
    """All intervals of the membership."""

    keepalive_ns: int = 5 * SECOND
    """Probes watch the paths; this is for sites that have nothing to announce."""
    stale_ns: int = 26 * SECOND
    """A peer is out after so much silence: three keepalives may be lost, four come late."""
    retry_ns: int = SECOND
    """First wait for an answer; doubled with each attempt ..."""
    retry_max_ns: int = MINUTE
    """... up to this."""
    refresh_ns: int = 10 * MINUTE
    """Seeds are asked so often for members that we have not heard of."""
    gather_ns: int = 20 * MS
    """Pieces that come within this are acknowledged together."""
    farewell_ns: int = 200 * MS
    """Between two farewells to those who have not acknowledged it."""

    def backoff_ns(self, attempts: int) -> int:
        """Return how long to wait after some attempts in vain."""
        return min(self.retry_ns << min(attempts, 32), self.retry_max_ns)


def spread(interval_ns: int, share_ppm: int) -> int:
    """Return between three and five quarters of an interval."""
    return interval_ns * 3 // 4 + interval_ns * share_ppm // (2 * PPM)
