"""One-way delays of many rows, without clocks that agree.

    out   = reflected - sent     = delay of the way out  + offset of the peer's clock
    back  = arrived - reflected  = delay of the way back - that offset

Neither delay is negative, so each sample proves that the offset lies in [-back, out]. As long
as the clocks run, what samples prove overlaps, widened by ``DRIFT_PPM`` of the time between
them. Where it does not, a clock was set (or the peer started again): the row's baselines begin
anew there. A step within a round trip cannot be told from a change of the two delays.

Differences are over a baseline, the least seen in the present window of ``WINDOW_NS`` and the
one before. Clocks that drift apart by 20 ppm so falsify them by 2.4 ms at most; the round trip
and its jitter, by which the engine decides, are not touched.

Jitter is that of RFC 3550 section A.8, for each way, kept times 16.
"""

from typing import Final, NamedTuple

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import PPM, SECOND

DRIFT_PPM: Final = 500
"""Between two clocks: several times what quartz differs by when nobody sets it."""

WINDOW_NS: Final = 60 * SECOND

UNKNOWN: Final = -1

_UNSEEN: Final = -(2**62)
_FAR: Final = 2**62


class OneWay(NamedTuple):
    """What one sample of each row tells of its two ways."""

    out_ns: I64
    """Above the baseline of the way out."""
    back_ns: I64
    stepped: Bools
    """Rows whose baselines began anew because a clock was set."""


class Delays:
    """The baselines of many rows."""

    def __init__(self, rows: int) -> None:
        """Create baselines of rows of which nothing is known."""
        self.steps: I64 = np.zeros(rows, dtype=np.int64)
        """Clock steps seen."""
        self._at_ns: I64 = np.full(rows, _UNSEEN, dtype=np.int64)
        self._window_ns: I64 = np.zeros(rows, dtype=np.int64)
        self._offset: I64 = np.zeros((2, rows), dtype=np.int64)
        # Least of this window and of the one before, by way.
        self._least: I64 = np.full((2, 2, rows), _FAR, dtype=np.int64)
        self._last: I64 = np.zeros((2, rows), dtype=np.int64)
        self._jitter_x16: I64 = np.full((2, rows), UNKNOWN * 16, dtype=np.int64)

    def observe(self, rows: I64, *, sent_ns: I64, reflected_ns: I64, arrived_ns: I64) -> OneWay:
        """Take one sample of some rows, in order of time for each row.

        Args:
            rows: the rows meant, ascending; every array has one element for each.
            sent_ns: by our clock, as ``arrived_ns``.
            reflected_ns: by the peer's.
            arrived_ns: not before it was sent.
        """
        ways: I64 = np.stack([reflected_ns - sent_ns, arrived_ns - reflected_ns])
        new = self._at_ns[rows] == _UNSEEN
        stepped = ~self._narrow(rows, ways, arrived_ns) & ~new
        self.steps[rows] += stepped
        self._begin(rows[new | stepped], ways[:, new | stepped], arrived_ns[new | stepped])
        self._turn(rows, arrived_ns)
        self._shake(rows, ways)
        self._at_ns[rows] = arrived_ns
        self._least[0][:, rows] = np.minimum(self._least[0][:, rows], ways)
        above = ways - self._least[:, :, rows].min(axis=0)
        return OneWay(above[0], above[1], stepped)

    def jitter_ns(self, rows: I64) -> I64:
        """Return the jitter of the ways out and back, shape (2, rows), -1 before two samples."""
        jitter_ns: I64 = self._jitter_x16[:, rows] >> 4
        return jitter_ns

    def _narrow(self, rows: I64, ways: I64, arrived_ns: I64) -> Bools:
        """Intersect what is known of the offset with a sample; tell where anything is left."""
        slack_ns = (arrived_ns - self._at_ns[rows]) // (PPM // DRIFT_PPM)
        low = np.maximum(self._offset[0, rows] - slack_ns, -ways[1])
        high = np.minimum(self._offset[1, rows] + slack_ns, ways[0])
        self._offset[0, rows], self._offset[1, rows] = low, high
        fits: Bools = low <= high
        return fits

    def _begin(self, rows: I64, ways: I64, arrived_ns: I64) -> None:
        self._offset[0, rows], self._offset[1, rows] = -ways[1], ways[0]
        self._least[:, :, rows] = _FAR
        self._window_ns[rows] = arrived_ns
        self._last[:, rows] = ways  # a step is no jitter

    def _turn(self, rows: I64, arrived_ns: I64) -> None:
        """Begin a new window where the present one is over."""
        over = rows[arrived_ns - self._window_ns[rows] >= WINDOW_NS]
        self._least[1][:, over] = self._least[0][:, over]
        self._least[0][:, over] = _FAR
        self._window_ns[over] = arrived_ns[np.searchsorted(rows, over)]

    def _shake(self, rows: I64, ways: I64) -> None:
        jitter = self._jitter_x16[:, rows]
        known = self._at_ns[rows] != _UNSEEN
        before = np.maximum(jitter, 0)
        after = before + np.abs(ways - self._last[:, rows]) - ((before + 8) >> 4)
        self._jitter_x16[:, rows] = np.where(known, after, jitter)
        self._last[:, rows] = ways
