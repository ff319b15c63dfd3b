"""Flaps: an entry that returns to a tunnel which it left shortly before.

A failover and the return after the fault are two moves; they count as a flap only if
the return comes within the window. So what is counted is restlessness: every move
back to where the entry was a moment ago.
"""

from typing import Final

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.forwarding import CANDIDATES
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO, SECOND

WINDOW_NS: Final = 10 * SECOND
"""A return after longer than this is no flap. It is as long as a kernel without its agent
holds a tunnel that came back (``Policy.kernel_hold_ns``), and much longer than any single
convergence."""

_NONE: Final = -2
_GROWTH: Final = 1024


class Flaps:
    """The tunnels that each entry left last, as many as it has candidates."""

    def __init__(self, entries: int) -> None:
        # Only entries that have moved have a place, hence the indirection.
        self._place: I32 = np.full(entries, -1, dtype=np.int32)
        self._places = 0
        # Left last, before that, and so on; a place each.
        self._rows: list[I32] = [np.zeros(0, dtype=np.int32)] * CANDIDATES
        self._left_ns: list[I64] = [np.zeros(0, dtype=np.int64)] * CANDIDATES

    def see(self, at_ns: I64, entries: I64, before: I32, after: I32) -> Bools:
        """Return which moves are flaps; moves are in order of (entry, time)."""
        self._make_room(entries)
        first = np.flatnonzero(np.diff(entries, prepend=-1))
        turn = np.arange(len(entries)) - np.repeat(first, np.diff(first, append=len(entries)))
        flaps = np.zeros(len(entries), dtype=np.bool_)
        for number in range(int(turn.max(initial=-1)) + 1):
            at = np.flatnonzero(turn == number)
            place = self._place.take(entries[at])
            flaps[at] = self._turn(place, at_ns[at], before[at], after[at])
        return flaps

    def _turn(self, place: I32, now_ns: I64, before: I32, after: I32) -> Bools:
        """Take one move of some entries each; return which are flaps."""
        flaps = np.zeros(len(place), dtype=np.bool_)
        left, since = before, now_ns
        for rows, left_ns in zip(self._rows, self._left_ns, strict=True):
            row, then = rows.take(place), left_ns.take(place)
            flaps |= (row == after) & (now_ns - then <= WINDOW_NS)
            rows[place], left_ns[place] = left, since
            left, since = row, then
        return flaps

    def _make_room(self, entries: I64) -> None:
        new = distinct(entries[self._place.take(entries) < 0])
        self._place[new] = np.arange(self._places, self._places + len(new), dtype=np.int32)
        self._places += len(new)
        more = self._places - len(self._rows[0])
        if more > 0:
            more = max(more, _GROWTH, len(self._rows[0]))
            row, left = np.full(more, _NONE, dtype=np.int32), np.full(more, LONG_AGO)
            self._rows = [np.concatenate([old, row]) for old in self._rows]
            self._left_ns = [np.concatenate([old, left]) for old in self._left_ns]
