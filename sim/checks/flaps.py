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
        self._row: I32 = np.full((0, CANDIDATES), _NONE, dtype=np.int32)
        self._left_ns: I64 = np.full((0, CANDIDATES), LONG_AGO, dtype=np.int64)

    def see(self, at_ns: I64, entries: I64, before: I32, after: I32) -> Bools:
        """Return which moves are flaps; moves are in order of (entry, time)."""
        self._make_room(entries)
        first = np.flatnonzero(np.diff(entries, prepend=-1))
        turn = np.arange(len(entries)) - np.repeat(first, np.diff(first, append=len(entries)))
        flaps = np.zeros(len(entries), dtype=np.bool_)
        for number in range(int(turn.max(initial=-1)) + 1):
            at = np.flatnonzero(turn == number)
            place, now = self._place[entries[at]], at_ns[at]
            same = self._row[place] == after[at, None]
            recent = now[:, None] - self._left_ns[place] <= WINDOW_NS
            flaps[at] = (same & recent).any(axis=1)
            for ring, value in ((self._row, before[at]), (self._left_ns, now)):
                ring[place, 1:] = ring[place, :-1]
                ring[place, 0] = value
        return flaps

    def _make_room(self, entries: I64) -> None:
        new = distinct(entries[self._place[entries] < 0])
        self._place[new] = np.arange(self._places, self._places + len(new), dtype=np.int32)
        self._places += len(new)
        more = self._places - len(self._row)
        if more > 0:
            shape = (max(more, _GROWTH, len(self._row)), CANDIDATES)
            self._row = np.concatenate([self._row, np.full(shape, _NONE, dtype=np.int32)])
            left = np.full(shape, LONG_AGO, dtype=np.int64)
            self._left_ns = np.concatenate([self._left_ns, left])
