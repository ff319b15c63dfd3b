"""States that are forgiven for a while: what lasts longer than a bound counts once."""

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER


class Lasting:
    """Entries that are in a bad state, and since when."""

    def __init__(self, bound_ns: int) -> None:
        self.bound_ns = bound_ns
        self._entries: I64 = np.zeros(0, dtype=np.int64)
        self._since_ns: I64 = np.zeros(0, dtype=np.int64)
        self._told: Bools = np.zeros(0, dtype=np.bool_)
        self._next_ns = NEVER

    def __len__(self) -> int:
        """Return how many entries are in the state."""
        return len(self._entries)

    def update(self, entries: I64, bad: Bools, now_ns: int) -> None:
        """Take the state of some entries (ascending, each once); the others are as before."""
        fine, ill = entries[~bad], entries[bad]
        if not len(ill) and not len(self._entries):
            return
        stays = ~np.isin(self._entries, fine, assume_unique=True)
        new = ill[~np.isin(ill, self._entries, assume_unique=True)]
        both = np.concatenate([self._entries[stays], new])
        order = np.argsort(both, kind="stable")
        since = np.full(len(new), now_ns, dtype=np.int64)
        self._entries = both[order]
        self._since_ns = np.concatenate([self._since_ns[stays], since])[order]
        self._told = np.concatenate([self._told[stays], np.zeros(len(new), dtype=np.bool_)])[order]
        self._plan()

    def over(self, now_ns: int) -> tuple[I64, I64]:
        """Return the entries for which it has just become too long, and since when it lasts."""
        if now_ns < self._next_ns:
            return np.zeros((2, 0), dtype=np.int64)[0], np.zeros(0, dtype=np.int64)
        at = np.flatnonzero(~self._told & (now_ns - self._since_ns > self.bound_ns))
        self._told[at] = True
        self._plan()
        return self._entries[at], self._since_ns[at]

    def _plan(self) -> None:
        waiting = self._since_ns[~self._told]
        self._next_ns = int(waiting.min()) + self.bound_ns + 1 if len(waiting) else NEVER
