"""The candidates of some pairs laid side by side, with what is known of each.

A pair is (site, destination). Direct candidates come first; those behind them lead
through a transit site, and what is known of their rest is what that site announced.
Everything is read by the pair's own site: its rows, and what it has received.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from patronus.engine.candidates import build_candidates
from patronus.engine.fingerprint import U64, combine, name_key
from patronus.engine.forwarding import NO_ROW
from patronus.engine.knowledge import BADNESS_BITS, Knowledge
from patronus.engine.liveness import I8, State
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.preference import (
    DETOUR,
    DRAINED,
    NOT_DRAWN,
    PLACE,
    TRANSIT,
    ClassColumns,
    check_limits,
)
from patronus.engine.ranking import Ranking, limits_of
from patronus.engine.selection import Bools, Field, Traits, column_of
from patronus.engine.sharing import draw
from patronus.engine.tunnels import Tunnels
from patronus.engine.units import NEVER
from patronus.engine.verdict import COMPLIANT, UNKNOWN_BADNESS_NS, VIOLATING


@dataclass(frozen=True, eq=False)
class Pairs:
    """What all classes share; but for the first two, the last axis is that of pairs.

    Shapes are (columns, pairs), those of transit ones (transit sites, pairs).
    """

    sites: I64
    destinations: I64
    rows: I64
    usable: Bools
    """As far as the first tunnel and the announcing site go."""
    lane: I64
    drained: Bools
    place: I64
    smooth: I64
    """Metric of the first tunnel."""
    end: I32
    """Where the first tunnel leads if there is a choice of ends, else -1."""
    content: I64
    """Number of what each transit site said last and is still believed."""

    def at(self, where: Bools) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(*(getattr(self, f.name)[..., where] for f in fields(Pairs)))


class Ground(NamedTuple):
    """Where a driver's own pass finds candidates; the arrays themselves, which stay."""

    direct: I32
    """Those of :class:`Candidates`, as the three next ones."""
    order: I64
    transit: I32
    behind: Bools
    home: I64
    """That of :class:`Overlay`."""
    only: Bools
    """By destination: a single site announces it."""
    through: I64
    """The transit sites."""
    carries: Bools
    """By site: it is one of them."""
    rank: I32
    """By site."""
    dst: I32
    """By row, as the next one."""
    transport: I32


class Moment(NamedTuple):
    """What is known of candidates; the arrays themselves, of which some are replaced."""

    state: I8
    """Those of :class:`Tunnels`, as the three next ones."""
    drained: Bools
    settled: Bools
    fates: U64
    verdict: I8
    """Those of :class:`Ranking`, as the three next ones."""
    published: I64
    now: I64
    told: I64
    slot: I32
    """Those of ``Knowledge.believed``, as the next six."""
    held: I32
    believed: Bools
    announces: Bools
    offer: I64
    figures: I64
    worst: I64
    fresh: bool
    """Metrics of this moment are up to date."""


class Wishes(NamedTuple):
    """What one policy asks of its classes; the first axis is that of classes."""

    graded: I64
    """Shape (classes, verdicts * transports)."""
    forbidden: Bools
    """Shape (classes, transports)."""
    limits: I64
    """As in :class:`Terms`."""
    drops: Bools
    stays: Bools
    shares: Bools
    """Names decide between transports: nothing for a pass."""
    margin_ns: int
    margin_ppm: int
    by_sla: bool
    transit: bool
    backups: bool


def wishes_of(policy: Policy, columns: Sequence[ClassColumns]) -> Wishes:
    """Return what a policy asks, as numbers; ``columns`` are those of its classes."""
    features = policy.features
    return Wishes(
        graded=np.stack([c.graded for c in columns]),
        forbidden=np.stack([c.forbidden for c in columns]),
        limits=np.array([limits_of(c.sla) for c in columns], dtype=np.int64),
        drops=np.array([c.drops for c in columns], dtype=np.bool_),
        stays=np.array([c.stays for c in columns], dtype=np.bool_),
        shares=np.array([c.weights is not None for c in columns], dtype=np.bool_),
        margin_ns=policy.margin_ns if features.hysteresis else 0,
        margin_ppm=policy.margin_ppm if features.hysteresis else 0,
        by_sla=features.sla,
        transit=features.transit,
        backups=features.backups,
    )


class Prospects:
    """Lays out what the sites of one engine may choose from."""

    def __init__(
        self, overlay: Overlay, *, tunnels: Tunnels, ranking: Ranking, knowledge: Knowledge
    ) -> None:
        check_limits(overlay)
        self._overlay, self._tunnels = overlay, tunnels
        self._ranking, self._knowledge = ranking, knowledge
        self.candidates = build_candidates(overlay)
        self._direct = len(self.candidates.direct)
        self._only = np.array([len(d.sites) == 1 for d in overlay.destinations], dtype=np.bool_)
        self._places = bool(self.candidates.order.any())
        self._through: I64 = np.array(overlay.transit, dtype=np.int64)[:, None]
        self._carries: Bools = np.zeros(len(overlay.sites), dtype=np.bool_)
        self._carries[list(overlay.transit)] = True
        self._site_key = _keys("site", overlay.sites)
        self._lane_key = _keys("transport", overlay.transports)
        self._destination_key = _keys("destination", [d.name for d in overlay.destinations])
        self.ground = Ground(
            *(self.candidates.direct, self.candidates.order),
            *(self.candidates.transit, self.candidates.behind),
            overlay.home, self._only, self._through[:, 0].copy(), self._carries,
            overlay.rank, overlay.dst, overlay.transport,
        )  # fmt: skip

    @property
    def moment(self) -> Moment:
        """What is known now."""
        tunnels, ranking = self._tunnels, self._ranking
        return Moment(
            tunnels.state, tunnels.drained, tunnels.settled, tunnels.fates,
            ranking.verdict, ranking.metric_published, ranking.metric_now, ranking.told,
            *self._knowledge.believed, ranking.fresh,
        )  # fmt: skip

    def pairs(
        self, sites: I64, destinations: I64, policy: Policy, least: State = State.UP
    ) -> Pairs:
        """Lay out pairs, as far as classes agree; tunnels below the ``least`` state are no use."""
        rows = self.candidates.rows(sites, destinations, with_transit=policy.features.transit)
        direct, there = rows[: self._direct], rows != NO_ROW
        usable = there & (self._tunnels.state.take(rows) >= least)
        home = self._overlay.dst.take(direct)
        usable[: self._direct] &= self._knowledge.announces(sites, home, destinations)
        end = np.empty(rows.shape, dtype=np.int32)
        end[: self._direct] = np.where(self._only[destinations], -1, home)
        through = self._through if len(rows) > self._direct else self._through[:0]
        lanes = (len(rows) - self._direct) // max(1, len(through))
        end[self._direct :] = through.repeat(lanes, axis=0)
        usable[self._direct :] &= ~self._too_soon(sites, direct, through).repeat(lanes, axis=0)
        return Pairs(
            sites=sites,
            destinations=destinations,
            rows=rows,
            usable=usable,
            lane=self._overlay.transport.take(rows).astype(np.int64),
            drained=self._tunnels.drained.take(rows),
            place=self.candidates.order.take(destinations, axis=1),
            smooth=self._ranking.metric_published.take(rows),
            end=end,
            content=self._knowledge.content(sites, through),
        )

    def _too_soon(self, sites: I64, direct: I64, through: I64) -> Bools:
        """Tell which transit sites a transit site may not send through yet.

        When a site behind two of them dies, each would choose the other until it hears that
        that one has lost it, too. So they have an order: only a later one is chosen at once,
        an earlier one when the site's own tunnels have been down for long. Shape (transit
        sites, pairs); ``direct`` has shape (columns, pairs).
        """
        mine = self._carries[sites]
        if not mine.any():
            return np.zeros((len(through), len(sites)), dtype=np.bool_)
        lost = (direct == NO_ROW) | self._tunnels.settled.take(direct)
        rank = self._overlay.rank
        soon: Bools = (rank[through] < rank[sites]) & (mine & ~lost.all(axis=0))
        return soon

    def only_end(self, rows: I32, destinations: I64) -> Bools:
        """Tell which tunnels end at the only site of their destination; shapes broadcast."""
        here: Bools = self._overlay.dst[rows] == self._overlay.home[destinations, 0]
        return here & self._only[destinations]

    def field(self, columns: ClassColumns, pairs: Pairs, current: I32) -> tuple[Field, I8]:
        """Return the candidates of pairs as one class sees them, and their verdicts.

        ``current`` holds the row in use of each pair, ``NO_ROW`` for none.
        """
        usable = pairs.usable.copy()
        if columns.forbidden.any():
            usable &= ~columns.forbidden[pairs.lane]
        tier = self._ranking.verdict[columns.number].take(pairs.rows)
        metric, beyond = pairs.smooth, pairs.smooth[len(pairs.smooth) :]
        if len(pairs.content):
            beyond = self._beyond(columns, pairs, usable, tier)
            metric = metric.copy()
            far = metric[self._direct :]
            np.minimum(far + beyond, UNKNOWN_BADNESS_NS, out=far)
        if columns.drops:
            usable &= tier < VIOLATING
        grade = self._grade(columns, pairs, usable, tier)
        incumbent, held = column_of((pairs.rows == current) & usable)
        field = Field(
            rows=pairs.rows,
            usable=usable,
            grade=grade,
            metric=metric,
            beyond=beyond,
            lane=pairs.lane,
            end=pairs.end,
            incumbent=np.where(held > 0, incumbent, -1),
            key=self._destination_key[pairs.destinations],
            traits=Traits(self._ranking.at_present, self._overlay.key, self._tunnels.crossed),
            worst=UNKNOWN_BADNESS_NS,
        )
        return field, tier

    def _grade(self, columns: ClassColumns, pairs: Pairs, usable: Bools, tier: I8) -> I64:
        grade = columns.grades(tier, pairs.lane)
        ranked = tier < VIOLATING
        if self._places:
            grade[: self._direct] += (pairs.place * ranked[: self._direct]) * PLACE
        if len(pairs.content):
            grade[self._direct :] += ranked[self._direct :] * np.int64(TRANSIT)
            grade[self._direct :] += self._carries[pairs.sites] * np.int64(DETOUR)
        if pairs.drained.any():
            grade += pairs.drained * np.int64(DRAINED)
        if columns.weights is not None:
            grade += self._share(columns.weights, pairs, usable, tier, grade)
        return grade

    def _beyond(self, columns: ClassColumns, pairs: Pairs, usable: Bools, tier: I8) -> I64:
        """Narrow ``usable`` and worsen ``tier`` by what is beyond the transit sites.

        Returns:
            How bad that is; shape (transit columns, pairs).
        """
        offer = self._knowledge.offers(pairs.content, pairs.destinations, number=columns.number)
        lanes = (len(pairs.rows) - self._direct) // len(offer)
        far = (len(offer), lanes, offer.shape[1])
        ready, tiers = (a[self._direct :].reshape(far) for a in (usable, tier))
        ready &= (offer >= 0)[:, None]
        if columns.policy.features.sla:
            np.maximum(tiers, (offer >> BADNESS_BITS).astype(np.int8)[:, None], out=tiers)
            suspects = self._suspects(columns, pairs)
            if suspects.any():
                self._add_up(columns, pairs, tier, suspects & usable[self._direct :])
        beyond: I64 = (offer & ((1 << BADNESS_BITS) - 1)).repeat(lanes, axis=0)
        return beyond

    def _suspects(self, columns: ClassColumns, pairs: Pairs) -> Bools:
        """Return the transit candidates behind which some destination may break the SLA.

        Shape (transit columns, pairs). Nearly always the worst destination of all complies,
        and that is asked once for each site.
        """
        first = np.flatnonzero(np.diff(pairs.sites, prepend=-1))
        rows = pairs.rows[self._direct :]
        rows = self.candidates.transit.reshape(-1, self._overlay.deciding).take(
            pairs.sites[first], axis=1
        ).astype(np.int64)  # fmt: skip
        worst = self._knowledge.worst(pairs.content[:, first], number=columns.number)
        worst = worst.repeat(len(rows) // len(worst), axis=0)
        bad = self._ranking.whole(rows, worst, columns.sla) > COMPLIANT
        bad &= rows != NO_ROW
        length = np.diff(first, append=len(pairs.sites))
        suspects: Bools = bad.repeat(length, axis=1) if bad.any() else bad[:, :1] & False
        return suspects

    def _add_up(self, columns: ClassColumns, pairs: Pairs, tier: I8, suspects: Bools) -> None:
        """Worsen ``tier`` of some transit candidates by the verdict of the whole way."""
        column, pair = np.nonzero(suspects)
        lanes = len(suspects) // len(pairs.content)
        told = self._knowledge.figures(
            pairs.content[column // lanes, pair], pairs.destinations[pair], number=columns.number
        )
        column += self._direct
        joined = self._ranking.whole(pairs.rows[column, pair], told, columns.sla)
        tier[column, pair] = np.maximum(tier[column, pair], joined)

    def _share(self, weights: I64, pairs: Pairs, usable: Bools, tier: I8, grade: I64) -> I64:
        """Return ``NOT_DRAWN`` for good candidates that are not on their pair's drawn transport.

        Those that break the SLA are not shared: there the least bad one is wanted.
        """
        best = np.where(usable, grade, NEVER).min(axis=0, initial=NEVER)
        equal = usable & (grade == best) & (tier < VIOLATING)
        lane = pairs.lane
        is_open = np.stack([(equal & (lane == n)).any(axis=0) for n in range(len(weights))], axis=1)
        key = combine(self._site_key[pairs.sites], self._destination_key[pairs.destinations])
        drawn = draw(key, self._lane_key, weights, is_open)
        off: I64 = (equal & (drawn >= 0) & (lane != drawn)) * np.int64(NOT_DRAWN)
        return off


def _keys(sort: str, names: Sequence[str]) -> U64:
    return np.array([name_key(sort, name) for name in names], dtype=np.uint64)
