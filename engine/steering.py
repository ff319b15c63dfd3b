"""From what is known to the wanted forwarding table, for some entries at a time.

For each pair (site, destination) the candidates are laid out side by side
(:mod:`prospects`), and for each class :mod:`selection` picks a primary and backups.
Only this file and :mod:`wholesites` write the wanted table.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from patronus.engine.arrays import distinct, hits
from patronus.engine.change import NOTHING, Cause, Change, Reselected, causes, join, moved
from patronus.engine.configured import Configured
from patronus.engine.fanout import Fanout
from patronus.engine.forwarding import CANDIDATES, NO_ROW, EntrySpace, ForwardingTable
from patronus.engine.lanes import Lanes
from patronus.engine.liveness import I8, UP, State
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.preference import ClassColumns
from patronus.engine.prospects import Pairs, Prospects, Wishes, wishes_of
from patronus.engine.selection import LAST_RESORT, Bools, Field, Selector, select
from patronus.engine.tunnels import Tunnels
from patronus.engine.verdict import COMPLIANT, OUTAGE, VIOLATING
from patronus.engine.wholesites import WholeSites

Array = TypeVar("Array", bound=npt.NDArray[Any])

_PAIRS_AT_ONCE: Final = 8192
"""The scratch arrays of so many fit into the caches."""

_FIRST: Final = -1
"""A grade before all that are given."""


class Steering:
    """Keeps the wanted table of the sites of one engine."""

    def __init__(
        self,
        overlay: Overlay,
        policy: Policy,
        *,
        configured: Configured,
        tunnels: Tunnels,
        prospects: Prospects,
        fanout: Fanout,
        lanes: Lanes,
        selector: Selector = select,
    ) -> None:
        self.overlay = overlay
        self.space = EntrySpace(overlay.deciding, len(overlay.destinations), len(policy.classes))
        self.wanted = ForwardingTable(self.space.entries)
        self.tier: I8 = np.zeros(self.space.entries, dtype=np.int8)
        """Verdict of each entry's primary, the whole way, when it was looked at last."""
        self.prospects, self.candidates = prospects, prospects.candidates
        self._configured, self._tunnels = configured, tunnels
        self._selector = selector
        self._columns: dict[tuple[int, int], ClassColumns] = {}
        self._wishes: dict[int, Wishes] = {}
        self.whole = WholeSites(
            overlay, self.space, self.wanted, self.tier,
            configured=configured, columns=self._class, fanout=fanout, lanes=lanes,
        )  # fmt: skip

    def forget_policies(self) -> None:
        """Some policy may have gone out of use."""
        self._columns.clear()
        self._wishes.clear()

    def reselect(self, entries: I64, *, keep: bool = False) -> Reselected:
        """Choose anew for some entries (ascending, each once); write the wanted table.

        Args:
            entries: which.
            keep: primaries that can still be used stay, only backups are chosen.
        """
        if not len(entries):
            return Reselected(NOTHING, entries, entries)
        parts: list[Reselected] = []
        if not keep and self._selector is select:
            parts, entries = self.whole.reselect(entries)
        more, entries = self._one_by_one(entries, keep=keep)
        parts += more
        for policy, pairs, asked in self._parts(entries):
            parts += self._part(pairs, policy, asked, keep=keep)
        waiting, written = (
            distinct(np.concatenate(arrays))
            for arrays in (
                [entries[:0], *(r.waiting for r in parts)],
                [entries, *(r.written for r in parts)],
            )
        )
        return Reselected(join([r.change for r in parts]), waiting, written)

    def _one_by_one(self, entries: I64, *, keep: bool) -> tuple[list[Reselected], I64]:
        """Let a driver's pass choose for those of some entries that it can; return the others."""
        passes = self.whole.passes if self._selector is select else None
        if passes is None or not (self.overlay.rows and len(entries)):
            return [], entries
        parts, others = [], [entries[:0]]
        for policy, at in self._configured.split(entries // self.space.per_site):
            known = self.prospects.ground, self.prospects.moment, self._wishes_of(policy)
            found, left = passes.one_by_one(entries[at], known, self.whole.table, keep=keep)
            parts.append(found.reselected)
            others.append(left)
        return parts, np.sort(np.concatenate(others))

    def _parts(self, entries: I64) -> Iterator[tuple[Policy, I64, Bools]]:
        """Cut entries into pairs of one policy, not too many at once, and the classes asked for."""
        if not len(entries):
            return
        pair, number = np.divmod(entries, self.space.classes)
        new = np.diff(pair, prepend=-1) != 0
        pairs = pair[new]
        asked = np.zeros((len(pairs), self.space.classes), dtype=np.bool_)
        asked[np.cumsum(new) - 1, number] = True
        if self.overlay.rows:
            for policy, at in self._configured.split(pairs // self.space.destinations):
                mine, wish = pairs[at], asked[at]
                for start in range(0, len(mine), _PAIRS_AT_ONCE):
                    part = slice(start, start + _PAIRS_AT_ONCE)
                    yield policy, mine[part], wish[part]

    def stranded(self, sites: I64) -> I64:
        """Return the entries of some sites that lead into a tunnel that is not up, ascending."""
        entries = (sites[:, None] * self.space.per_site + np.arange(self.space.per_site)).ravel()
        primary = self.wanted.rows[entries, 0]
        if not self.overlay.rows:  # nobody to lead to, and nothing to ask
            return entries[:0]
        dead = (primary != NO_ROW) & (self._tunnels.state[primary] != UP)
        stranded: I64 = entries[dead]
        return stranded

    def unproven(self, entries: I64) -> I64:
        """Return the tunnels in Init that would serve entries which nothing else can, ascending."""
        found = [np.zeros(0, dtype=np.int64)]
        for policy, pairs, asked in self._parts(entries):
            sites, destinations = np.divmod(pairs, self.space.destinations)
            laid = self.prospects.pairs(sites, destinations, policy, State.INIT)
            for number, here in enumerate(asked.T):
                nothing = np.full(len(pairs), NO_ROW, dtype=np.int32)
                field, _ = self.prospects.field(self._class(policy, number), laid, nothing)
                up = self._tunnels.state[field.rows] == UP
                lost = here & ~(field.usable & up).any(axis=0)
                found.append(field.rows[field.usable & lost])
        return distinct(np.concatenate(found))

    def promote(self, entries: I64) -> tuple[Change, I64]:
        """Move entries to their first backup that is up; no candidate is looked at.

        Returns:
            What changed, and the entries without such a backup (left as they were).
        """
        rows = self.wanted.rows.take(entries, axis=0).T
        first, second = self._stands_by(rows[1:])
        found = first | second
        at, first = entries[found], first[found]
        before, one, two = rows[:, found]
        after, rest = np.where(first, one, two), np.where(first, two, np.int32(NO_ROW))
        self.wanted.rows[at, 0], self.wanted.rows[at, 1] = after, rest
        self.wanted.rows[at, 2] = NO_ROW
        self.wanted.shared_fate[at] = ~self._apart(at, after, rest)
        return moved(at, before, after, Cause.LOST), entries[~found]

    def _stands_by(self, backups: I32) -> Bools:
        """Tell which backups can be used at once."""
        ready: Bools = (backups != NO_ROW) & (self._tunnels.state[backups] == UP)
        ready &= ~self._tunnels.drained[backups]
        return ready

    def on(self, rows: I64) -> I64:
        """Return the entries that hold some of these rows in any place, ascending."""
        return self._holding(rows, CANDIDATES)

    def over(self, rows: I64) -> I64:
        """Return the entries whose primary is one of these rows, ascending."""
        return self._holding(rows, 1)

    def _holding(self, rows: I64, places: int) -> I64:
        source, found = self.overlay.src[rows], [np.zeros(0, dtype=np.int64)]
        for site in sorted(set(source.tolist())):
            own, mine = self.space.of_site(site), rows[source == site]
            held = self.wanted.rows[own, :places]
            hit = held == mine[0] if len(mine) == 1 else np.isin(held, mine)
            first, *others = hit.T
            for other in others:  # place by place: reducing along a short axis is slow
                first |= other
            found.append(hits(first) + own.start)
        return np.concatenate(found)

    def hold(self, entries: I64, rows: I64, bad: Bools) -> Bools:
        """Tell in which places entries hold rows that are bad for them; shape (entries, 3).

        ``rows`` ascend; ``bad`` has shape (classes, rows).
        """
        held = self.wanted.rows[entries]
        if not len(rows):
            return np.zeros(held.shape, dtype=np.bool_)
        place = np.minimum(np.searchsorted(rows, held), len(rows) - 1)
        number = (entries % self.space.classes)[:, None]
        found: Bools = (rows[place] == held) & bad[number, place]
        return found

    def hold_through(self, site: int, observers: I64, lost: Bools) -> tuple[I64, Bools]:
        """Return entries that end at, or lead through, a site for what it no longer offers.

        ``lost`` has shape (destinations, classes); the second value is that of :meth:`hold`.
        """
        own = observers[:, None] * self.space.per_site + np.flatnonzero(lost)
        entries = own.ravel()
        rows = self.wanted.rows[entries]
        held = (rows != NO_ROW) & (self.overlay.dst[rows] == site)
        hit = held.any(axis=1)
        return entries[hit], held[hit]

    def through(self, sites: I64) -> I64:
        """Return the pairs of some sites whose primary of some class leads through another."""
        entries = (sites[:, None] * self.space.per_site + np.arange(self.space.per_site)).ravel()
        return distinct(entries[self.leads_through(entries)] // self.space.classes)

    def leads_through(self, entries: I64) -> Bools:
        """Tell which entries' primaries lead through another site."""
        primary = self.wanted.rows[entries, 0]
        end = np.where(primary == NO_ROW, -1, self.overlay.dst[primary]).astype(np.int64)
        destination = entries // self.space.classes % self.space.destinations
        through: Bools = (primary != NO_ROW) & ~self.overlay.is_home(end, destination)
        return through

    # ------------------------------------------------------------ one part

    def _part(self, pairs: I64, policy: Policy, asked: Bools, *, keep: bool) -> list[Reselected]:
        """Choose for some pairs, as far as asked; ``asked`` has shape (pairs, classes)."""
        sites, destinations = np.divmod(pairs, self.space.destinations)
        laid, parts = self.prospects.pairs(sites, destinations, policy), []
        for number, here in enumerate(asked.T):
            if here.any():
                some = laid if here.all() else laid.at(here)
                parts.append(self._choose(self._class(policy, number), some, keep=keep))
        return parts

    def _class(self, policy: Policy, number: int) -> ClassColumns:
        """Return what a policy says of a class; the columns keep the policy, so its id holds."""
        key = id(policy), number
        if key not in self._columns:
            self._columns[key] = ClassColumns(self.overlay, policy, number)
        return self._columns[key]

    def _wishes_of(self, policy: Policy) -> Wishes:
        """Return what a policy asks of all classes."""
        if id(policy) not in self._wishes:
            columns = [self._class(policy, n) for n in range(self.space.classes)]
            self._wishes[id(policy)] = wishes_of(policy, columns)
        return self._wishes[id(policy)]

    def _choose(self, columns: ClassColumns, pairs: Pairs, *, keep: bool) -> Reselected:
        """Choose for one class and write the wanted table."""
        policy = columns.policy
        pair = pairs.sites * self.space.destinations + pairs.destinations
        entries = pair * self.space.classes + columns.number
        before = self.wanted.rows[entries, 0]
        field, tier = self.prospects.field(columns, pairs, before)
        rests = np.flatnonzero(self._rests(columns, field, tier, keep=keep))
        field.grade[field.incumbent[rests], rests] = _FIRST
        # A study's own selection is asked at evaluations; what must stay is ours to keep.
        choice = (select if keep else self._selector)(
            field,
            margin_ns=policy.margin_ns if policy.features.hysteresis else 0,
            margin_ppm=policy.margin_ppm if policy.features.hysteresis else 0,
        )
        rows = np.where(choice.columns >= 0, _at(field.rows, choice.columns), NO_ROW)
        after = self._write(entries, rows, choice.shared_fate, columns)
        chosen = choice.columns[0]
        self.tier[entries] = np.where(chosen >= 0, _at(tier, chosen), VIOLATING)
        new = np.flatnonzero(after != before)
        here = field.incumbent[new]
        cause = causes(here, _at(tier[:, new], here), self.tier[entries[new]])
        change = Change(entries[new], before[new], after[new], cause)
        return Reselected(change, pair[choice.waiting], entries[:0])

    def _rests(self, columns: ClassColumns, field: Field, tier: I8, *, keep: bool) -> Bools:
        """Return which pairs stay where they are, whatever else there is."""
        rests: Bools = field.incumbent >= 0
        if keep:
            return rests
        if not columns.stays:
            return np.zeros_like(rests)
        ready = field.grade < LAST_RESORT
        complies = np.any(field.usable & ready & (tier == COMPLIANT), axis=0)
        ready &= tier < OUTAGE
        rests &= _at(ready, field.incumbent) & ~complies
        return rests

    def _write(self, entries: I64, rows: I64, shared_fate: Bools, columns: ClassColumns) -> I32:
        """Write choices, shape (3, entries), to the table; return the primaries in force."""
        if not columns.policy.features.backups:
            rows[1:] = NO_ROW
        if not columns.drops:
            # With nothing usable the last primary stays: fail static.
            nothing = np.flatnonzero(rows[0] == NO_ROW)
            rows[0, nothing] = self.wanted.rows[entries[nothing], 0]
            shared_fate[nothing] = rows[0, nothing] != NO_ROW
        self.wanted.rows[entries] = rows.T
        self.wanted.drop[entries] = columns.drops
        self.wanted.shared_fate[entries] = shared_fate
        primaries: I32 = rows[0].astype(np.int32)
        return primaries

    def _apart(self, entries: I64, rows: I32, others: I32) -> Bools:
        """Return where two tunnels of an entry share neither lane, group nor far end."""
        lane, dst = self.overlay.transport, self.overlay.dst
        apart: Bools = (others != NO_ROW) & (lane[rows] != lane[others])
        apart &= ~self._tunnels.share_fate(rows, others)
        destination = entries // self.space.classes % self.space.destinations
        apart &= (dst[rows] != dst[others]) | self.prospects.only_end(rows, destination)
        return apart


def _at(values: Array, columns: I64) -> Array:
    """Return the value in some column of each pair; that of no column (-1) means nothing."""
    found: Any = values[columns, np.arange(values.shape[1])]
    chosen: Array = found
    return chosen


def merge(parts: Sequence[tuple[I64, Bools]]) -> tuple[I64, Bools]:
    """Return entries and the places in which they hold something, each entry once."""
    none = np.zeros(0, dtype=np.int64), np.zeros((0, CANDIDATES), dtype=np.bool_)
    entries, held = (np.concatenate(columns) for columns in zip(none, *parts, strict=True))
    once = distinct(entries)
    all_held = np.zeros((len(once), CANDIDATES), dtype=np.bool_)
    np.logical_or.at(all_held, np.searchsorted(once, entries), held)
    return once, all_held
