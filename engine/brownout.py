"""Brownouts: a tunnel that still answers, but has become worse.

Two sequential tests run on every row, on counted packets (:mod:`lossshift`) and on
round trips (:mod:`delayshift`). They decide as soon as the evidence suffices, not at the
end of a window, and neither sees silence: that is the matter of liveness.

An alarm says that the level has changed; it makes the engine look at once. What it then
decides with is ``loss.estimate_ppm``, the loss since the change. ``docs/detection.md``
says how fast that is and how often it is wrong.
"""

import numpy as np
import numpy.typing as npt

from patronus.engine.arrays import Rows, distinct
from patronus.engine.delayshift import DelayShift
from patronus.engine.lossshift import LossShift, Shift
from patronus.engine.overlay import I64


class Brownout:
    """Both tests of many rows."""

    def __init__(self, rows: int) -> None:
        """Create tests of rows of which nothing is known."""
        self.loss = LossShift(rows)
        self.delay = DelayShift(rows)

    def observe_loss(self, rows: Rows, *, sent: I64, lost: I64) -> Shift:
        """Count packets: ``lost`` of ``sent``, one batch a row. Return changes of alarms."""
        return self.loss.observe(rows, sent=sent, lost=lost)

    def observe_delay(self, rows: Rows, *, rtt_ns: I64, jitter_ns: I64) -> Shift:
        """Take round trips (negative: none), one a row. Return changes of alarms."""
        return self.delay.observe(rows, rtt_ns=rtt_ns, jitter_ns=jitter_ns)

    def rotate(self, rows: Rows) -> I64:
        """Let an evaluation interval pass; call it once for each.

        Returns:
            Rows, ascending, of which an alarm has ended because its level is now the
            usual one. (Alarms that end because the level is the old one again are
            reported as cleared by the call that sees it.)
        """
        return distinct(np.concatenate([self.loss.rotate(rows), self.delay.rotate(rows)]))

    def alarmed(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Say which rows are alarmed, for loss or for delay."""
        either: npt.NDArray[np.bool_] = self.loss.alarmed[rows] | self.delay.alarmed[rows]
        return either

    def estimate_ppm(self, rows: Rows) -> I64:
        """Return the loss since the change point of rows alarmed for loss, else -1."""
        estimate: I64 = self.loss.estimate_ppm[rows]
        return estimate

    def count_anew(self, rows: I64) -> None:
        """Drop alarms and suspicions of loss; what is usual stays known."""
        self.loss.calm(rows)

    def forget(self, rows: Rows) -> None:
        """Make rows unknown again."""
        self.loss.forget(rows)
        self.delay.forget(rows)
