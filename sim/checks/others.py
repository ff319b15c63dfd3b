"""What else an entry could use: the ways that exist in truth, whatever the engine thinks.

    direct      any tunnel to a home of the destination
    transit     any tunnel to a transit site and any from there to a home; where an SLA is to
                be kept, from there the one that the transit site uses

A way counts if its tunnels work in both directions (nobody can know of a tunnel that
never answers), if the class may use their transports, and if the LAN at its end is up.
A site can only use what it can know and has somebody to act on:

- one that is cut off from the controller, and a transit site that is, know nothing of
  each other;
- one whose agent is away has only what its kernel holds, and of that only tunnels
  that have worked since well before (the kernel keeps others latched).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from patronus.engine.forwarding import EntrySpace, ForwardingTable
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Features
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER
from patronus.sim.checks.rules import Rules
from patronus.sim.checks.truth import Truth

_ENTRIES_AT_ONCE = 16_384

Apart = Callable[[I64, I32, I32], Bools]
"""Tells of entries and rows whether other rows share nothing with them; shapes broadcast."""


class Standing(NamedTuple):
    """What faults have done to the sites; one element a site."""

    running: Bools
    """Its agent runs."""
    reached: Bools
    """The controller reaches it."""
    lan_up: Bools
    away_ns: I64
    """Since when the agent is away; of no meaning where it runs."""


class Detour(NamedTuple):
    """How a way leads to its destination, whatever it is worth."""

    place: int
    """Of its end among the destination's sites, 0 for the first."""
    via: int = -1
    """The site in between, -1 for none."""

    @property
    def through(self) -> bool:
        """Tell whether another site is in between."""
        return self.via >= 0


class _Columns(NamedTuple):
    """Some ways of some entries, side by side; shape (entries, ways)."""

    first: I32
    second: I32
    may: Bools
    detour: Detour


class Others:
    """Looks for other ways."""

    def __init__(
        self,
        overlay: Overlay,
        space: EntrySpace,
        table: ForwardingTable,
        used: I32,
        *,
        truth: Truth,
        rules: Rules,
        features: Features,
        bound_ns: int,
    ) -> None:
        self._overlay, self._space, self._table, self._used = overlay, space, table, used
        self._truth, self._rules, self._features = truth, rules, features
        self._bound_ns = bound_ns
        sites = len(overlay.sites)
        pair = overlay.src.astype(np.int64) * sites + overlay.dst
        # The rows of a pair of sites stand together: pairs[p]:pairs[p + 1].
        self._pairs = np.searchsorted(pair, np.arange(sites * sites + 1)).astype(np.int32)
        self._width = int(np.diff(self._pairs).max(initial=0))
        self._transport = np.append(overlay.transport, [0, 0]).astype(np.int32)
        self._transit = np.array(overlay.transit if features.transit else (), dtype=np.int64)

    def deliver(self, entries: I64, standing: Standing) -> Bools:
        """Tell which entries have a way that delivers (a class that drops: that keeps the SLA)."""
        found = np.zeros(len(entries), dtype=np.bool_)
        for part, columns in self._each(entries, standing):
            found[part] |= self._serves(columns, entries[part]).any(axis=1)
        return found

    def keep(self, entries: I64, standing: Standing) -> Bools:
        """Tell which entries have a way that keeps their SLA beyond doubt."""
        found = np.zeros(len(entries), dtype=np.bool_)
        for part, columns in self._each(entries, standing):
            fine = self._works(columns) & self._keeps(columns, entries[part])
            found[part] |= fine.any(axis=1)
        return found

    def best(
        self, entries: I64, standing: Standing, cost: Callable[[I64, I32, Detour], I64]
    ) -> I64:
        """Return the least cost of the ways that keep each entry's SLA beyond doubt.

        ``cost`` is asked for entries, shape (n, 1), and first legs, shape (n, ways), which -1
        fills up. Where there is no such way it is ``NEVER``.
        """
        found = np.full(len(entries), NEVER, dtype=np.int64)
        for part, columns in self._each(entries, standing):
            fine = self._works(columns) & self._keeps(columns, entries[part])
            costs = cost(entries[part][:, None], columns.first, columns.detour)
            least = np.where(fine, costs, NEVER).min(axis=1, initial=NEVER)
            found[part] = np.minimum(found[part], least)
        return found

    def besides(
        self, entries: I64, rows: I32, standing: Standing, apart: Apart | None = None
    ) -> Bools:
        """Tell which entries have a way as of :meth:`deliver` that does not begin with a given row.

        Ways of transit sites through others are left out: those go by an order of their own.
        ``apart`` tells what else is asked of such a way: of entries and given rows, shape
        (n, 1), and first legs, shape (n, ways).
        """
        found = np.zeros(len(entries), dtype=np.bool_)
        carries = np.isin(entries // self._space.per_site, self._transit)
        for part, columns in self._each(entries, standing):
            given = rows[part][:, None]
            other = columns.first != given
            if apart is not None:
                other &= apart(entries[part][:, None], given, columns.first)
            if columns.detour.through:
                other &= ~carries[part][:, None]
            found[part] |= (self._serves(columns, entries[part]) & other).any(axis=1)
        return found

    def proven(self, entries: I64, standing: Standing, proven: Bools) -> Bools:
        """Tell which entries have a way that is sure to be known, all its legs being proven.

        Ways of transit sites through others are left out, and so are all of an agent that is
        away. ``proven`` is laid out as the arrays of :class:`Truth`.
        """
        found = np.zeros(len(entries), dtype=np.bool_)
        site = entries // self._space.per_site
        carries = np.isin(site, self._transit)
        for part, columns in self._each(entries, standing):
            fine = columns.may & proven[columns.first] & proven[columns.second]
            if columns.detour.through:
                fine &= self._goes_on(columns, entries[part]) & ~carries[part][:, None]
            found[part] |= fine.any(axis=1)
        found &= standing.running[site]
        return found

    def drops(self, entries: I64) -> Bools:
        """Tell which entries rather send nothing than break their SLA."""
        site, number = self._of(entries)
        drops: Bools = self._rules.drops[self._rules.of_site[site], number]
        return drops

    def example(self, entry: int, standing: Standing, *, keeps: bool) -> int:
        """Return the first leg of such a way, -1 if there is none."""
        entries = np.array([entry], dtype=np.int64)
        for _, columns in self._each(entries, standing):
            fine = self._works(columns)
            if keeps:
                fine &= self._keeps(columns, entries)
            if fine.any():
                return int(columns.first[0, fine[0].argmax()])
        return -1

    def concerned(self, entries: I64, rows: I64) -> Bools:
        """Tell for which entries any of some rows could be part of another way."""
        overlay, sites = self._overlay, len(self._overlay.sites)
        changed = np.zeros((sites, sites), dtype=np.bool_)
        changed[overlay.src[rows], overlay.dst[rows]] = True
        site, _ = self._of(entries)
        homes = overlay.home[entries // self._space.classes % self._space.destinations]
        parts = [changed[site[:, None], homes].any(axis=1)]
        for via in self._transit.tolist():
            parts += [changed[site, via], changed[via, homes].any(axis=1)]
        found: Bools = np.logical_or.reduce(parts)
        return found

    # ------------------------------------------------------------ columns

    def _of(self, entries: I64) -> tuple[I64, I64]:
        return entries // self._space.per_site, entries % self._space.classes

    def _works(self, columns: _Columns) -> Bools:
        works: Bools = columns.may & self._truth.works(columns.first)
        works &= self._truth.works(columns.second)
        return works

    def _serves(self, columns: _Columns, entries: I64) -> Bools:
        """Tell which ways a class takes if it has no other."""
        serves, drops = self._works(columns), self.drops(entries)
        if drops.any():
            serves[drops] &= self._keeps(columns, entries)[drops]
        return serves

    def _keeps(self, columns: _Columns, entries: I64) -> Bools:
        site, number = self._of(entries)
        figures = self._truth.figures(columns.first, columns.second)
        keeps = self._rules.keeps(figures, self._rules.of_site[site], number)
        if columns.detour.through:
            keeps &= self._goes_on(columns, entries)
        return keeps

    def _goes_on(self, columns: _Columns, entries: I64) -> Bools:
        """Tell which second legs are the way that the site in between has chosen."""
        onward = columns.detour.via * self._space.per_site + entries % self._space.per_site
        chosen: Bools = columns.second == self._used[onward][:, None]
        return chosen

    def _each(self, entries: I64, standing: Standing) -> Iterator[tuple[slice, _Columns]]:
        for start in range(0, len(entries), _ENTRIES_AT_ONCE):
            part = slice(start, min(start + _ENTRIES_AT_ONCE, len(entries)))
            held = self._held(entries[part], standing)
            for columns in self._columns(entries[part], standing):
                yield part, columns._replace(may=columns.may & held(columns.first))

    def _columns(self, entries: I64, standing: Standing) -> Iterator[_Columns]:
        """Yield the direct ways to each home, then those through each transit site."""
        site, number = self._of(entries)
        destination = entries // self._space.classes % self._space.destinations
        allowed = self._rules.allowed[self._rules.of_site[site], number]
        homes = self._overlay.home[destination]
        for place, home in enumerate(homes.T):
            rows, may = self._between(site, home, allowed)
            may &= standing.lan_up[home][:, None]
            nowhere = np.full_like(rows, self._truth.nowhere)
            yield _Columns(rows, nowhere, may, Detour(place))
        for via in self._transit.tolist():
            knows = standing.reached[site] & standing.reached[via] & standing.running[via]
            knows &= (site != via) & ~(homes == via).any(axis=1)
            there, may = self._between(site, np.full_like(site, via), allowed)
            for place, home in enumerate(homes.T):
                rest, can = self._between(np.full_like(site, via), home, allowed)
                can &= (standing.lan_up[home] & knows)[:, None]
                first = np.repeat(there, self._width, axis=1)
                both = np.repeat(may, self._width, axis=1) & np.tile(can, (1, self._width))
                second = np.tile(rest, (1, self._width))
                yield _Columns(first, second, both, Detour(place, via))

    def _between(self, site: I64, other: I64, allowed: Bools) -> tuple[I32, Bools]:
        """Return the rows of pairs of sites, -1 to fill up, and which the class may use."""
        pair = site * len(self._overlay.sites) + other
        first, last = self._pairs[pair], self._pairs[pair + 1]
        rows = first[:, None] + np.arange(self._width, dtype=np.int32)
        rows = np.where(rows < last[:, None], rows, np.int32(-1))
        return rows, np.take_along_axis(allowed, self._transport[rows], axis=1)

    def _held(self, entries: I64, standing: Standing) -> "_Held":
        site, _ = self._of(entries)
        return _Held(
            away=~standing.running[site],
            rows=self._table.rows[entries],
            since_ns=standing.away_ns[site] - self._bound_ns,
            turned_ns=self._truth.turned_ns,
            failover=self._features.kernel_failover,
        )


class _Held(NamedTuple):
    """What the kernels of some entries hold, for sites whose agent is away."""

    away: Bools
    rows: I32
    since_ns: I64
    turned_ns: I64
    failover: bool

    def __call__(self, first: I32) -> Bools:
        """Tell which first legs each entry's site can use at present."""
        if not self.away.any():
            return np.ones(first.shape, dtype=np.bool_)
        held = (first[:, :, None] == self.rows[:, None, :]).any(axis=2)
        old = self.turned_ns[first] <= self.since_ns[:, None]
        usable: Bools = ~self.away[:, None] | (held & old & self.failover)
        return usable
