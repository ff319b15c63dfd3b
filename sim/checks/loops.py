"""Forwarding loops: a walk of the tables that comes back to a site.

Packets cannot loop, since transit has a budget of one. The tables are held to more
than that: every walk, the budget ignored, must end. The table of one (destination,
class) gives each site at most one next site, so a site is on at most one cycle, and
a cycle can only appear with a move of one of its own entries. Hence it is enough to
walk from the entries that moved, and only where some next site sends on, too.
"""

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.sim.checks.ways import Ways

Cycle = tuple[int, ...]
"""Entries of one (destination, class), the smallest first."""


class Loops:
    """The cycles that are there at present."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._of: dict[int, Cycle] = {}
        """By entry: the cycle it is on."""
        self._on: Bools = np.zeros(ways.space.entries, dtype=np.bool_)

    def at_start(self) -> list[Cycle]:
        """Return the cycles in the tables as they are."""
        astray = np.flatnonzero(self._ways.second == -1)
        return self._cycles(astray)

    def replay(self, at_ns: I64, entries: I64, rows: I32) -> list[tuple[int, Cycle]]:
        """Return the cycles that appear as some entries move, with their times.

        The moves are in order of time; those of one instant happen at once.
        """
        suspects = self._suspects(entries, rows)
        if not suspects.any():
            return []
        at_ns, entries, rows = at_ns[suspects], entries[suspects], rows[suspects]
        cuts = np.flatnonzero(np.diff(at_ns)) + 1
        times = at_ns[np.concatenate([[0], cuts])].tolist()
        found: list[tuple[int, Cycle]] = []
        for when, moved, to in zip(
            times, np.split(entries, cuts), np.split(rows, cuts), strict=True
        ):
            self._ways.first[moved] = to
            broken = self._break(moved)
            # A cycle that stays, over other tunnels, has not appeared anew.
            found += [(when, c) for c in self._cycles(moved) if c not in broken]
        return found

    def _break(self, entries: I64) -> set[Cycle]:
        """Forget the cycles through some entries; return them."""
        broken = {self._of[e] for e in entries.tolist() if e in self._of} if self._of else set()
        for cycle in broken:
            self._on[list(cycle)] = False
            for entry in cycle:
                del self._of[entry]
        return broken

    def _suspects(self, entries: I64, rows: I32) -> Bools:
        """Tell which moves belong to a (destination, class) in which a cycle could come or go."""
        ways = self._ways
        after, onward = ways.next_entry(entries, rows)
        sends_on = np.zeros(ways.space.entries, dtype=np.bool_)
        sends_on[entries[onward]] = True
        after = after[onward]
        sends_on[after] |= ways.second[after] != ways.nowhere
        doubtful = np.zeros(ways.space.per_site, dtype=np.bool_)
        doubtful[after[sends_on[after]] % ways.space.per_site] = True
        doubtful[[entry % ways.space.per_site for entry in self._of]] = True
        suspects: Bools = doubtful[entries % ways.space.per_site]
        return suspects

    def _cycles(self, entries: I64) -> list[Cycle]:
        """Return the cycles through any of some entries, and remember them."""
        start = here = entries
        found: list[Cycle] = []
        for _ in range(self._ways.space.sites):
            if not len(start):
                break
            here, onward = self._ways.next_entry(here, self._ways.first[here])
            home = onward & (here == start)
            found += [self._trace(e) for e in start[home].tolist() if not self._on[e]]
            # A walk that has come upon a cycle will not come back to where it began.
            going = onward & ~self._on[np.where(onward, here, 0)]
            start, here = start[going], here[going]
        return found

    def _trace(self, entry: int) -> Cycle:
        """Return the cycle through an entry."""
        cycle = [entry]
        while (after := self._next(cycle[-1])) != entry:
            cycle.append(after)
        at = cycle.index(min(cycle))
        found = (*cycle[at:], *cycle[:at])
        self._of.update(dict.fromkeys(found, found))
        self._on[list(found)] = True
        return found

    def _next(self, entry: int) -> int:
        at = np.array([entry], dtype=np.int64)
        return int(self._ways.next_entry(at, self._ways.first[at])[0][0])
