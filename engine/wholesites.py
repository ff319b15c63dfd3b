"""Choosing for whole sites at once, where candidates are alike: in fans, or side by side.

What :mod:`fan` and :mod:`lanes` choose is written into the wanted table here, as
:mod:`steering` writes what it chooses pair by pair. A driver may bring passes of its own
for it, which do the same.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.batch import Batch
from patronus.engine.change import NOTHING, Change, Reselected, causes
from patronus.engine.configured import Configured
from patronus.engine.fanout import Fanout, Spread
from patronus.engine.forwarding import CANDIDATES, NO_ROW, EntrySpace, ForwardingTable
from patronus.engine.lanes import Laid, Lanes
from patronus.engine.liveness import I8
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.preference import ClassColumns
from patronus.engine.prospects import Ground, Moment, Wishes
from patronus.engine.selection import Bools


class Asked(NamedTuple):
    """For which pairs a pass chooses: those that are marked."""

    sites: I64
    place: I64
    """Of each site in ``marked``."""
    marked: Bools
    """Shape (places, destinations, classes); what is chosen loses its mark."""
    number: int
    """Of the class."""


class Table(NamedTuple):
    """What a pass writes; the arrays themselves, by entry."""

    space: EntrySpace
    rows: I32
    drop: Bools
    shared_fate: Bools
    tier: I8


class Found(NamedTuple):
    """What a pass wrote."""

    written: I64
    """Entries that hold something else than before, ascending."""
    moved: I64
    """Those of them with another primary."""
    before: I32
    after: I32
    left: I8
    """Verdict of what each of those leaves, -1 where that cannot be used."""
    tier: I8
    """Verdict of what it takes."""
    waiting: I64
    """Pairs with a rival that is better by the margin and only worse at present."""
    contested: I64
    """Pairs, still marked, of which two metrics of this moment have to be compared."""

    @property
    def reselected(self) -> Reselected:
        """The same as steering says it."""
        change = NOTHING
        if len(self.moved):
            cause = causes(self.left, self.left, self.tier)
            change = Change(self.moved, self.before, self.after, cause)
        return Reselected(change, self.waiting, self.written)


class Passes(Protocol):
    """A driver's own passes: they choose and write, and leave the doubtful pairs marked."""

    def side_by_side(self, asked: Asked, laid: Laid, table: Table, *, fresh: bool) -> Found:
        """Choose as :meth:`Lanes.pick` does, for sites that ascend.

        ``fresh`` tells that the metrics of this moment are up to date; else pairs that need
        them are left as contested.
        """
        ...

    def fan_out(self, asked: Asked, spread: Spread, column: I64, table: Table) -> Found:
        """Choose as :meth:`Choosing.pick` does; ``column`` is that of :class:`Fanout`."""
        ...

    def one_by_one(
        self, entries: I64, known: tuple[Ground, Moment, Wishes], table: Table, *, keep: bool
    ) -> tuple[Found, I64]:
        """Choose as steering does for entries (ascending) of sites of one policy.

        ``keep`` tells that primaries stay which can be used. The second value is what is left
        (ascending): entries where names decide, or metrics of this moment that are not fresh.
        """
        ...


class WholeSites:
    """Chooses for those entries that come as whole sites, or nearly."""

    def __init__(
        self,
        overlay: Overlay,
        space: EntrySpace,
        wanted: ForwardingTable,
        tier: I8,
        *,
        configured: Configured,
        columns: Callable[[Policy, int], ClassColumns],
        fanout: Fanout,
        lanes: Lanes,
    ) -> None:
        """Take the tables that are written.

        Args:
            overlay: all sites and tunnels.
            space: the numbering of entries.
            wanted: the wanted table.
            tier: verdict of each entry's primary.
            configured: which site runs which policy.
            columns: returns what a policy says of a class.
            fanout: lays out fans.
            lanes: lays out tunnels side by side.
        """
        self._overlay, self._space = overlay, space
        self._wanted, self._tier = wanted, tier
        self._configured, self._columns = configured, columns
        self.fanout, self.lanes = fanout, lanes
        self.passes: Passes | None = None
        """In place of the plain ones."""

    def reselect(self, entries: I64) -> tuple[list[Reselected], I64]:
        """Choose anew for those of some entries that fit; return the others, ascending."""
        parts, entries = self._fan_out(entries)
        more, entries = self._side_by_side(entries)
        return parts + more, entries

    @property
    def table(self) -> Table:
        """What passes write."""
        wanted = self._wanted
        return Table(self._space, wanted.rows, wanted.drop, wanted.shared_fate, self._tier)

    # ------------------------------------------------------------ fans

    def _fan_out(self, entries: I64) -> tuple[list[Reselected], I64]:
        """Choose for those of some entries that fit into fans; return the others, ascending."""
        batch, rest = self.fanout.batch(entries, self._space)
        if not len(batch.sites):
            return [], rest
        parts: list[Reselected] = []
        for policy, at in self._configured.split(batch.sites):
            place = np.arange(len(batch.sites), dtype=np.int64)[at]
            for number in range(self._space.classes):
                columns = self._columns(policy, number)
                for spread in self.fanout.spreads(batch.sites[place], columns):
                    parts += self._whole_spread(batch, place[spread.place], spread, number)
        return parts, np.sort(np.concatenate([rest, batch.entries(self._space)]))

    def _whole_spread(
        self, batch: Batch, place: I64, spread: Spread, number: int
    ) -> list[Reselected]:
        """Choose for all sites in a fan."""
        if self.passes is not None:
            asked = Asked(batch.sites[place], place, batch.marked, number)
            found = self.passes.fan_out(asked, spread, self.fanout.column, self.table)
            return [found.reselected]
        return [
            self._spread(batch, place[block], spread, block, number)
            for block in spread.fan.blocks()
        ]

    def _spread(
        self, batch: Batch, place: I64, spread: Spread, block: slice, number: int
    ) -> Reselected:
        """Choose for a block of sites in a fan; write the table and take the marks away."""
        marks = np.ix_(place, spread.destinations)
        pairs = batch.sites[place][:, None] * self._space.destinations + spread.destinations
        entries = pairs * self._space.classes + number
        before = self._wanted.rows.take(entries, axis=0)
        held = self.fanout.column.take(before[:, :, 0])
        picked = spread.choosing.pick(block, held)
        marked = batch.marked[:, :, number]
        live = marked[marks] & ~picked.doubtful & ~spread.odd[block]
        marked[marks] &= ~live
        site = np.arange(len(place), dtype=np.int64)[:, None]
        table, tiers = spread.rows[block], spread.tier[block]
        row = site * table.shape[1]
        after = [table.take(row + c) for c in (picked.primary, picked.first, picked.second)]
        # With nothing usable the last primary stays: fail static.
        np.copyto(after[0], before[:, :, 0], where=after[0] == NO_ROW)
        shared_fate = ~picked.disjoint & (after[0] != NO_ROW)
        tier = tiers.take(row + picked.primary)
        other = self._wanted.shared_fate.take(entries) != shared_fate
        other |= self._wanted.drop.take(entries)
        for rank, rows in enumerate(after):
            other |= before[:, :, rank] != rows
        new = hits((live & other).ravel())
        at = entries.ravel()[new]
        rows = np.stack([a.ravel()[new] for a in after], axis=1)
        self._wanted.rows[at] = rows
        self._wanted.drop[at] = False
        self._wanted.shared_fate[at] = shared_fate.ravel()[new]
        turned = hits((live & (self._tier.take(entries) != tier)).ravel())
        self._tier[entries.ravel()[turned]] = tier.ravel()[turned]
        was = before.reshape(-1, CANDIDATES)[new, 0]
        moves = hits(was != rows[:, 0])
        new = new[moves]
        here = held.ravel()[new]
        at_site = new // len(spread.destinations)
        here[~_usable(spread, block, here, at_site)] = -1
        cause = causes(here, tiers[at_site, here], tier.ravel()[new])
        change = Change(at[moves], was[moves], rows[moves, 0], cause)
        return Reselected(change, pairs[live & picked.waiting], at)

    # ------------------------------------------------------------ pairs with their own tunnels

    def _side_by_side(self, entries: I64) -> tuple[list[Reselected], I64]:
        """Choose for those of some entries that nothing but their own tunnels can carry."""
        if not any(self.lanes.carries(policy) for policy in self._configured.policies):
            return [], entries
        batch, rest = self.lanes.batch(entries, self._space)
        if not len(batch.sites):
            return [], rest
        parts: list[Reselected] = []
        for policy, at in self._configured.split(batch.sites):
            place = np.arange(len(batch.sites), dtype=np.int64)[at]
            for number in range(self._space.classes):
                columns = self._columns(policy, number)
                if self.lanes.serves(columns):
                    parts += self._whole_own(batch, place, columns)
        return parts, np.sort(np.concatenate([rest, batch.entries(self._space)]))

    def _whole_own(self, batch: Batch, place: I64, columns: ClassColumns) -> list[Reselected]:
        """Choose for all pairs of some sites."""
        if self.passes is not None:
            asked = Asked(batch.sites[place], place, batch.marked, columns.number)
            laid, fresh = self.lanes.laid(columns), self.lanes.fresh
            found = self.passes.side_by_side(asked, laid, self.table, fresh=fresh)
            parts = [found.reselected]
            if len(found.contested):
                self.lanes.refresh(found.contested)
                found = self.passes.side_by_side(asked, laid, self.table, fresh=True)
                parts.append(found.reselected)
            return parts
        return [
            self._own(batch, sites, place[part], columns)
            for sites, part in self.lanes.blocks(batch.sites[place])
        ]

    def _own(self, batch: Batch, sites: slice, place: I64, columns: ClassColumns) -> Reselected:
        """Choose for a block of sites; write the table and take the marks away."""
        lans, number = len(self._overlay.sites), columns.number
        part = (sites, slice(0, lans), number)
        shape = self._space.sites, self._space.destinations, self._space.classes
        table = self._wanted.rows.reshape(*shape, CANDIDATES)[part]
        before = [table[:, :, rank].ravel() for rank in range(CANDIDATES)]
        chosen = self.lanes.pick(sites, columns, before[0])
        marks = batch.marked[place, :lans, number]
        live = marks.ravel() & ~chosen.doubtful
        batch.marked[place, :lans, number] = marks & ~live.reshape(marks.shape)
        other = self._wanted.shared_fate.reshape(shape)[part].ravel() != chosen.shared_fate
        other |= self._wanted.drop.reshape(shape)[part].ravel()
        for old, rows in zip(before, chosen.rows, strict=True):
            other |= old != rows
        first = sites.start * lans
        new = hits(live & other)
        at = self._lan_pairs(new + first) * self._space.classes + number
        for rank, rows in enumerate(chosen.rows):
            self._wanted.rows[at, rank] = rows[new]
        self._wanted.drop[at] = False
        self._wanted.shared_fate[at] = chosen.shared_fate[new]
        turned = hits(live & (self._tier.reshape(shape)[part].ravel() != chosen.tier))
        here = self._lan_pairs(turned + first) * self._space.classes + number
        self._tier[here], moves = chosen.tier[turned], live[chosen.moved]
        moved, left = chosen.moved[moves], chosen.left[moves]
        entries = self._lan_pairs(moved + first) * self._space.classes + number
        cause = causes(left, left, chosen.tier[moved])
        change = Change(entries, before[0][moved], chosen.rows[0][moved], cause)
        waiting = self._lan_pairs(chosen.waiting[live[chosen.waiting]] + first)
        return Reselected(change, waiting, at)

    def _lan_pairs(self, numbers: I64) -> I64:
        """Return pairs that were numbered with sites alone for destinations."""
        site, to = np.divmod(numbers, len(self._overlay.sites))
        pairs: I64 = site * self._space.destinations + to
        return pairs


def _usable(spread: Spread, block: slice, columns: I64, sites: I64) -> Bools:
    """Tell of the columns of some sites of a block whether they can be used; the last cannot."""
    none = np.zeros((1, len(spread.odd[block])), dtype=np.bool_)
    usable = np.append(spread.fan.usable[:, block], none, axis=0)
    found: Bools = usable[columns, sites]
    return found
