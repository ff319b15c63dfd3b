"""Choosing among the tunnels that join two sites, for all destinations of many sites at once.

Where no site carries traffic between others, the candidates of a pair are its own tunnels,
one a transport. What is asked of each (may it be used, how is it graded, its metric) is asked
once a row, as one number that is compared, and rows of neighbouring sites lie side by side. For
the pairs are left three numbers to be put in order.

The rules are those of :mod:`selection`, which is the oracle of this file. Pairs of which it
cannot speak are *doubtful*: those with two equal candidates, where names decide, and those
with a metric beyond all that is measured.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.batch import Batch, mark
from patronus.engine.candidates import Candidates
from patronus.engine.fingerprint import U64
from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.knowledge import Knowledge
from patronus.engine.liveness import I8, UP
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.preference import DRAINED, TRANSIT, ClassColumns
from patronus.engine.ranking import Ranking
from patronus.engine.selection import LAST_RESORT, Bools
from patronus.engine.tunnels import Tunnels
from patronus.engine.units import PPM
from patronus.engine.verdict import OUTAGE, VIOLATING

LANES_MAX: Final = 3
"""So many candidates can be put in order by hand."""

FEWEST: Final = 256
"""For fewer entries of a site it does not pay; it changes nothing but the speed."""

_PAIRS_AT_ONCE: Final = 32_768
"""The scratch arrays of so many fit into the caches."""

# The key of a row, from its lowest bit: its place in the block, metric, rank, verdict, drained.
_PLACE: Final = (1 << 17) - 1
_METRIC_SHIFT: Final = 17
_GRADE_SHIFT: Final = 53
_TIER_SHIFT: Final = 59
_DRAINED: Final = 1 << 61
_FAR: Final = 1 << 62
"""This bit tells that the candidate is out of the question."""
_METRIC_MAX: Final = 1 << _GRADE_SHIFT - _METRIC_SHIFT
"""A minute; a tunnel that is worse goes the long way."""
_SAME: Final = 1 << _METRIC_SHIFT
"""Two keys that differ by less have the same grade and the same metric."""
_VERDICTS: Final = OUTAGE + 1

assert _PAIRS_AT_ONCE * LANES_MAX <= _PLACE, "a block has a place for each row"
assert _VERDICTS << _TIER_SHIFT == _DRAINED, "verdicts fill the bits below"
assert TRANSIT << _GRADE_SHIFT == 1 << _TIER_SHIFT, "ranks fill the bits below"
assert DRAINED == LAST_RESORT, "what is drained is the last resort, and nothing else"


class Chosen(NamedTuple):
    """What some pairs choose; arrays of one element a pair if nothing else is said."""

    rows: tuple[I32, I32, I32]
    """Primary, first and second backup; the primary is the one before where none can be used."""
    shared_fate: Bools
    tier: I8
    doubtful: Bools
    """Nothing is said of these pairs; none of the others has two equal candidates."""
    moved: I64
    """Which pairs leave the primary before, doubtful ones among them."""
    left: I8
    """Verdict of what each of those leaves, -1 where that cannot be used."""
    waiting: I64
    """Pairs with a rival that is better by the margin and only worse at present."""


class Laid(NamedTuple):
    """What a driver's own pass chooses from; the arrays themselves."""

    rows: I32
    """Shape (transports, sites, destinations that are sites): ``NO_ROW`` for none."""
    parts: I64
    """All of a key but its metric, by (drained, up, verdict, transport), flat."""
    state: I8
    drained: Bools
    verdict: I8
    """In force, by row, as the three next ones."""
    published: I64
    now: I64
    fates: U64
    """Shape (rows, words), bit sets of shared-risk groups."""
    margin_ns: int
    margin_ppm: int


class Lanes:
    """Lays out the tunnels of pairs for the sites of one engine."""

    def __init__(
        self,
        overlay: Overlay,
        candidates: Candidates,
        *,
        tunnels: Tunnels,
        ranking: Ranking,
        knowledge: Knowledge,
    ) -> None:
        self._overlay, self._tunnels, self._ranking = overlay, tunnels, ranking
        sites, lanes = len(overlay.sites), len(overlay.transports)
        self._rows: I32 = candidates.direct[:lanes, :, :sites]
        self._lane: I8 = overlay.transport.astype(np.int8)
        self._carried = bool(overlay.transit)
        self.fewest = FEWEST
        self._suits: Bools = np.zeros((overlay.deciding, len(overlay.destinations)), dtype=np.bool_)
        if 0 < lanes <= LANES_MAX and lanes * sites <= _PLACE:
            # What an announcer tells may have been withdrawn.
            self._suits[:, :sites] = knowledge.slot < 0

    def batch(self, asked: I64, space: EntrySpace) -> tuple[Batch, I64]:
        """Take out of some entries (ascending) those that can be chosen here."""
        return mark(asked, space, self._suits, fewest=self.fewest)

    def carries(self, policy: Policy) -> bool:
        """Tell whether pairs have no other candidates than their own tunnels, and backups."""
        features = policy.features
        return features.backups and not (features.transit and self._carried)

    def serves(self, columns: ClassColumns) -> bool:
        """Tell whether a class asks for nothing that is not known here."""
        plain = not (columns.drops or columns.stays or columns.weights is not None)
        return plain and self.carries(columns.policy)

    @property
    def fresh(self) -> bool:
        """Whether the metrics of this moment are up to date without being asked for."""
        return self._ranking.fresh

    def refresh(self, pairs: I64) -> None:
        """Bring those of some pairs' tunnels up to date; pairs as ``site * sites + to``."""
        rows = self._rows.reshape(len(self._rows), -1)[:, pairs]
        self._ranking.refresh(rows[rows != NO_ROW])

    def laid(self, columns: ClassColumns) -> Laid:
        """Return what a pass of the driver needs to do what :meth:`pick` does for a class."""
        policy, ranking, tunnels = columns.policy, self._ranking, self._tunnels
        wide = policy.features.hysteresis
        return Laid(
            rows=self._rows,
            parts=_parts(columns),
            state=tunnels.state,
            drained=tunnels.drained,
            verdict=ranking.verdict[columns.number],
            published=ranking.metric_published,
            now=ranking.metric_now,
            fates=tunnels.fates,
            margin_ns=policy.margin_ns if wide else 0,
            margin_ppm=policy.margin_ppm if wide else 0,
        )

    def blocks(self, sites: I64) -> Iterator[tuple[slice, slice]]:
        """Cut some sites (ascending) into neighbours, not too many; yield each with its place."""
        step = max(1, _PAIRS_AT_ONCE // max(1, self._rows.shape[2]))
        start = 0
        while start < len(sites):
            first = int(sites[start])
            stop = min(start + step, len(sites))
            # They ascend, so once one is missing all that follow are too far.
            near = sites[start:stop] == np.arange(first, first + stop - start)
            stop = start + int(np.count_nonzero(near))
            yield slice(first, first + stop - start), slice(start, stop)
            start = stop

    def pick(self, sites: slice, columns: ClassColumns, before: I32) -> Chosen:
        """Choose for all destinations (sites alone) of some neighbouring sites.

        Args:
            sites: which.
            columns: the class.
            before: shape (pairs,), the primaries in use, whatever they are.
        """
        keys, doubtful, low = self._keys(sites, columns)
        best, second, third = order = _in_order(keys)
        doubtful |= (best ^ second < _SAME) & (second < _FAR)
        doubtful |= (second ^ third < _SAME) & (third < _FAR)
        first = _rows_of(best, low)
        other = hits((first != before) & (best < _FAR))
        held = np.full(len(other), _FAR, dtype=np.int64)
        for key in keys:
            mine = key[other]
            held = np.where(_rows_of(mine, low) == before[other], mine, held)
        stays, waits = self._stays(held, best[other], low, columns)
        moved = np.ones(len(other), dtype=np.bool_)
        moved[stays] = False
        left = np.where(held < _FAR, held >> _TIER_SHIFT & OUTAGE, -1).astype(np.int8)
        kept = other[stays]
        _advance(order, kept, held[stays])
        first[kept] = before[kept]
        nothing = hits(best >= _FAR)
        first[nothing] = before[nothing]
        backups, shared_fate = self._stand_by(first, order, low)
        shared_fate[nothing] = before[nothing] != NO_ROW
        tier = (best >> _TIER_SHIFT & OUTAGE).astype(np.int8)
        tier[nothing] = VIOLATING
        return Chosen(
            (first, *backups), shared_fate, tier, doubtful, other[moved], left[moved], other[waits]
        )

    def _keys(self, sites: slice, columns: ClassColumns) -> tuple[list[I64], Bools, int]:
        """Return the candidates of each pair as numbers to compare, and of which nothing is said.

        The number of a candidate is that of its row; shape (pairs,) for each transport. Places
        in it count from the last value, which is one before the first row.
        """
        low, high = self._overlay.site_start[[sites.start, sites.stop]].tolist()
        metric = self._ranking.metric_published[low:high]
        up = self._tunnels.state[low:high] == UP
        # Small numbers are quick: all that is known of a row but its metric is looked up.
        place = self._ranking.verdict[columns.number, low:high] * np.int8(columns.lanes)
        place += self._lane[low:high]
        place += up * np.int8(columns.lanes * _VERDICTS)
        place += self._tunnels.drained[low:high] * np.int8(2 * columns.lanes * _VERDICTS)
        key = np.empty(high - low + 1, dtype=np.int64)
        key[0] = _FAR  # of a pair that lacks a tunnel
        own = key[1:]
        _parts(columns).take(place, out=own, mode="clip")
        own += metric << _METRIC_SHIFT
        own += np.arange(1, len(key), dtype=np.int64)
        beyond = hits(metric >= _METRIC_MAX)
        own[beyond] = _FAR
        beyond = beyond[up[beyond]] + low
        doubtful = np.zeros((sites.stop - sites.start, self._rows.shape[2]), dtype=np.bool_)
        doubtful[self._overlay.src[beyond] - sites.start, self._overlay.dst[beyond]] = True
        at = self._rows[:, sites].reshape(len(self._rows), -1) - np.int32(low - 1)
        return [key.take(each, mode="clip") for each in at], doubtful.ravel(), low - 1

    def _stays(self, held: I64, rival: I64, low: int, columns: ClassColumns) -> tuple[I64, I64]:
        """Return which of some pairs keep what they hold, and which of them for now only."""
        at = hits((held < _FAR) & (held >> _GRADE_SHIFT == rival >> _GRADE_SHIFT))
        held, rival = held[at], rival[at]
        smooth, other = ((key >> _METRIC_SHIFT) & (_METRIC_MAX - 1) for key in (held, rival))
        policy, margin = columns.policy, np.zeros(len(at), dtype=np.int64)
        if policy.features.hysteresis:
            margin = np.maximum(policy.margin_ns, smooth * policy.margin_ppm // PPM)
        better = other + margin < smooth
        mine, its = (self._ranking.at_present(_rows_of(key, low)) for key in (held, rival))
        return at[~(better & (its <= mine))], at[better & (its > mine)]

    def _stand_by(self, primary: I32, order: list[I64], low: int) -> tuple[tuple[I32, I32], Bools]:
        """Return the backups, and where none of them avoids the primary's fate.

        The better backup stands first unless only the other one is apart from the primary,
        and that is no last resort in place of one that is none.
        """
        _, second, third = order
        near, far = _rows_of(second, low), _rows_of(third, low)
        two, three = second < _FAR, third < _FAR
        near[hits(~two)] = NO_ROW
        far[hits(~three)] = NO_ROW
        shares = np.zeros(len(primary), dtype=np.bool_)
        for word in self._tunnels.crossed:
            shares |= (word.take(near, mode="clip") & word.take(primary, mode="clip")) != 0
        at = hits(shares & three)
        swapped = at[~self._tunnels.share_fate(far[at], primary[at])]
        swapped = swapped[(third[swapped] < _DRAINED) | (second[swapped] >= _DRAINED)]
        near[swapped], far[swapped] = far[swapped], near[swapped]
        shares[swapped] = False
        return (near, far), shares | ~two


def _parts(columns: ClassColumns) -> I64:
    """Return all of a key but its metric and place, by (drained, up, verdict, transport), flat."""
    tier = np.arange(_VERDICTS, dtype=np.int8).repeat(columns.lanes)
    lane = np.tile(np.arange(columns.lanes, dtype=np.int64), _VERDICTS)
    rank = columns.grades(tier, lane) % TRANSIT
    key = (tier.astype(np.int64) << _TIER_SHIFT) + (rank << _GRADE_SHIFT)
    key[columns.forbidden[lane]] |= _FAR
    key = np.concatenate([key | _FAR, key])
    return np.concatenate([key, key + _DRAINED])


def _in_order(keys: list[I64]) -> list[I64]:
    """Return the keys of each pair ascending, three of them whatever there are."""
    best = keys[0]
    far = np.full(len(best), _FAR, dtype=np.int64)
    second, third = (*keys[1:], far, far)[:2]
    best, second = np.minimum(best, second), np.maximum(best, second)
    second, third = np.minimum(second, third), np.maximum(second, third)
    best, second = np.minimum(best, second), np.maximum(best, second)
    return [best, second, third]


def _advance(order: list[I64], pairs: I64, held: I64) -> None:
    """Put a key of some pairs before their others, which keep their order."""
    best, second, third = (key[pairs] for key in order)
    order[0][pairs] = held
    order[1][pairs] = best
    order[2][pairs] = np.where(held == second, third, second)


def _rows_of(key: I64, low: int) -> I32:
    """Return the rows of some candidates; of one that is out of the question, any."""
    row = key & _PLACE
    row += low
    return row.astype(np.int32)
