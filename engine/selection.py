"""Choosing a primary and two backups among candidates, for many pairs at once.

A candidate is ranked by, in this order: its *grade* (an integer that packs the
SLA verdict, the announcing site's place, transit, preference and cost; lower is
better), its smoothed metric, and a fixed fingerprint. The path in use keeps its
place against a rival of the same grade unless the rival is no worse now and
better on the smoothed metric by a margin (the two-metric rule of babeld's route
selection, RFC 8966 section 3.6). Backups are taken in rank order, first those
that share no fate with what was already taken.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER, PPM

Bools = npt.NDArray[np.bool_]

_LAST: Final = np.uint64(2**64 - 1)


@dataclass(frozen=True, eq=False)
class Field:
    """The candidates of some pairs; every array has shape (pairs, columns)."""

    rows: I32
    usable: Bools
    grade: I64
    metric_now: I64
    metric_smooth: I64
    tie: U64
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
    """The first backup exists but shares a fate with the primary, or none exists."""
    kept: Bools
    """The path in use was kept although another one ranks before it."""


class Selector(Protocol):
    """Whatever chooses paths; :func:`select` is ours, a study may bring its own."""

    def __call__(self, field: Field, current: I32, *, margin_ns: int, margin_ppm: int) -> Choice:
        """Choose for every pair as :func:`select` does."""


def select(field: Field, current: I32, *, margin_ns: int, margin_ppm: int) -> Choice:
    """Choose for every pair; ``current`` is the row in use, -1 for none."""
    first = _best(field, field.usable)
    here = (field.rows == current[:, None]) & field.usable & (current[:, None] >= 0)
    incumbent = np.where(here.any(axis=1), here.argmax(axis=1), -1)
    kept = _keeps(field, incumbent, first, margin_ns=margin_ns, margin_ppm=margin_ppm)
    primary = np.where(kept, incumbent, first)
    apart = _apart(field, primary)
    others = field.usable & ~_is_column(field, primary)
    backup, shared = _prefer(field, others & apart, others)
    others &= ~_is_column(field, backup)
    second, _ = _prefer(field, others & apart & _apart(field, backup), others)
    columns = np.stack([primary, backup, second], axis=1)
    return Choice(columns, shared | (backup < 0), kept)


def _best(field: Field, mask: Bools) -> I64:
    """Return the best column under a mask for each pair, -1 where the mask is empty."""
    if mask.shape[1] == 0:
        return np.full(len(mask), -1, dtype=np.int64)
    left = mask.copy()
    for key in (field.grade, field.metric_smooth):
        masked = np.where(left, key, NEVER)
        left &= masked == masked.min(axis=1, keepdims=True)
    column = np.where(left, field.tie, _LAST).argmin(axis=1)
    return np.where(mask.any(axis=1), column, -1)


def _prefer(field: Field, wish: Bools, otherwise: Bools) -> tuple[I64, Bools]:
    """Return the best column of ``wish``, else of ``otherwise``, and where it was the latter."""
    wished = _best(field, wish)
    fallback = np.where(wished < 0, _best(field, otherwise), -1)
    return np.where(wished >= 0, wished, fallback), (wished < 0) & (fallback >= 0)


def _keeps(field: Field, incumbent: I64, rival: I64, *, margin_ns: int, margin_ppm: int) -> Bools:
    """Return where the incumbent stays although the rival ranks first."""
    pairs = np.arange(len(incumbent))
    contested = (incumbent >= 0) & (rival >= 0) & (incumbent != rival)
    same_grade = field.grade[pairs, incumbent] == field.grade[pairs, rival]
    smooth = field.metric_smooth[pairs, incumbent]
    margin = np.maximum(margin_ns, smooth * margin_ppm // PPM)
    better = field.metric_smooth[pairs, rival] + margin < smooth
    no_worse = field.metric_now[pairs, rival] <= field.metric_now[pairs, incumbent]
    keeps: Bools = contested & same_grade & ~(better & no_worse)
    return keeps


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
    return apart | (column < 0)[:, None]
