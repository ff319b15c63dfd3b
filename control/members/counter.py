"""Numbers that grow with everything we say, also over restarts and jumps of the clock.

They follow the wall clock, so that a site whose files are lost goes on above what it has
said. A clock can be set back: a *ceiling* is kept in a file, numbers up to it may be in
use, and the next start begins above it. It is moved up before it is reached.
"""

from typing import Final

from patronus.engine.units import MINUTE

RESERVE: Final = 10 * MINUTE
"""As far is the ceiling moved up beyond the last number; the file is written half as often.
After each restart the numbers may run ahead of the clock by as much, which harms nobody."""

_MOST: Final = 2**63
"""A clock beyond the year 2262 is not believed: numbers must not run out of their 64 bits."""

CEILING_MAX: Final = _MOST + 2**62
"""It takes millions of restarts, each soon after the last, to come here; a file that says more
is not ours."""


class Counter:
    """The counter of one site."""

    def __init__(self, ceiling: int, wall_ns: int) -> None:
        """Begin above the ceiling that was kept (0: none was)."""
        self.last = max(ceiling, min(wall_ns, _MOST), 1)
        self.ceiling = ceiling

    def next(self, wall_ns: int) -> int:
        """Return the next number."""
        self.last = max(self.last + 1, min(wall_ns, _MOST))
        return self.last

    @property
    def due(self) -> bool:
        """Whether the ceiling should be moved up now."""
        return self.last > self.ceiling - RESERVE // 2

    @property
    def overdue(self) -> bool:
        """Whether numbers are in use that the next start might use again."""
        return self.last > self.ceiling

    def raised(self) -> int:
        """Return what the ceiling should be; set it once that is on the disk."""
        return self.last + RESERVE
