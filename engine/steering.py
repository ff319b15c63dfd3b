"""From what is known to the wanted forwarding table, for some pairs at a time.

A pair is (site, destination). For each pair the candidates are laid out side by
side, graded for each class, and :mod:`selection` picks a primary and backups.
Only this file writes primaries and backups of the wanted table.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.candidates import build_candidates
from patronus.engine.configured import Configured
from patronus.engine.fingerprint import U64, combine, name_key
from patronus.engine.forwarding import NO_ROW, EntrySpace, ForwardingTable
from patronus.engine.knowledge import Knowledge
from patronus.engine.liveness import I8, State
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.preference import (
    DETOUR,
    DRAINED,
    PLACE,
    TRANSIT,
    VERDICT,
    ClassColumns,
    drawn_metric,
)
from patronus.engine.ranking import Ranking, join_figures
from patronus.engine.selection import Bools, Field, Selector, select
from patronus.engine.verdict import (
    UNKNOWN,
    UNKNOWN_BADNESS_NS,
    VIOLATING,
    Figures,
    badness_ns,
    verdict,
)

_PAIRS_AT_ONCE: Final = 32_768


@dataclass(frozen=True, eq=False)
class Change:
    """Entries whose primary has changed."""

    entries: I64
    before: I32
    after: I32


@dataclass(frozen=True, eq=False)
class RowState:
    """The arrays of the engine that steering reads; one element a row."""

    state: I8
    drained: Bools
    fates: U64
    """Shape (rows, words)."""


class Steering:
    """Keeps the wanted table of the sites of one engine."""

    def __init__(
        self,
        overlay: Overlay,
        policy: Policy,
        *,
        configured: Configured,
        rows: RowState,
        ranking: Ranking,
        knowledge: Knowledge,
        selector: Selector = select,
    ) -> None:
        self.overlay, self.policy = overlay, policy
        self._select = selector
        self._configured = configured
        self.candidates = build_candidates(overlay)
        self.space = EntrySpace(len(overlay.sites), len(overlay.destinations), len(policy.classes))
        self.wanted = ForwardingTable(self.space.entries)
        self._rows, self._ranking, self._knowledge = rows, ranking, knowledge
        names = [name_key("destination", d.name) for d in overlay.destinations]
        self._only_one = np.array([len(d.sites) == 1 for d in overlay.destinations], dtype=np.bool_)
        self._destination_key: U64 = np.array(names, dtype=np.uint64)
        self._columns: dict[tuple[int, int], ClassColumns] = {}
        self._carries: Bools = np.zeros(len(overlay.sites), dtype=np.bool_)
        self._carries[list(overlay.transit)] = True

    def reselect(self, sites: I64, destinations: I64, now_ns: int) -> Change:
        """Choose anew for some pairs and all classes; write the wanted table."""
        changes: list[Change] = []
        for variant, mine in self._configured.split(sites):
            for part in np.array_split(mine, -(-len(mine) // _PAIRS_AT_ONCE)):
                changes += self._part(variant, sites[part], destinations[part], now_ns)
        return join_changes(changes)

    def promote(self, entries: I64) -> tuple[Change, I64]:
        """Move entries to their first backup that is up; no candidate is looked at.

        Returns:
            What changed, and the entries without such a backup (left as they were).
        """
        rows = self.wanted.rows[entries]
        ready = (rows[:, 1:] != NO_ROW) & (self._rows.state[rows[:, 1:]] == State.UP)
        ready &= ~self._rows.drained[rows[:, 1:]]
        found = ready.any(axis=1)
        at, choice = entries[found], ready[found].argmax(axis=1)
        before, after = rows[found, 0], rows[found, 1 + choice]
        rest = np.where(choice == 0, rows[found, 2], NO_ROW)
        self.wanted.rows[at] = np.stack([after, rest, np.full_like(rest, NO_ROW)], axis=1)
        return Change(at, before, after), entries[~found]

    def best_direct(self, site: int) -> I32:
        """Return the best tunnel that is up from a site to each destination, ``NO_ROW`` if none.

        A tunnel to a site that has withdrawn the destination leads nowhere.
        """
        rows = self.candidates.direct[site]
        there, ends = np.arange(len(rows)), self.overlay.dst[rows].astype(np.int64)
        up = (rows >= 0) & (self._rows.state[rows] == State.UP) & ~self._rows.drained[rows]
        up &= self._knowledge.announces(np.array(site, dtype=np.int64), ends, there[:, None])
        metric = np.where(up, self._ranking.metric_published[rows], UNKNOWN_BADNESS_NS + 1)
        best = metric.argmin(axis=1)
        return np.where(up.any(axis=1), rows[there, best], NO_ROW).astype(np.int32)

    def held(self, sites: I64, destinations: I64, now_ns: int) -> I64:
        """Return the tunnels in Init behind pairs that have no other, ascending."""
        common = self._lay_out(sites, destinations, now_ns)
        waiting = (common.rows >= 0) & (self._rows.state[common.rows] == State.INIT)
        waiting &= ~common.usable.any(axis=1, keepdims=True)
        return distinct(common.rows[waiting].astype(np.int64))

    # ------------------------------------------------------------ one part

    def _part(self, variant: int, sites: I64, destinations: I64, now_ns: int) -> list[Change]:
        """Choose for pairs whose sites run one policy."""
        common = self._lay_out(sites, destinations, now_ns)
        return [
            self._choose(self._class(variant, number), sites, destinations, common)
            for number in range(len(self.policy.classes))
        ]

    def _class(self, variant: int, number: int) -> ClassColumns:
        """Return what one policy says of a class, laid out by transport."""
        key = (variant, number)
        if key not in self._columns:
            policy = self._configured.policies[variant]
            self._columns[key] = ClassColumns(self.overlay, policy, number)
        return self._columns[key]

    def _lay_out(self, sites: I64, destinations: I64, now_ns: int) -> "_Common":
        """Lay the candidates of some pairs side by side, as far as classes agree."""
        overlay, ranking = self.overlay, self._ranking
        with_transit = self.policy.features.transit
        rows = self.candidates.rows(sites, destinations, dst=overlay.dst, with_transit=with_transit)
        direct = self.candidates.direct.shape[2]
        there = rows >= 0
        usable = there & (self._rows.state[rows] == State.UP)
        ends = overlay.dst[rows].astype(np.int64)
        here, to = sites[:, None], destinations[:, None]
        usable[:, :direct] &= self._knowledge.announces(here, ends[:, :direct], to)
        now = np.where(there, ranking.metric_now[rows], UNKNOWN_BADNESS_NS)
        smooth = np.where(there, ranking.metric_published[rows], UNKNOWN_BADNESS_NS)
        figures = Figures(*np.zeros((3, len(sites), rows.shape[1] - direct), dtype=np.int64))
        if rows.shape[1] > direct:
            known, told = self._knowledge.reaches(
                here, ends[:, direct:], to, since_ns=now_ns - self._patience_ns
            )
            usable[:, direct:] &= known
            rest = Figures(*np.moveaxis(told, 2, 0))
            figures = join_figures(ranking.told_figures(rows[:, direct:]), rest)
            beyond = badness_ns(rest)
            now[:, direct:] = np.minimum(now[:, direct:] + beyond, UNKNOWN_BADNESS_NS)
            smooth[:, direct:] = np.minimum(smooth[:, direct:] + beyond, UNKNOWN_BADNESS_NS)
        tie = combine(overlay.key[rows], self._destination_key[destinations][:, None])
        only = self._only_one[destinations][:, None] & (np.arange(rows.shape[1]) < direct)
        end = np.where(only, -1, ends).astype(np.int32)
        order = self.candidates.order[destinations]
        return _Common(rows, usable, now, smooth, tie, figures, order, end)

    @property
    def _patience_ns(self) -> int:
        # Three announcements may be lost before what was said is too old to act on.
        return 3 * self.policy.announcement_ns + self.policy.evaluation_ns

    def _choose(
        self, columns: ClassColumns, sites: I64, destinations: I64, common: "_Common"
    ) -> Change:
        """Choose for one class and write the wanted table."""
        pairs = sites * self.space.destinations + destinations
        entries = pairs * self.space.classes + columns.number
        field, tier = self._grade(columns, sites, destinations, common)
        before = self.wanted.rows[entries, 0]
        current = _incumbent(columns, before, field, tier)
        hysteresis = self.policy.features.hysteresis
        choice = self._select(
            field,
            current,
            margin_ns=self.policy.margin_ns if hysteresis else 0,
            margin_ppm=self.policy.margin_ppm if hysteresis else 0,
        )
        pair = np.arange(len(sites))[:, None]
        rows = np.where(choice.columns >= 0, field.rows[pair, choice.columns], NO_ROW)
        drop = np.full(len(sites), columns.drops)
        if not self.policy.features.backups:
            rows[:, 1:] = NO_ROW
        # With nothing usable the last primary stays (fail static), unless the class drops.
        nothing = (rows[:, 0] == NO_ROW) & ~drop
        rows[nothing, 0] = before[nothing]
        self.wanted.rows[entries] = rows
        self.wanted.drop[entries] = drop
        self.wanted.shared_fate[entries] = choice.shared_fate
        moved = rows[:, 0] != before
        return Change(entries[moved], before[moved], rows[moved, 0].astype(np.int32))

    def _grade(
        self, columns: ClassColumns, sites: I64, destinations: I64, common: "_Common"
    ) -> tuple[Field, I64]:
        """Return the field of one class, and each candidate's verdict."""
        rows, direct = common.rows, common.order.shape[1]
        lane = self.overlay.transport[rows]
        usable = common.usable & columns.allowed[lane]
        tier = self._ranking.verdict[columns.number, rows].astype(np.int64)
        if rows.shape[1] > direct and self.policy.features.sla:
            flat = Figures(*(f.ravel() for f in common.figures))
            beyond = verdict(flat, columns.sla).reshape(common.figures.rtt_ns.shape)
            tier[:, direct:] = np.maximum(tier[:, direct:], beyond)
        if columns.drops:
            usable &= tier < VIOLATING
        grade = tier * VERDICT + self._rows.drained[rows] * DRAINED
        # Among those that break the SLA only how bad they are counts.
        ranked = columns.rank[lane]
        ranked[:, :direct] += common.order * PLACE
        ranked[:, direct:] += TRANSIT
        grade += np.where(tier < VIOLATING, ranked, 0)
        grade[:, direct:] += self._carries[sites][:, None] * DETOUR
        metric = common.smooth
        if columns.weights is not None:
            pair_key = combine(self._site_keys[sites], self._destination_key[destinations])
            metric = drawn_metric(usable, grade, columns.weights[lane], pair_key)
        return (
            Field(
                rows=rows,
                usable=usable,
                grade=grade,
                metric_now=metric if columns.weights is not None else common.now,
                metric_smooth=metric,
                tie=common.tie,
                lane=lane,
                fates=self._rows.fates[rows],
                end=common.end,
            ),
            tier,
        )

    @property
    def _site_keys(self) -> U64:
        return self._destination_key[: len(self.overlay.sites)]


def _incumbent(columns: ClassColumns, before: I32, field: Field, tier: I64) -> I32:
    """Return the row that may keep its place; where a class stays, make it the best."""
    if columns.weights is not None:
        return np.full_like(before, NO_ROW)
    if columns.stays:
        here = (field.rows == before[:, None]) & field.usable & (field.grade < DETOUR)
        complies = np.any(field.usable & (tier <= UNKNOWN), axis=1, keepdims=True)
        field.grade[here & ~complies] = 0
    return before


@dataclass(frozen=True, eq=False)
class _Common:
    """What the classes share; arrays of shape (pairs, columns), direct ones first."""

    rows: I32
    usable: Bools
    now: I64
    smooth: I64
    tie: U64
    figures: Figures
    """Of the whole way over transit columns: own tunnel and announced rest."""
    order: I64
    end: I32


def join_changes(changes: list[Change]) -> Change:
    """Return several changes of different entries as one, in order of entries."""
    if not changes:
        return Change(
            np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        )
    entries = np.concatenate([c.entries for c in changes])
    order = np.argsort(entries, kind="stable")
    return Change(
        entries[order],
        np.concatenate([c.before for c in changes])[order],
        np.concatenate([c.after for c in changes])[order],
    )
