"""Silence, densely: stamps of a slot in, the few edges of liveness out.

The driver hands over confirming stamps, one a row at a time and in time order for
each row. Almost every row just moves its stamp forward; the rare ones that had gone
stale before, or that were silent, come back as :class:`Edges` with their exact times.
The boundary is that of :mod:`patronus.engine.fastpath`: silent from
``confirmed + detect + 1`` on.

``silent`` is the memory between calls: true from the ``EXPIRE`` edge of a row until its
``CONFIRM`` edge, so each edge is reported once. Work on contiguous slices of 16 to 64 k
rows: they stay in the cache.
"""

from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.forwarding import Bool
from patronus.engine.liveness import I8, Input
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, NEVER

Rows = slice | I64
"""Rows of one call: a slice (quick) or an index array without repeats."""


class Edges(NamedTuple):
    """Changes of silence, ordered by (time, row, kind)."""

    at_ns: I64
    row: I64
    kind: I8
    """``Input.EXPIRE`` or ``Input.CONFIRM``."""


NO_EDGES: Final = Edges(
    np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8)
)


def stamp(
    confirmed_ns: I64,
    detect_ns: I64,
    silent: Bool,
    rows: Rows,
    at_ns: I64,
    *,
    not_before_ns: int = LONG_AGO,
) -> Edges:
    """Take at most one confirming stamp a row; update the state in place.

    Args:
        confirmed_ns: last proof of every row, updated.
        detect_ns: of every row.
        silent: of every row, updated.
        rows: the rows meant.
        at_ns: one stamp for each of them, ``NEVER`` for none. One older than the
            row's last is no news.
        not_before_ns: no edge is dated earlier. A detect time that shrinks can put
            an expiry into the past; it is then noticed now.

    Returns:
        Rows that had expired before their stamp, and rows heard again.
    """
    confirmed, detect, mute = confirmed_ns[rows], detect_ns[rows], silent[rows]
    # Rows without a stamp give any gap at all here (it may wrap): they drop out below.
    odd = at_ns - confirmed > detect
    odd |= mute
    at = hits(odd)
    at = at[(at_ns[at] != NEVER) & (at_ns[at] > confirmed[at])]
    if not len(at):  # nearly always
        _advance(confirmed_ns, rows, confirmed, at_ns)
        return NO_EDGES
    back = _edges(rows, at, at_ns[at], Input.CONFIRM)
    lost = at[~mute[at]]
    gone = _edges(rows, lost, confirmed[lost] + detect[lost] + 1, Input.EXPIRE)
    _advance(confirmed_ns, rows, confirmed, at_ns)
    silent[back.row] = False
    return _merge(gone, back, not_before_ns)


def _advance(confirmed_ns: I64, rows: Rows, confirmed: I64, at_ns: I64) -> None:
    # Maximum of everything, then the few rows without a stamp are put back: this is
    # cheaper than a masked copy, whose cost is paid for every row.
    none = hits(at_ns == NEVER)
    kept = confirmed[none]
    if isinstance(rows, slice):
        np.maximum(confirmed, at_ns, out=confirmed)
        confirmed[none] = kept
    else:
        newest = np.maximum(confirmed, at_ns)
        newest[none] = kept
        confirmed_ns[rows] = newest


def expire(
    confirmed_ns: I64,
    detect_ns: I64,
    silent: Bool,
    rows: Rows,
    until_ns: int,
    *,
    not_before_ns: int = LONG_AGO,
) -> Edges:
    """Return the rows that go silent before ``until_ns`` if no further stamp comes.

    Call it when every stamp earlier than ``until_ns`` has been taken.
    """
    confirmed, detect = confirmed_ns[rows], detect_ns[rows]
    stale = confirmed + detect < until_ns - 1
    stale &= ~silent[rows]
    at = hits(stale)
    if not len(at):  # nearly always
        return NO_EDGES
    gone = _edges(rows, at, confirmed[at] + detect[at] + 1, Input.EXPIRE)
    silent[gone.row] = True
    return _merge(gone, _edges(rows, at[:0], at[:0], Input.CONFIRM), not_before_ns)


def cut(
    confirmed_ns: I64,
    detect_ns: I64,
    silent: Bool,
    rows: I64,
    at_ns: I64,
    *,
    not_before_ns: int = LONG_AGO,
) -> Edges:
    """Void the proofs of rows at given times: no carrier, or the peer says it hears nothing.

    The stamp goes back so far that it is stale at that very instant; the next one is a
    ``CONFIRM`` edge again, however soon it comes. A row whose proof had run out before is
    dated by that. Arguments are those of :func:`stamp`; every row has a time.
    """
    loud = hits(~silent[rows])
    row, at = rows[loud], at_ns[loud]
    confirmed, detect = confirmed_ns[row], detect_ns[row]
    gone_ns = np.minimum(confirmed + detect + 1, at)
    confirmed_ns[row] = np.minimum(confirmed, at - detect - 1)
    silent[row] = True
    gone = _edges(row, np.arange(len(row)), gone_ns, Input.EXPIRE)
    return _merge(gone, _edges(row, loud[:0], loud[:0], Input.CONFIRM), not_before_ns)


def _edges(rows: Rows, position: I64, at_ns: I64, kind: Input) -> Edges:
    if isinstance(rows, slice):
        assert rows.step in (None, 1), "a contiguous slice"
        row = position + (rows.start or 0)
    else:
        row = rows[position]
    return Edges(at_ns, row, np.full(len(row), kind, dtype=np.int8))


def _merge(gone: Edges, back: Edges, not_before_ns: int) -> Edges:
    at_ns = np.maximum(np.concatenate([gone.at_ns, back.at_ns]), not_before_ns)
    row = np.concatenate([gone.row, back.row])
    kind = np.concatenate([gone.kind, back.kind])
    # At one instant a row expires before it is heard again.
    order = np.lexsort((-kind, row, at_ns))
    return Edges(at_ns[order], row[order], kind[order])
