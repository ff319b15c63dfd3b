"""States that are forgiven for a while, and who has been in one for too long.

Both classes keep one small number an entry and a queue of who fell ill when, so that
looking at them costs nothing while nobody does.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import SECOND
from patronus.sim.wire import WINDOW_NS

GRACE_NS: Final = SECOND
"""Nobody looks for another way sooner: nearly every failure is over by then."""

_WELL: Final = np.iinfo(np.int32).min


class Lasting:
    """Entries that are in a bad state; what lasts longer than a bound comes out once."""

    def __init__(self, entries: int, bound_ns: int) -> None:
        self._bound_ns = bound_ns
        # Times are numbers of steps of the grid, to be small.
        self._since: I32 = np.full(entries, _WELL, dtype=np.int32)
        self._queue: deque[tuple[int, I64]] = deque()

    def update(self, entries: I64, bad: Bools, now_ns: int) -> None:
        """Take the state of some entries on the grid; the others are as before."""
        step = now_ns // WINDOW_NS
        self._since[entries[~bad]] = _WELL
        ill = entries[bad]
        new = ill[self._since[ill] == _WELL]
        if len(new):
            self._since[new] = step
            self._queue.append((step, new))

    def over(self, now_ns: int) -> I64:
        """Return the entries for which it has just become too long."""
        found = [np.zeros(0, dtype=np.int64)]
        while self._queue and now_ns - self._queue[0][0] * WINDOW_NS > self._bound_ns:
            step, entries = self._queue.popleft()
            found.append(entries[self._since[entries] == step])
        return np.concatenate(found)


class Patience:
    """From a bad way to a violation.

    A way that has been bad for a second is *examined*: is there another one? When there
    has been one without a break for the rest of the bound, too, nobody can say that
    nothing could be done, and that is a violation.
    """

    def __init__(self, entries: int, bound_ns: int, has_other: Callable[[I64], Bools]) -> None:
        self._has_other, self.bound_ns = has_other, bound_ns
        self._bad = Lasting(entries, GRACE_NS)
        self._needless = Lasting(entries, bound_ns - GRACE_NS)
        self._examined: Bools = np.zeros(entries, dtype=np.bool_)

    def update(self, entries: I64, bad: Bools, now_ns: int) -> None:
        """Take the state of the ways of some entries."""
        self._bad.update(entries, bad, now_ns)
        fine = entries[~bad]
        fine = fine[self._examined[fine]]
        self._examined[fine] = False
        self._needless.update(fine, np.zeros(len(fine), dtype=np.bool_), now_ns)

    @property
    def examined(self) -> I64:
        """The entries whose way has been bad for a second, ascending."""
        return np.flatnonzero(self._examined)

    def examine(self, again: I64, now_ns: int) -> I64:
        """Return the violations of now; some examined entries may have other ways than before."""
        ripe = self._bad.over(now_ns)
        self._examined[ripe] = True
        entries = np.concatenate([ripe, again[self._examined[again]]])
        if len(entries):
            self._needless.update(entries, self._has_other(entries), now_ns)
        return self._needless.over(now_ns)
