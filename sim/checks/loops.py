"""Forwarding loops: a walk of the tables that comes back to a site.

Packets cannot loop, since transit has a budget of one. The tables are held to more
than that: every walk, the budget ignored, must end. The table of one (destination,
class) gives each site at most one next site, so a site is on at most one cycle, and
a cycle can only appear with a move of one of its own entries. Hence it is enough to
walk from the entries that moved, and only from those whose next site sends on, too.
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

    def at_start(self) -> list[Cycle]:
        """Return the cycles in the tables as they are."""
        astray = np.flatnonzero(self._ways.second == -1)
        return self._cycles(astray)

    def replay(self, at_ns: I64, entries: I64, rows: I32) -> list[tuple[int, Cycle]]:
        """Return the cycles that appear as some entries move, with their times.

        The moves are in order of time; those of one instant happen at once.
        """
        if not self._suspect(entries, rows):
            return []
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
            for entry in cycle:
                del self._of[entry]
        return broken

    def _suspect(self, entries: I64, rows: I32) -> bool:
        """Tell whether any of these moves can make or break a cycle."""
        if self._of and any(e in self._of for e in entries.tolist()):
            return True
        after, onward = self._ways.next_entry(entries, rows)
        after = after[onward]
        sends_on: Bools = self._ways.second[after] != self._ways.nowhere
        return bool(sends_on.any() or np.isin(after, entries[onward]).any())

    def _cycles(self, entries: I64) -> list[Cycle]:
        """Return the cycles through any of some entries, and remember them."""
        start = here = entries
        back: list[int] = []
        for _ in range(self._ways.space.sites):
            here, onward = self._ways.next_entry(here, self._ways.first[here])
            home = onward & (here == start)
            back += start[home].tolist()
            start, here = start[onward & ~home], here[onward & ~home]
            if not len(start):
                break
        return [self._trace(e) for e in back if e not in self._of]

    def _trace(self, entry: int) -> Cycle:
        """Return the cycle through an entry."""
        cycle = [entry]
        while (after := self._next(cycle[-1])) != entry:
            cycle.append(after)
        at = cycle.index(min(cycle))
        found = (*cycle[at:], *cycle[:at])
        self._of.update(dict.fromkeys(found, found))
        return found

    def _next(self, entry: int) -> int:
        at = np.array([entry], dtype=np.int64)
        return int(self._ways.next_entry(at, self._ways.first[at])[0][0])
