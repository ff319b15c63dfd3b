"""Where the packets of every entry go, leg by leg, and which entries a change concerns.

A way has at most two legs: the tunnel of the entry, and where that does not end at a
home of the destination, the tunnel that the site in between uses for the same
destination and class. That one must be direct (transit has a budget of one).
"""

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.selection import Bools

_ENTRIES_AT_ONCE = 1024


class Ways:
    """A copy of the rows in use, with the second leg of each."""

    def __init__(self, overlay: Overlay, space: EntrySpace, used: I32) -> None:
        self.overlay, self.space = overlay, space
        self.nowhere = overlay.rows
        self.first: I32 = used.copy()
        """First leg of each entry; -1: nowhere."""
        self.second: I32 = np.full(space.entries, self.nowhere, dtype=np.int32)
        """Second leg; ``nowhere`` where none is needed, -1 where it is missing."""
        self._passed: Bools = np.zeros(space.sites, dtype=np.bool_)
        """Sites that have ever been in between."""
        self._ends: I32 = np.append(overlay.dst, [NO_ROW, NO_ROW]).astype(np.int32)
        for site in range(space.sites):
            own = space.of_site(site)
            self._follow(np.arange(own.start, own.stop, dtype=np.int64))

    def move(self, entries: I64, rows: I32) -> I64:
        """Let entries use other rows from now on; return all whose way has changed."""
        self.first[entries] = rows
        self._follow(entries)
        behind = self._behind(entries)
        self._follow(behind)
        return distinct(np.concatenate([entries, behind]))

    def next_entry(self, entries: I64, rows: I32) -> tuple[I64, Bools]:
        """Return the entry that packets meet after a row, and whether they are not home yet."""
        number = entries % self.space.classes
        destination = entries // self.space.classes % self.space.destinations
        end = self._ends[rows].astype(np.int64)
        onward = (rows != NO_ROW) & ~self.overlay.is_home(end, destination)
        after = (end * self.space.destinations + destination) * self.space.classes + number
        return after, onward

    def ends(self, entries: I64) -> I64:
        """Return the site at which each entry's packets leave the overlay, -1 for none."""
        second = self.second[entries]
        last = np.where(second == self.nowhere, self.first[entries], second)
        return self._ends[last].astype(np.int64)

    def crossing(self, rows: I64) -> I64:
        """Return the entries whose way crosses any of some rows, ascending."""
        marked = np.zeros(self.nowhere + 2, dtype=np.bool_)
        marked[rows] = True
        hit = marked[self.first]
        hit |= marked[self.second]
        return np.flatnonzero(hit)

    def _follow(self, entries: I64) -> None:
        """Work out the second legs of some entries."""
        after, onward = self.next_entry(entries, self.first[entries])
        second = np.full(len(entries), self.nowhere, dtype=np.int32)
        at = np.flatnonzero(onward)
        if len(at):
            beyond = self.first[after[at]]
            _, astray = self.next_entry(after[at], beyond)
            second[at] = np.where(astray, NO_ROW, beyond)
            self._passed[after[at] // self.space.per_site] = True
        self.second[entries] = second

    def _behind(self, entries: I64) -> I64:
        """Return the entries of other sites whose second leg is that of one of these."""
        entries = entries[self._passed[entries // self.space.per_site]]
        found = [np.zeros(0, dtype=np.int64)]
        sites = np.arange(self.space.sites, dtype=np.int64)[:, None] * self.space.per_site
        for start in range(0, len(entries), _ENTRIES_AT_ONCE):
            part = entries[start : start + _ENTRIES_AT_ONCE]
            site, rest = np.divmod(part, self.space.per_site)
            all_sites = sites + rest[None, :]
            through = self.second[all_sites] != self.nowhere
            through &= self._ends[self.first[all_sites]] == site[None, :]
            found.append(all_sites[through])
        return np.concatenate(found)
