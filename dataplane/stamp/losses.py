"""Losses of many rows, from counters that only grow.

The peer tells how many packets we had sent by the newest one that it heard, and how many it
had heard by then; the difference is what the way out lost. Of the way in we tell the same by
ourselves. Counters are 32-bit serial numbers (RFC 1982) and may begin anew when an end does:
a counter that goes back rebases the row, and what was lost across that is not known.

A packet that was overtaken is missing at first. So losses are cumulative and only what exceeds
the most ever reported is new: what turns up later is not reported, and not made up for twice.
"""

from typing import Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools

_HALF: Final = 2**31
_MASK: Final = 2**32 - 1


class Losses:
    """Counts of one kind of packet in one direction of many rows."""

    def __init__(self, rows: int) -> None:
        """Create counts of which nothing is known."""
        self.sent: I64 = np.zeros(rows, dtype=np.int64)
        """Packets since the first report."""
        self.lost: I64 = np.zeros(rows, dtype=np.int64)
        """Of those."""
        self.rebased: I64 = np.zeros(rows, dtype=np.int64)
        """How often a counter of the row began anew."""
        self._missing: I64 = np.zeros(rows, dtype=np.int64)
        self._seen: Bools = np.zeros(rows, dtype=np.bool_)
        self._last: I64 = np.zeros((2, rows), dtype=np.int64)

    def take(self, rows: I64, *, told: I64, heard: I64) -> tuple[I64, I64]:
        """Take a report on some rows (each once); return what was sent and lost since the last.

        Args:
            rows: the rows meant.
            told: packets that the sender had sent.
            heard: of those, how many the receiver had.
        """
        now: I64 = np.stack([told, heard])
        step = (now - self._last[:, rows]) & _MASK
        back = (step >= _HALF).any(axis=0)
        known = self._seen[rows] & ~back
        self.rebased[rows] += self._seen[rows] & back
        step[:, ~known] = 0
        self._last[:, rows], self._seen[rows] = now, True
        self._missing[rows] = np.where(known, self._missing[rows] + step[0] - step[1], 0)
        self._missing[rows[back]] = 0
        return self._report(rows, step[0])

    def _report(self, rows: I64, sent: I64) -> tuple[I64, I64]:
        self.sent[rows] += sent
        lost = np.clip(self._missing[rows], 0, sent)
        self.lost[rows] += lost
        # What was reported is not missing any more; what turns up later leaves a credit.
        self._missing[rows] -= lost
        return sent, lost
