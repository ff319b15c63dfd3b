"""Choosing for all destinations behind a site's transit sites at once.

Where a site has no tunnel of its own to a destination, every candidate is one of its few
tunnels to transit sites, and the metric of a way is a sum: of the tunnel's, which is the
same for all destinations, and of what the transit site told, which is the same for all
sites that believe the same. So candidates need not be laid out pair by pair. What is asked
of each candidate alone (may it be used, how is it graded, which others are apart from it)
is asked once a site; for the pairs are left the sums, and three times their least.

The rules are those of :mod:`selection`, which is the oracle of this file. Pairs of which
it cannot speak are *doubtful*: those with two equal candidates, where names decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.overlay import I64
from patronus.engine.selection import LAST_RESORT, METRIC_BITS, Bools
from patronus.engine.units import PPM

COLUMNS_MAX: Final = 16
"""A fan has so many candidates at most: sets of them are looked up in small tables."""

METRIC_MAX: Final = 1 << METRIC_BITS - 2
"""Below this are the parts of all sums, so that no sum has to be cut off."""

_PAIRS_AT_ONCE: Final = 32_768
"""The scratch arrays of so many fit into the caches."""

_FAR: Final = 1 << 62
"""This bit of a key tells that the candidate is out of the question."""


class Picked(NamedTuple):
    """What some sites choose; arrays of shape (sites, destinations), columns by number."""

    primary: I64
    """This one and the next are the number of columns where there is none."""
    first: I64
    second: I64
    disjoint: Bools
    """The first backup shares no fate with the primary, or is none for want of another."""
    waiting: Bools
    doubtful: Bools
    """Nothing is said of these pairs; none of the others has two equal candidates."""


@dataclass(frozen=True, eq=False)
class Fan:
    """The candidates of some sites for some destinations, as one class sees them.

    The first axis is that of candidates where nothing else is said, the second one of sites.
    """

    grade: I64
    metric: I64
    """Published, of the tunnel alone; below ``METRIC_MAX`` where usable."""
    now: I64
    """Of this moment, of the tunnel alone."""
    usable: Bools
    apart: I64
    """Bit sets of the candidates that share no fate with each."""
    end: I64
    """Shape (candidates,): which transit site it leads to."""
    beyond: I64
    """Shape (transit sites, destinations): metric of the rest; below ``METRIC_MAX``."""

    def blocks(self) -> Iterator[slice]:
        """Cut the sites into parts whose pairs fit into the caches."""
        sites, step = self.grade.shape[1], max(1, _PAIRS_AT_ONCE // max(1, self.beyond.shape[1]))
        return (slice(start, min(start + step, sites)) for start in range(0, sites, step))


class Sums(NamedTuple):
    """What a driver's own pass chooses from; the arrays themselves.

    A key is the candidate's own part and that of the rest of the way, added up; its lowest
    bits are the candidate.
    """

    own: I64
    """Shape (candidates, sites)."""
    rest: I64
    """Shape (transit sites, destinations)."""
    bits: int
    """Of the candidate's number."""
    forbidden: I64
    """Sets of candidates that are no first backup, by (site, primary)."""
    disjoint: Bools
    forbidden_then: I64
    """Those that are no second one, by (site, primary, first backup)."""
    tied: Bools
    """Shape (sites, destinations)."""
    margin_ns: int
    margin_ppm: int
    worst: int


class Choosing:
    """Chooses in a fan, some sites at a time."""

    def __init__(self, fan: Fan, *, margin_ns: int, margin_ppm: int, worst: int) -> None:
        """Ask of each candidate what does not depend on the destination.

        Args:
            fan: with at most ``COLUMNS_MAX`` candidates.
            margin_ns: by so much a rival must be better,
            margin_ppm: or by this share.
            worst: no metric is above this one.
        """
        self._fan, self._columns = fan, len(fan.grade)
        self._margin_ns, self._margin_ppm, self._worst = margin_ns, margin_ppm, worst
        self._bits = self._columns.bit_length()
        place = np.unique(fan.grade, return_inverse=True)[1].reshape(fan.grade.shape)
        self._key = (place << METRIC_BITS) + fan.metric + 1  # 0 is left free for "none"
        number = np.arange(self._columns, dtype=np.int64)[:, None]
        self._base = (np.where(fan.usable, self._key, 1) << self._bits) + number
        self._base[~fan.usable] |= _FAR
        self._rest = fan.beyond << self._bits
        self._tied = self._ties()
        self._backups()

    @property
    def sums(self) -> Sums:
        """What :meth:`pick` chooses from."""
        return Sums(
            self._base, self._rest, self._bits, self._forbidden, self._disjoint,
            self._forbidden_then, self._tied, self._margin_ns, self._margin_ppm, self._worst,
        )  # fmt: skip

    def _ties(self) -> Bools:
        """Return where two candidates have equal keys; shape (sites, destinations)."""
        fan = self._fan
        tied = np.zeros((fan.grade.shape[1], fan.beyond.shape[1]), dtype=np.bool_)
        groups = [hits(fan.end == end) for end in range(len(fan.beyond))]
        for mine in groups:
            for one, other in combinations(mine.tolist(), 2):
                tied[self._both(one, other) & (self._key[one] == self._key[other])] = True
        for end, other_end in combinations(range(len(groups)), 2):
            gap = fan.beyond[other_end] - fan.beyond[end]
            order = np.argsort(gap, kind="stable")
            gap = gap[order]
            for one in groups[end].tolist():
                for other in groups[other_end].tolist():
                    needed = self._key[one] - self._key[other]
                    low, high = gap.searchsorted(needed), gap.searchsorted(needed, side="right")
                    for site in hits((low < high) & self._both(one, other)).tolist():
                        tied[site, order[low[site] : high[site]]] = True
        return tied

    def _both(self, one: int, other: int) -> Bools:
        both: Bools = self._fan.usable[one] & self._fan.usable[other]
        return both

    def _backups(self) -> None:
        """Work out which candidates may be the next backup after each that is chosen."""
        fan, columns = self._fan, self._columns
        bit = 1 << np.arange(columns, dtype=np.int64)
        every = (1 << columns) - 1
        usable = (fan.usable * bit[:, None]).sum(axis=0)[:, None]
        good = usable & ((fan.grade < LAST_RESORT) * bit[:, None]).sum(axis=0)[:, None]
        # By (site, primary), then by (site, primary, first backup); the last one is none.
        bit, apart = np.append(bit, 0), np.append(fan.apart.T, 0 * usable, axis=1)
        left = usable & ~bit
        allowed, self._disjoint = _wished(left, left & apart, good)
        self._forbidden = every & ~allowed
        left = left[:, :, None] & ~bit
        apart = left & apart[:, :, None] & apart[:, None, :]
        self._forbidden_then = every & ~_wished(left, apart, good[:, :, None])[0]

    def pick(self, sites: slice, held: I64) -> Picked:
        """Choose for a block of sites.

        Args:
            sites: which.
            held: shape (sites, destinations), the candidates in use; the number of
                candidates where it is none of them.
        """
        fan, none = self._fan, (1 << self._bits) - 1
        keys = self._base[:, sites, None] + self._rest[fan.end][:, None, :]
        lead = keys.min(axis=0)
        nothing = lead >= _FAR
        lead &= none
        waiting = np.zeros(lead.shape, dtype=np.bool_)
        self._keep(sites, held, lead, waiting)
        lead[nothing] = self._columns
        site = np.arange(len(lead), dtype=np.int64)[:, None]
        at = site * (self._columns + 1) + lead
        first = self._least(keys, self._forbidden[sites].take(at))
        disjoint = self._disjoint[sites].take(at)
        at *= self._columns + 1
        at += first
        second = self._least(keys, self._forbidden_then[sites].take(at))
        return Picked(lead, first, second, disjoint, waiting, self._tied[sites])

    def _least(self, keys: I64, forbidden: I64) -> I64:
        """Return the candidates of the least keys, but for sets of forbidden ones."""
        least = np.full(forbidden.shape, _FAR + self._columns, dtype=np.int64)
        out = np.empty_like(least)
        for number, key in enumerate(keys):
            np.left_shift(forbidden, 62 - number, out=out)
            out &= _FAR
            out |= key
            np.minimum(least, out, out=least)
        least &= (1 << self._bits) - 1
        return least

    def _keep(self, sites: slice, held: I64, lead: I64, waiting: Bools) -> None:
        """Let incumbents stay where they may, in ``lead``; note where for now only."""
        fan = self._fan
        site, to = np.nonzero((held != lead) & (held < self._columns))
        mine, other, here = held[site, to], lead[site, to], site + sites.start
        equal = fan.usable[mine, here] & (fan.grade[mine, here] == fan.grade[other, here])
        site, to, mine, other, here = (a[equal] for a in (site, to, mine, other, here))
        rest, rival = fan.beyond[fan.end[mine], to], fan.beyond[fan.end[other], to]
        smooth = fan.metric[mine, here] + rest
        margin = np.maximum(self._margin_ns, smooth * self._margin_ppm // PPM)
        better = fan.metric[other, here] + rival + margin < smooth
        mine_now = np.minimum(fan.now[mine, here] + rest, self._worst)
        other_now = np.minimum(fan.now[other, here] + rival, self._worst)
        no_worse = other_now <= mine_now
        waiting[site, to] = better & ~no_worse
        stays = ~(better & no_worse)
        lead[site[stays], to[stays]] = mine[stays]


def _wished(left: I64, apart: I64, good: I64) -> tuple[I64, Bools]:
    """Return the set to choose a backup from, and whether it is of those that are apart.

    All are bit sets. While there is one that is no last resort, being apart does not make
    up for being one.
    """
    wished: Bools = (apart != 0) & (((apart & good) != 0) | ((left & good) == 0))
    return np.where(wished, apart, left), wished
