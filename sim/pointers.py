"""Which tunnel carried an entry at an instant of the slot that has just ended."""

from collections.abc import Sequence

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.sim.exposures import Move
from patronus.sim.lookup import Index


class Pointers:
    """The forwarding pointers in time: where they stood, and how they moved."""

    def __init__(self, used: I32, moves: Sequence[Move]) -> None:
        """Take the row of every entry when the slot began, and what moved in it."""
        self._used = used
        self._entries = self._times = none = np.zeros(0, dtype=np.int64)
        self._rows = none.astype(np.int32)
        if not moves:
            return
        entries = np.concatenate([none, *(m.entries for m in moves)])
        times = np.repeat([m.at_ns for m in moves], [len(m.entries) for m in moves])
        rows = np.concatenate([none.astype(np.int32), *(m.rows for m in moves)])
        order = np.argsort(entries, kind="stable")
        if np.any(times[1:] < times[:-1]):  # mostly they come in order of time
            order = np.lexsort((times, entries))
        self._entries, self._times = entries[order], times[order].astype(np.int64)
        self._rows = rows[order]
        self._index = Index(self._entries)

    def rows(self, entries: I64, at_ns: I64) -> I32:
        """Return the rows of entries at instants; ``at_ns`` has a row for each entry."""
        rows = np.repeat(self._used[entries][:, None], at_ns.shape[1], axis=1)
        if not len(self._entries):  # mostly nothing has moved
            return rows
        low, count = self._index.find(entries)
        for turn in range(int(count.max(initial=0))):
            move = low + turn
            has = np.flatnonzero(turn < count)
            since = at_ns[has] >= self._times[move[has]][:, None]
            rows[has] = np.where(since, self._rows[move[has]][:, None], rows[has])
        return rows

    def at(self, entries: I64, at_ns: I64) -> I32:
        """Return the row of each entry at its instant."""
        return self.rows(entries, at_ns[:, None])[:, 0]
