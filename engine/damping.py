"""Fast down, slow up: how long a tunnel that came back must prove itself.

    hold after a return = min(hold_ns << flaps, hold_max_ns)

``flaps`` counts the returns that are remembered, the present one not included, so
the first return waits just ``hold_ns``. One is forgotten for each whole ``decay_ns`` of
an unbroken time of being up; a broken hold counts as well. Memory is bounded: no more
flaps are kept than it takes to reach the longest hold.

Leaving a dead path is never damped; nothing here is asked about that.
"""

import numpy as np
import numpy.typing as npt

from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Damping
from patronus.engine.units import NEVER


class Dampers:
    """The flaps of every row. Updates are sparse: ``rows`` are the few that changed."""

    __slots__ = ("_flaps_max", "_policy", "flaps", "up_ns")

    def __init__(self, rows: int, policy: Damping, *, enabled: bool = True) -> None:
        """Create dampers with a clean record.

        Args:
            rows: number of tunnels.
            policy: the times.
            enabled: off: every hold is 0 and nothing is remembered.

        Raises:
            ValueError: a negative hold, or a decay that is not positive.
        """
        if policy.hold_ns < 0 or policy.hold_max_ns < 0 or policy.decay_ns <= 0:
            raise ValueError(f"damping needs holds >= 0 and a decay > 0, not {policy}")
        self._policy = policy if enabled else Damping(0, 0, policy.decay_ns)
        self._flaps_max = _shifts_to(self._policy.hold_ns, self._policy.hold_max_ns)
        self.flaps: I32 = np.zeros(rows, dtype=np.int32)
        self.up_ns: I64 = np.full(rows, NEVER, dtype=np.int64)
        """Since when each row has been up, ``NEVER`` while it is not."""

    def returned(self, rows: I64) -> I64:
        """Return the hold of rows that are heard again, and remember the return."""
        hold_ns = np.left_shift(np.int64(self._policy.hold_ns), self.flaps[rows].astype(np.int64))
        self.flaps[rows] = np.minimum(self.flaps[rows] + 1, self._flaps_max)
        return np.minimum(hold_ns, self._policy.hold_max_ns)

    def went_up(self, rows: I64, at_ns: npt.ArrayLike) -> None:
        """Note that the hold of some rows has elapsed."""
        self.up_ns[rows] = at_ns

    def went_down(self, rows: I64, at_ns: npt.ArrayLike) -> None:
        """Note that some rows are down; those that were up forget as they deserve."""
        self.flaps[rows] = self.remembered(rows, at_ns)
        self.up_ns[rows] = NEVER

    def remembered(self, rows: I64, at_ns: npt.ArrayLike) -> I32:
        """Return the flaps still remembered at a time."""
        at_ns, up_ns = np.asarray(at_ns, dtype=np.int64), self.up_ns[rows]
        # Not "at - NEVER", which wraps in the warm-up's negative times.
        up_for = np.where(up_ns == NEVER, 0, at_ns - np.minimum(up_ns, at_ns))
        forgotten = np.minimum(up_for // self._policy.decay_ns, self.flaps[rows])
        left: I32 = self.flaps[rows] - forgotten.astype(np.int32)
        return left


def _shifts_to(hold_ns: int, limit_ns: int) -> int:
    """Return the number of doublings that reach the limit; 0 when none ever does."""
    shifts = 0
    while 0 < hold_ns << shifts < limit_ns:
        shifts += 1
    return shifts
