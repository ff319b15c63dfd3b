"""Losses of large packets while small ones arrive: suspected black holes, kept from the engine.

A path that has begun to drop packets above some size loses all of them, and a smaller tunnel MTU
mends it. So packets of the largest bucket that went out one after another without one having been
heard are not told to the engine yet; each of them may be such a loss, and the path is asked. The
engine gets to know of them once a large one is heard again, or when none is for ``HOLD_NS``; if
the MTU was lowered it never does.

Counts of what a peer has heard have 16 bits, so between two looks fewer than that may pass: at
100 ms that is 7.8 Gbit/s. Beyond it, a count may seem to stand still, and a probe is sent in vain.
"""

from typing import Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import MS, NEVER, SECOND

RUN: Final = 4
"""Large packets in a row that nobody heard: at 20 % of independent loss, one run in 600."""
WINDOW: Final = 16
"""Large packets of which half are lost: as it is where only some are too large."""
ASK_NS: Final = 300 * MS
"""Between two suspicions of a row."""
HOLD_NS: Final = 2 * SECOND
"""The engine's own bar for losses of a fifth. Three probes of four round trips of 160 ms fit in."""
FORGIVE_NS: Final = 1 * SECOND
"""What was under way when an MTU was lowered is lost as well."""


class LargeLosses:
    """Of many rows."""

    def __init__(self, rows: int) -> None:
        """Create counts of which nothing is known."""
        self._last: I64 = np.full((2, rows), -1, dtype=np.int64)
        self._run: I64 = np.zeros(rows, dtype=np.int64)
        """Large packets since one was heard."""
        self._held: I64 = np.zeros(rows, dtype=np.int64)
        """Losses that the engine was not told of."""
        self._since_ns: I64 = np.full(rows, NEVER, dtype=np.int64)
        """Of the run."""
        self._window: I64 = np.zeros((2, rows), dtype=np.int64)
        """Sent and lost."""
        self._asked_ns: I64 = np.full(rows, -ASK_NS, dtype=np.int64)
        self._forgiven_ns: I64 = np.zeros(rows, dtype=np.int64)
        """Until then no loss counts."""

    def take(
        self, rows: I64, *, sent: I64, lost: I64, large: tuple[I64, I64], now_ns: int
    ) -> tuple[I64, I64]:
        """Take what was sent and lost on some rows; return what the engine shall know of it.

        Args:
            rows: each once.
            sent: packets of all sizes since the last call.
            lost: of those.
            large: of the largest, what was sent in all, and what the peer had heard: the lower 32
                and 16 bits.
            now_ns: the time.
        """
        gone, heard = self._steps(rows, *large)
        self._note(rows, gone, heard, now_ns)
        over = (heard > 0) | (now_ns - self._since_ns[rows] > HOLD_NS)
        mended = self._forgiven_ns[rows] > now_ns
        doubtful = np.where(over | mended, 0, np.maximum(self._run[rows] - self._held[rows], 0))
        kept = np.minimum(lost, doubtful)
        released = np.where(over, self._held[rows], 0)
        self._held[rows] = self._held[rows] - released + kept
        lost = np.where(mended, 0, lost - kept + released)
        return np.maximum(sent - kept + released, lost), lost

    def suspects(self, now_ns: int) -> I64:
        """Return the rows whose paths should be asked now; each at most once in ``ASK_NS``."""
        sent, lost = self._window
        doubted: Bools = (self._run >= RUN) | ((sent >= WINDOW) & (2 * lost >= sent))
        rows = np.flatnonzero(doubted & (now_ns - self._asked_ns >= ASK_NS))
        self._asked_ns[rows] = now_ns
        self._window[:, sent >= WINDOW] = 0
        return rows

    def fitted(self, rows: I64, now_ns: int) -> None:
        """The MTU of rows was changed: what was kept back has had its cause."""
        self._forgiven_ns[rows[self._run[rows] > 0]] = now_ns + FORGIVE_NS
        self._run[rows] = self._held[rows] = 0
        self._since_ns[rows] = NEVER
        self._window[:, rows] = 0

    def _steps(self, rows: I64, sent: I64, heard: I64) -> tuple[I64, I64]:
        before = self._last[:, rows]
        self._last[:, rows] = sent, heard
        known = before[0] >= 0
        gone = np.where(known, (sent - before[0]) % 2**32, 0)
        return gone, np.where(known, (heard - before[1]) % 2**16, 0)

    def _note(self, rows: I64, gone: I64, heard: I64, now_ns: int) -> None:
        run = np.where(heard > 0, 0, self._run[rows] + gone)
        begins = (self._since_ns[rows] == NEVER) & (run > 0)
        self._since_ns[rows] = np.where(
            run == 0, NEVER, np.where(begins, now_ns, self._since_ns[rows])
        )
        self._run[rows] = run
        self._window[0, rows] += gone
        self._window[1, rows] += np.maximum(gone - heard, 0)
