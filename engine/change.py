"""Moves of primaries, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.liveness import I8
from patronus.engine.overlay import I32, I64
from patronus.engine.verdict import VIOLATING

_SEVERAL: Final = 2


class Cause(IntEnum):
    """What steering knows of why an entry moved, beyond what it was asked for."""

    RANK = 0
    """Both paths can be used; the new one ranks first."""
    LOST = 1
    """The old path cannot be used any more."""
    VIOLATED = 2
    """The old path breaks the SLA and the new one, as far as is known, does not."""


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """Entries whose primary has changed; arrays of one element an entry."""

    entries: I64
    """Ascending, each once."""
    before: I32
    after: I32
    cause: I8
    """Values of :class:`Cause`."""


class Reselected(NamedTuple):
    """What choosing anew came to."""

    change: Change
    waiting: I64
    """Pairs with a rival that is better by the margin and only worse at present."""
    written: I64
    """All entries that may hold something else than before, ascending."""


def causes(left: I64 | I8, before: I8, after: I8) -> I8:
    """Say why each entry leaves what it used (``left`` is -1 where that cannot be used).

    Args:
        left: -1, or anything else.
        before: verdicts of what is left.
        after: of what is taken.
    """
    bettered = (before >= VIOLATING) & (after < before)
    cause = np.where(bettered, int(Cause.VIOLATED), int(Cause.RANK))
    return np.where(left >= 0, cause, int(Cause.LOST)).astype(np.int8)


def moved(entries: I64, before: I32, after: I32, cause: Cause) -> Change:
    """Return a change all of whose entries have one cause."""
    return Change(entries, before, after, np.full(len(entries), int(cause), dtype=np.int8))


_NONE: Final = np.zeros(0, dtype=np.int32)
NOTHING: Final = moved(_NONE.astype(np.int64), _NONE, _NONE, Cause.RANK)
"""Nothing moved."""


def join(changes: Sequence[Change]) -> Change:
    """Return changes of different entries as one, in order of entries."""
    parts = [change for change in changes if len(change.entries)]
    if len(parts) < _SEVERAL:
        return parts[0] if parts else NOTHING
    entries = np.concatenate([c.entries for c in parts])
    order = np.argsort(entries, kind="stable")
    before, after, cause = (
        np.concatenate(columns)[order]
        for columns in zip(*((c.before, c.after, c.cause) for c in parts), strict=True)
    )
    return Change(entries[order], before, after, cause)
