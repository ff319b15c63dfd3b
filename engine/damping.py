"""Fast down, slow up: how long a tunnel that came back must prove itself.

    hold = min(hold_ns << flaps, hold_max_ns)

``flaps`` counts the remembered times that a tunnel failed, the latest one included. What
befalls it before it has come through a hold again is the same story and counts once: a
brownout alarm, the silence after it, an SLA found broken meanwhile. One flap is forgotten
for each whole ``decay_ns`` of an unbroken time of being up, which ends a story, too (some
tunnels break the SLA of some class for ever). Memory is bounded: no more flaps are kept
than it takes to reach the longest hold, so a tunnel that flapped all night is forgiven as
soon as one that flapped a few times.

Leaving a dead path is never damped; nothing here is asked about that.
"""

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER


class Damper:
    """The flaps of every row. Updates are sparse: ``rows`` are the few that changed."""

    __slots__ = ("_damping", "_enabled", "_fallen", "_flaps_max", "flaps", "up_ns")

    def __init__(self, rows: int, policy: Policy) -> None:
        """Create a clean record; with ``features.damping`` off it stays clean.

        Raises:
            ValueError: a negative hold, or a decay that is not positive.
        """
        damping = policy.damping
        if damping.hold_ns < 0 or damping.hold_max_ns < 0 or damping.decay_ns <= 0:
            raise ValueError(f"damping needs holds >= 0 and a decay > 0, not {damping}")
        self._damping = damping
        self._enabled = policy.features.damping
        self._flaps_max = _doublings(damping.hold_ns, damping.hold_max_ns) if self._enabled else 0
        self.flaps: I32 = np.zeros(rows, dtype=np.int32)
        """As of the last flap; what was forgotten since is taken off on reading."""
        self.up_ns: I64 = np.full(rows, NEVER, dtype=np.int64)
        """Since when each row has been up without a flap, ``NEVER`` while it is down."""
        self._fallen: Bools = np.zeros(rows, dtype=np.bool_)
        """Failed, and has come through no hold since."""

    def flap(self, rows: I64, at_ns: int, *, still_up: bool = False) -> None:
        """Remember that rows failed.

        Args:
            rows: each once.
            at_ns: when.
            still_up: they failed an SLA only, and go on forgetting.
        """
        flaps = self.remembered(rows, at_ns)
        again = self._fallen[rows] & (flaps == self.flaps[rows])
        self.flaps[rows] = np.minimum(flaps + ~again, self._flaps_max)
        self.up_ns[rows] = at_ns if still_up else NEVER
        self._fallen[rows] = True

    def up(self, rows: I64, at_ns: int) -> None:
        """Note that rows, which are up, have come through their hold: from now on they forget."""
        self.up_ns[rows] = np.minimum(self.up_ns[rows], at_ns)
        self._fallen[rows] = False

    def forget(self, rows: I64) -> None:
        """Give rows a clean record (their agent lost its memory)."""
        self.flaps[rows] = 0
        self.up_ns[rows] = NEVER
        self._fallen[rows] = False

    def hold_ns(self, rows: I64, now_ns: int) -> I64:
        """Return how long each row must be good before it counts as good."""
        if not self._enabled:
            return np.zeros(len(rows), dtype=np.int64)
        flaps = self.remembered(rows, now_ns).astype(np.int64)
        holds: I64 = np.left_shift(self._damping.hold_ns, flaps)
        return np.minimum(holds, self._damping.hold_max_ns)

    def remembered(self, rows: I64, now_ns: int) -> I32:
        """Return the flaps that are not forgotten yet."""
        up_ns = self.up_ns[rows]
        # The minimum keeps NEVER, and an "up" that is still to come, from going below 0.
        forgotten = (now_ns - np.minimum(up_ns, now_ns)) // self._damping.decay_ns
        left: I32 = np.maximum(self.flaps[rows] - forgotten, 0).astype(np.int32)
        return left


def _doublings(hold_ns: int, limit_ns: int) -> int:
    """Return the number of doublings that reach the limit; 0 for a hold of 0."""
    count = 0
    while 0 < hold_ns << count < limit_ns:
        count += 1
    return count
