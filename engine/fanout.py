"""Which entries can be chosen in fans, and what the fans are made of.

A pair goes into a fan when the site has no direct candidate for the destination, and
carries nothing itself. Sites that hold the same announcements share one fan for each
class and each set of destinations to which the transit sites offer the same verdicts.
What does not fit, some few pairs, is left to :mod:`steering`, pair by pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import distinct, hits
from patronus.engine.batch import Batch, mark
from patronus.engine.candidates import Candidates
from patronus.engine.fan import COLUMNS_MAX, METRIC_MAX, Choosing, Fan
from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.knowledge import BADNESS_BITS, Knowledge
from patronus.engine.liveness import I8, UP
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.preference import DRAINED, TRANSIT, ClassColumns
from patronus.engine.ranking import Ranking
from patronus.engine.selection import Bools
from patronus.engine.tunnels import Tunnels
from patronus.engine.verdict import COMPLIANT, UNKNOWN_BADNESS_NS, VIOLATING

FEWEST: Final = 64
"""Fans of fewer sites or destinations do not pay; it changes nothing but the speed."""

_BADNESS: Final = (1 << BADNESS_BITS) - 1


@dataclass(frozen=True, eq=False)
class Spread:
    """One fan of one class, with what its columns stand for."""

    place: I64
    """Shape (sites,): which of the sites that were asked for."""
    destinations: I64
    rows: I32
    """Shape (sites, columns + 1), the last one ``NO_ROW``."""
    tier: I8
    """Of the same shape, the last one ``VIOLATING``."""
    odd: Bools
    """Shape (sites, destinations): the sum of both tunnels is worse than each of them."""
    fan: Fan
    choosing: Choosing


class _Beyond(NamedTuple):
    """What the transit sites offer to some sites, for destinations that are alike."""

    content: I64
    """Shape (transit sites,)."""
    destinations: I64
    ready: Bools
    """Shape (transit sites,), as the next one."""
    tier: I8
    badness: I64
    """Shape (transit sites, destinations)."""


class Fanout:
    """Lays out fans for the sites of one engine."""

    def __init__(
        self,
        overlay: Overlay,
        candidates: Candidates,
        *,
        tunnels: Tunnels,
        ranking: Ranking,
        knowledge: Knowledge,
    ) -> None:
        self._tunnels, self._ranking, self._knowledge = tunnels, ranking, knowledge
        through, lanes, sites = candidates.transit.shape
        self.columns = through * lanes
        self._rows: I32 = candidates.transit.reshape(self.columns, sites)
        self._through: I64 = np.array(overlay.transit, dtype=np.int64)[:, None]
        self._end: I64 = np.arange(through, dtype=np.int64).repeat(lanes)
        self._lane: I64 = np.tile(np.arange(lanes, dtype=np.int64), through)
        self.fewest = FEWEST
        self._suits: Bools = np.zeros((sites, len(overlay.destinations)), dtype=np.bool_)
        if 0 < self.columns <= COLUMNS_MAX:
            self._suits |= ~(candidates.direct != NO_ROW).any(axis=0)
            to, place = np.nonzero(overlay.home < sites)
            self._suits[overlay.home[to, place], to] = False
            self._suits[self._through[self._through < sites]] = False
        self.column: I64 = np.full(overlay.rows + 1, self.columns, dtype=np.int64)
        """Column of each row, the number of columns where it leads to no transit site."""
        column, site = np.nonzero(self._rows != NO_ROW)
        self.column[self._rows[column, site]] = column

    def batch(self, asked: I64, space: EntrySpace) -> tuple[Batch, I64]:
        """Take out of some entries (ascending) those that fit into fans; return the others, too."""
        return mark(asked, space, self._suits, fewest=self.fewest, sites_fewest=self.fewest)

    def spreads(self, sites: I64, columns: ClassColumns) -> Iterator[Spread]:
        """Yield the fans of some sites and one class; what is in none is not alike enough."""
        features = columns.policy.features
        if not (features.transit and features.backups):
            return
        if columns.drops or columns.stays or columns.weights is not None:
            return
        content = self._knowledge.content(sites, self._through)
        for held in np.unique(content, axis=1).T:
            place = hits((content == held[:, None]).all(axis=0))
            if len(place) >= self.fewest:
                for beyond in self._alike(held, columns):
                    yield self._spread(place, sites[place], beyond, columns)

    def _alike(self, content: I64, columns: ClassColumns) -> Iterator[_Beyond]:
        """Cut the destinations by what is offered there."""
        to = np.arange(self._suits.shape[1], dtype=np.int64)
        each = np.broadcast_to(content[:, None], (len(content), len(to)))
        offer = self._knowledge.offers(each, to, number=columns.number)
        ready, badness = offer >= 0, np.where(offer >= 0, offer & _BADNESS, 0)
        tier = np.where(ready & columns.policy.features.sla, offer >> BADNESS_BITS, COMPLIANT)
        told = (badness < METRIC_MAX).all(axis=0)
        kinds, kind = np.unique(np.where(ready, tier, -1)[:, told], axis=1, return_inverse=True)
        to, kind = to[told], kind.ravel()
        many = hits(np.bincount(kind, minlength=kinds.shape[1]) >= self.fewest)
        for number in many.tolist():
            some, offered = to[kind == number], kinds[:, number]
            yield _Beyond(
                content, some, offered >= 0,
                np.maximum(offered, 0).astype(np.int8), badness[:, some],
            )  # fmt: skip

    def _spread(self, place: I64, sites: I64, beyond: _Beyond, columns: ClassColumns) -> Spread:
        rows = self._rows[:, sites]
        policy, lane = columns.policy, self._lane[:, None]
        usable = (rows != NO_ROW) & (self._tunnels.state[rows] == UP)
        usable &= beyond.ready[self._end][:, None] & ~columns.forbidden[lane]
        tier = self._ranking.verdict[columns.number][rows]
        np.maximum(tier, beyond.tier[self._end][:, None], out=tier)
        metric = self._ranking.metric_published[rows]
        known = (metric < METRIC_MAX) | ~usable
        grade = columns.grades(tier, np.broadcast_to(lane, rows.shape))
        grade += (tier < VIOLATING) * np.int64(TRANSIT)
        grade += self._tunnels.drained[rows] * np.int64(DRAINED)
        fan = Fan(
            grade=grade,
            metric=np.where(known, metric, 0),
            now=self._ranking.at_present(rows),
            usable=usable,
            apart=self._apart(rows),
            end=self._end,
            beyond=beyond.badness,
        )
        choosing = Choosing(
            fan,
            margin_ns=policy.margin_ns if policy.features.hysteresis else 0,
            margin_ppm=policy.margin_ppm if policy.features.hysteresis else 0,
            worst=UNKNOWN_BADNESS_NS,
        )
        odd = self._odd(rows, tier, usable, beyond, columns)
        odd[~known.all(axis=0)] = True
        table = np.append(rows.T, np.full((len(sites), 1), NO_ROW, dtype=np.int32), axis=1)
        tiers = np.append(tier.T, np.full((len(sites), 1), VIOLATING, dtype=np.int8), axis=1)
        return Spread(place, beyond.destinations, table, tiers, odd, fan, choosing)

    def _apart(self, rows: I32) -> I64:
        """Return by (column, site) the set of columns that share neither lane, end nor group."""
        apart = np.zeros(rows.shape, dtype=np.int64)
        for number, row in enumerate(rows):
            free = (self._lane != self._lane[number]) & (self._end != self._end[number])
            clean = np.broadcast_to(free[:, None], rows.shape).copy()
            for word in self._tunnels.crossed:
                clean &= (word[rows] & word[row]) == 0
            apart += clean * np.int64(1 << number)
        return apart

    def _odd(
        self, rows: I32, tier: I8, usable: Bools, beyond: _Beyond, columns: ClassColumns
    ) -> Bools:
        """Tell where the verdict of the whole way is worse than those of its parts."""
        odd = np.zeros((rows.shape[1], len(beyond.destinations)), dtype=np.bool_)
        if not columns.policy.features.sla:
            return odd
        number, content = columns.number, beyond.content[self._end]
        worst = self._knowledge.worst(content, number=number)[:, None]
        doubt = (self._ranking.whole(rows, worst, columns.sla) > COMPLIANT) & usable
        for column in distinct(np.nonzero(doubt)[0]).tolist():
            site = hits(doubt[column])
            told = self._knowledge.figures(content[column], beyond.destinations, number=number)
            whole = self._ranking.whole(
                np.broadcast_to(rows[column, site][:, None], (len(site), len(told))),
                told, columns.sla,
            )  # fmt: skip
            odd[site] |= whole > tier[column, site][:, None]
        return odd
