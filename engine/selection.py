"""Choosing a primary and two backups among candidates, for many pairs at once.

A candidate is ranked by, in this order: its *grade* (an integer that packs the
SLA verdict, the announcing site's place, transit, preference and cost; lower is
better), its smoothed metric, and a fixed fingerprint. The path in use keeps its
place against a rival of the same grade unless the rival is no worse now and
better on the smoothed metric by a margin (the two-metric rule of babeld's route
selection, RFC 8966 section 3.6). Backups are taken in rank order, last resorts
after all others, and first those that share no fate with what was already taken.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER, PPM

Bools = npt.NDArray[np.bool_]

LAST_RESORT: Final = 1 << 58
"""Candidates of this grade or a greater one are taken when nothing else is left."""

_NO_TIE: Final = np.uint64(2**64 - 1)


@dataclass(frozen=True, eq=False)
class Field:
    """The candidates of some pairs; every array has shape (pairs, columns)."""

    rows: I32
    usable: Bools
    grade: I64
    metric_now: I64
    metric_smooth: I64
    tie: U64
    """Below 2^63; different for each usable candidate of a pair, whatever its column."""
    lane: I32
    """The local transport: two candidates on one lane share the access link."""
    fates: U64
    """Shape (pairs, columns, words): bit sets of shared-risk groups on the way."""
    end: I32
    """The site at the far end of the tunnel where there is a choice of such sites, -1 where
    every candidate has to end at the destination's only one."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Columns chosen for each pair, -1 for none."""

    columns: I64
    """Shape (pairs, 3): primary, first backup, second backup."""
    shared_fate: Bools
    """There is a primary, and no backup or one that shares a fate with it."""
    waiting: Bools
    """A rival is better by the margin and only worse at present: ask again."""


class Selector(Protocol):
    """Whatever chooses paths; :func:`select` is ours, a study may bring its own."""

    def __call__(self, field: Field, current: I32, *, margin_ns: int, margin_ppm: int) -> Choice:
        """Choose for every pair as :func:`select` does."""


def select(field: Field, current: I32, *, margin_ns: int, margin_ppm: int) -> Choice:
    """Choose for every pair; ``current`` is the row in use, -1 for none."""
    first = _best(field, field.usable)
    here = (field.rows == current[:, None]) & field.usable & (current[:, None] >= 0)
    incumbent = np.where(here.any(axis=1), here.argmax(axis=1), -1)
    kept, waiting = _keeps(field, incumbent, first, margin_ns=margin_ns, margin_ppm=margin_ppm)
    primary = np.where(kept, incumbent, first)
    apart = _apart(field, primary)
    left = field.usable & ~_is_column(field, primary)
    backup, disjoint = _next(field, left, apart)
    left &= ~_is_column(field, backup)
    second, _ = _next(field, left, apart & _apart(field, backup))
    columns = np.stack([primary, backup, second], axis=1)
    return Choice(columns, (primary >= 0) & ~disjoint, waiting)


def _best(field: Field, mask: Bools) -> I64:
    """Return the best column under a mask for each pair, -1 where the mask is empty."""
    left = mask.copy()
    for key in (field.grade, field.metric_smooth):
        masked = np.where(left, key, NEVER)
        left &= masked == masked.min(axis=1, keepdims=True)
    column = np.where(left, field.tie, _NO_TIE).argmin(axis=1)
    return np.where(mask.any(axis=1), column, -1)


def _next(field: Field, left: Bools, apart: Bools) -> tuple[I64, Bools]:
    """Return the best backup of those left, and where it is one of those apart."""
    ready = left & (field.grade < LAST_RESORT)
    pool = np.where(ready.any(axis=1, keepdims=True), ready, left)
    wished = _best(field, pool & apart)
    return np.where(wished >= 0, wished, _best(field, pool)), wished >= 0


def _keeps(
    field: Field, incumbent: I64, rival: I64, *, margin_ns: int, margin_ppm: int
) -> tuple[Bools, Bools]:
    """Return where the incumbent stays although the rival ranks first, and where for now only."""
    pairs = np.arange(len(incumbent))
    contested = (incumbent >= 0) & (incumbent != rival)
    contested &= field.grade[pairs, incumbent] == field.grade[pairs, rival]
    smooth = field.metric_smooth[pairs, incumbent]
    margin = np.maximum(margin_ns, smooth * margin_ppm // PPM)
    better = field.metric_smooth[pairs, rival] + margin < smooth
    no_worse = field.metric_now[pairs, rival] <= field.metric_now[pairs, incumbent]
    return contested & ~(better & no_worse), contested & better & ~no_worse


def _is_column(field: Field, column: I64) -> Bools:
    same: Bools = np.arange(field.rows.shape[1])[None, :] == column[:, None]
    return same


def _apart(field: Field, column: I64) -> Bools:
    """Return which candidates share neither lane, group nor far end with a chosen column."""
    pairs = np.arange(len(column))
    lane, end = field.lane[pairs, column], field.end[pairs, column]
    common = (field.fates & field.fates[pairs, column][:, None, :]).any(axis=2)
    apart: Bools = (field.lane != lane[:, None]) & ~common
    apart &= (field.end != end[:, None]) | (field.end < 0)
    return apart
