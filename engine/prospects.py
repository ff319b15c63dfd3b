"""The candidates of some pairs laid side by side, with what is known of each.

A pair is (site, destination). Direct candidates come first; those behind them lead
through a transit site, and what is known of their rest is what that site announced.
Everything is read by the pair's own site: its rows, and what it has received.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from patronus.engine.candidates import build_candidates
from patronus.engine.fingerprint import U64, combine, name_key
from patronus.engine.forwarding import NO_ROW
from patronus.engine.knowledge import Knowledge
from patronus.engine.liveness import I8, State
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.preference import DETOUR, NOT_DRAWN, ClassColumns, check_limits, grades
from patronus.engine.ranking import Ranking, join_figures
from patronus.engine.selection import Bools, Field
from patronus.engine.sharing import draw
from patronus.engine.tunnels import Tunnels
from patronus.engine.units import NEVER
from patronus.engine.verdict import (
    UNKNOWN_BADNESS_NS,
    VIOLATING,
    Figures,
    badness_ns,
    verdict,
)


@dataclass(frozen=True, eq=False)
class Pairs:
    """What all classes share; but for the first two, arrays of shape (pairs, columns)."""

    sites: I64
    """Shape (pairs, 1)."""
    destinations: I64
    """Shape (pairs, 1)."""
    rows: I32
    usable: Bools
    """As far as the first tunnel and the announcing site go."""
    end: I64
    """Where the first tunnel leads."""
    place: I64
    now: I64
    smooth: I64
    """Metrics of the first tunnel."""
    tie: U64
    choice: I32
    """``end`` where there is a choice of ends, else -1."""

    def at(self, where: Bools) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(*(getattr(self, f.name)[where] for f in fields(Pairs)))


class Prospects:
    """Lays out what the sites of one engine may choose from."""

    def __init__(
        self, overlay: Overlay, *, tunnels: Tunnels, ranking: Ranking, knowledge: Knowledge
    ) -> None:
        check_limits(overlay)
        self._overlay, self._tunnels = overlay, tunnels
        self._ranking, self._knowledge = ranking, knowledge
        self.candidates = build_candidates(overlay)
        self._direct = self.candidates.direct.shape[2]
        self._only = np.array([len(d.sites) == 1 for d in overlay.destinations], dtype=np.bool_)
        self._carries: Bools = np.zeros(len(overlay.sites), dtype=np.bool_)
        self._carries[list(overlay.transit)] = True
        self._site_key = _keys("site", overlay.sites)
        self._lane_key = _keys("transport", overlay.transports)
        self._destination_key = _keys("destination", [d.name for d in overlay.destinations])

    def pairs(
        self, sites: I64, destinations: I64, policy: Policy, least: State = State.UP
    ) -> Pairs:
        """Lay out pairs, as far as classes agree; tunnels below the ``least`` state are no use."""
        here, to = sites[:, None], destinations[:, None]
        rows = self.candidates.rows(sites, destinations, with_transit=policy.features.transit)
        there, direct = rows != NO_ROW, self._direct
        usable = there & (self._tunnels.state[rows] >= least)
        end = np.where(there, self._overlay.dst[rows], here)
        usable[:, :direct] &= self._knowledge.announces(here, end[:, :direct], to)
        place = np.zeros(rows.shape, dtype=np.int64)
        place[:, :direct] = self.candidates.order[destinations]
        return Pairs(
            sites=here,
            destinations=to,
            rows=rows,
            usable=usable,
            end=end,
            place=place,
            now=np.where(there, self._ranking.metric_now[rows], UNKNOWN_BADNESS_NS),
            smooth=np.where(there, self._ranking.metric_published[rows], UNKNOWN_BADNESS_NS),
            tie=combine(self._overlay.key[rows], self._destination_key[to]) >> np.uint64(1),
            choice=np.where(self.only_end(rows, to), -1, end).astype(np.int32),
        )

    def only_end(self, rows: I32, destinations: I64) -> Bools:
        """Tell which tunnels end at the only site of their destination; shapes broadcast."""
        here: Bools = self._overlay.dst[rows] == self._overlay.home[destinations, 0]
        return here & self._only[destinations]

    def field(self, columns: ClassColumns, pairs: Pairs) -> tuple[Field, I8]:
        """Return the candidates of pairs as one class sees them, and their verdicts."""
        rows, overlay = pairs.rows, self._overlay
        lane = overlay.transport[rows]
        usable = pairs.usable & columns.allowed[lane]
        tier = self._ranking.verdict[columns.number, rows]
        now, smooth = pairs.now.copy(), pairs.smooth.copy()
        through = np.arange(rows.shape[1]) >= self._direct
        if through.any():
            beyond = self._beyond(columns, pairs, usable, tier)
            for metric in (now, smooth):
                far = metric[:, self._direct :]
                np.minimum(far + beyond, UNKNOWN_BADNESS_NS, out=far)
        if columns.drops:
            usable &= tier < VIOLATING
        grade = grades(
            columns,
            tier=tier,
            lane=lane,
            place=pairs.place,
            through=through,
            drained=self._tunnels.drained[rows],
        )
        grade += (through & self._carries[pairs.sites]) * np.int64(DETOUR)
        if columns.weights is not None:
            grade += self._share(columns.weights, pairs, usable, tier, grade)
        field = Field(
            rows=rows,
            usable=usable,
            grade=grade,
            metric_now=now,
            metric_smooth=smooth,
            tie=pairs.tie,
            lane=lane,
            fates=self._tunnels.fates[rows],
            end=pairs.choice,
        )
        return field, tier

    def _beyond(self, columns: ClassColumns, pairs: Pairs, usable: Bools, tier: I8) -> I64:
        """Narrow ``usable`` and worsen ``tier`` by what is beyond the transit sites.

        Returns:
            How bad that is; shape (pairs, transit columns).
        """
        far = slice(self._direct, None)
        known, told, verdicts = self._knowledge.reaches(
            pairs.sites, pairs.end[:, far], pairs.destinations, number=columns.number
        )
        usable[:, far] &= known
        rest = Figures(*np.moveaxis(told, -1, 0))
        if columns.policy.features.sla:
            whole = join_figures(self._ranking.told_figures(pairs.rows[:, far]), rest)
            flat = Figures(*(figure.ravel() for figure in whole))
            joined = verdict(flat, columns.sla).reshape(verdicts.shape)
            np.maximum(np.maximum(tier[:, far], verdicts), joined, out=tier[:, far])
        return badness_ns(rest)

    def _share(self, weights: I64, pairs: Pairs, usable: Bools, tier: I8, grade: I64) -> I64:
        """Return ``NOT_DRAWN`` for good candidates that are not on their pair's drawn transport.

        Those that break the SLA are not shared: there the least bad one is wanted.
        """
        best = np.where(usable, grade, NEVER).min(axis=1, keepdims=True, initial=NEVER)
        equal = usable & (grade == best) & (tier < VIOLATING)
        lane = self._overlay.transport[pairs.rows]
        is_open = np.stack([(equal & (lane == n)).any(axis=1) for n in range(len(weights))], axis=1)
        key = combine(
            self._site_key[pairs.sites[:, 0]], self._destination_key[pairs.destinations[:, 0]]
        )
        drawn = draw(key, self._lane_key, weights, is_open)[:, None]
        off: I64 = (equal & (drawn >= 0) & (lane != drawn)) * np.int64(NOT_DRAWN)
        return off


def _keys(sort: str, names: Sequence[str]) -> U64:
    return np.array([name_key(sort, name) for name in names], dtype=np.uint64)
