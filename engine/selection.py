"""Choosing a primary and two backups among candidates, for many pairs at once.

A candidate is ranked by, in this order: its *grade* (an integer that packs the
SLA verdict, the announcing site's place, transit, preference and cost; lower is
better), its smoothed metric, and a fixed fingerprint. The path in use keeps its
place against a rival of the same grade unless the rival is no worse now and
better on the smoothed metric by a margin (the two-metric rule of babeld's route
selection, RFC 8966 section 3.6). Backups are taken in rank order, last resorts
after all others, and first those that share no fate with what was already taken.

Arrays have shape (columns, pairs): there are a dozen columns and thousands of pairs,
and NumPy is quick along the long axis. Grade and metric are compared as one integer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from patronus.engine.fingerprint import U64, combine
from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER, PPM

Bools = npt.NDArray[np.bool_]

METRIC_BITS: Final = 43
GRADE_BITS: Final = 20
"""Grade and metric make an int64 that is not negative."""

LAST_RESORT: Final = 1 << 18
"""Candidates of this grade or a greater one are taken when nothing else is left."""

_COUNT_SHIFT: Final = 15
"""Above all numbers of columns, and all sums of them."""

_NO_TIE: Final = np.uint64(2**64 - 1)


class Traits(NamedTuple):
    """What is fixed of each row, or measured at this moment."""

    metric_now: Callable[[I64], I64]
    """Returns the metric of this moment of some rows."""
    key: U64
    crossed: tuple[U64, ...]
    """Bit sets of shared-risk groups on the way, word by word."""


@dataclass(frozen=True, eq=False)
class Field:
    """The candidates of some pairs; arrays have shape (columns, pairs) if nothing else is said."""

    rows: I64
    usable: Bools
    grade: I64
    metric: I64
    """Smoothed, of the whole way; at most ``METRIC_BITS``."""
    beyond: I64
    """The part of the metric that does not belong to the row itself. Shape (behind, pairs):
    that of the last columns; those before them have none."""
    lane: I64
    """The local transport: two candidates on one lane share the access link."""
    end: I32
    """The site at the far end of the tunnel where there is a choice of such sites, -1 where
    every candidate has to end at the destination's only one."""
    incumbent: I64
    """Shape (pairs,): the column in use, -1 where there is none that can be used."""
    key: U64
    """Shape (pairs,): a fingerprint of what is asked for."""
    traits: Traits
    """By row."""
    worst: int
    """No metric is above this one."""

    def now(self, columns: I64, pairs: I64) -> I64:
        """Return the metric of this moment for some candidates."""
        metric = self.traits.metric_now(self.rows[columns, pairs])
        behind = columns - (len(self.rows) - len(self.beyond))
        far = np.flatnonzero(behind >= 0)
        metric[far] += self.beyond[behind[far], pairs[far]]
        return np.minimum(metric, self.worst)

    def ties(self, pairs: I64) -> U64:
        """Return a number below 2^63 for each candidate of some pairs, whatever its column."""
        rows = self.traits.key[self.rows[:, pairs]]
        return combine(rows, self.key[pairs]) >> np.uint64(1)


@dataclass(frozen=True, eq=False)
class Choice:
    """Columns chosen for each pair, -1 for none."""

    columns: I64
    """Shape (3, pairs): primary, first backup, second backup."""
    shared_fate: Bools
    """There is a primary, and no backup or one that shares a fate with it."""
    waiting: Bools
    """A rival is better by the margin and only worse at present: ask again."""


class Selector(Protocol):
    """Whatever chooses paths; :func:`select` is ours, a study may bring its own."""

    def __call__(self, field: Field, *, margin_ns: int, margin_ppm: int) -> Choice:
        """Choose for every pair as :func:`select` does."""


def select(field: Field, *, margin_ns: int, margin_ppm: int) -> Choice:
    """Choose for every pair."""
    keys = np.where(field.usable, (field.grade << METRIC_BITS) + field.metric, NEVER)
    first, _ = _best(field, keys)
    kept, waiting = _keeps(field, first, margin_ns=margin_ns, margin_ppm=margin_ppm)
    primary = np.where(kept, field.incumbent, first)
    apart = _apart(field, primary)
    _strike(keys, primary)
    backup, disjoint = _next(field, keys, apart)
    _strike(keys, backup)
    second, _ = _next(field, keys, apart & _apart(field, backup))
    columns = np.stack([primary, backup, second])
    return Choice(columns, (primary >= 0) & ~disjoint, waiting)


def column_of(equal: Bools) -> tuple[I64, I64]:
    """Return the column that is marked for each pair, and how many are (right where one is)."""
    number = np.arange(len(equal), dtype=np.int32)[:, None] + np.int32(1 << _COUNT_SHIFT)
    both = np.add.reduce(np.multiply(equal, number), axis=0, dtype=np.int32).astype(np.int64)
    return both & (1 << _COUNT_SHIFT) - 1, both >> _COUNT_SHIFT


def _best(field: Field, keys: I64) -> tuple[I64, I64]:
    """Return the column of the least key of each pair, -1 where all are ``NEVER``, and the key."""
    least = keys.min(axis=0)
    equal = keys == least
    column, count = column_of(equal)
    column[least == NEVER] = -1
    tied = np.flatnonzero((count > 1) & (column >= 0))
    if len(tied):
        ties = np.where(equal[:, tied], field.ties(tied), _NO_TIE)
        column[tied] = ties.argmin(axis=0)
    return column, least


def _next(field: Field, keys: I64, apart: Bools) -> tuple[I64, Bools]:
    """Return the best backup of those left, and where it is one of those apart."""
    any_one, least = _best(field, keys)
    wished, wish = _best(field, np.where(apart, keys, NEVER))
    # While there is one that is no last resort, being apart does not make up for being one.
    resort = LAST_RESORT << METRIC_BITS
    good: Bools = (wished >= 0) & ((wish < resort) | (least >= resort))
    return np.where(good, wished, any_one), good


def _strike(keys: I64, column: I64) -> None:
    """Take a column of each pair out of the contest."""
    pairs = np.flatnonzero(column >= 0)
    keys[column[pairs], pairs] = NEVER


def _keeps(field: Field, rival: I64, *, margin_ns: int, margin_ppm: int) -> tuple[Bools, Bools]:
    """Return where the incumbent stays although the rival ranks first, and where for now only."""
    kept, waiting = np.zeros((2, len(rival)), dtype=np.bool_)
    pairs = np.flatnonzero((field.incumbent >= 0) & (field.incumbent != rival))
    mine, other = field.incumbent[pairs], rival[pairs]
    equal = field.grade[mine, pairs] == field.grade[other, pairs]
    pairs, mine, other = pairs[equal], mine[equal], other[equal]
    smooth = field.metric[mine, pairs]
    margin = np.maximum(margin_ns, smooth * margin_ppm // PPM)
    better = field.metric[other, pairs] + margin < smooth
    no_worse = field.now(other, pairs) <= field.now(mine, pairs)
    kept[pairs], waiting[pairs] = ~(better & no_worse), better & ~no_worse
    return kept, waiting


def _apart(field: Field, column: I64) -> Bools:
    """Return which candidates share neither lane, group nor far end with a chosen column."""
    pairs = np.arange(len(column))
    apart: Bools = field.lane != field.lane[column, pairs]
    apart &= (field.end != field.end[column, pairs]) | (field.end < 0)
    for word in field.traits.crossed:
        crossed = word[field.rows]
        apart &= (crossed & crossed[column, pairs]) == 0
    return apart
