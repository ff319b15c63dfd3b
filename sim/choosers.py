"""Compiled choosing for whole sites: what the engine asks for, as the passes take it.

See :class:`patronus.engine.wholesites.Passes`. Sites are taken in blocks that share no entry,
so it does not matter which thread is ahead.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

from patronus.engine.fanout import Spread
from patronus.engine.lanes import Laid
from patronus.engine.overlay import I64
from patronus.engine.prospects import Ground, Moment, Wishes
from patronus.engine.wholesites import Asked, Found, Table
from patronus.sim.flight import ByBlocks

_SITES: Final = 64
"""In a block."""

_ENTRIES: Final = 4096
"""In a block."""

_TYPES: Final = (np.int64, np.int64, np.int32, np.int32, np.int8, np.int8, np.int64, np.int64)
"""Of the fields of :class:`Found`."""


class _Marks(NamedTuple):
    """What a pass is asked of some sites."""

    place: I64
    marked: Any
    number: int
    destinations: int
    classes: int


class Choosers:
    """The passes themselves."""

    def __init__(self, passes: ModuleType, by_blocks: ByBlocks) -> None:
        """Take ``patronus.sim.compiled``, and what works through many sites."""
        self._passes, self._by_blocks = passes, by_blocks

    def side_by_side(self, asked: Asked, laid: Laid, table: Table, *, fresh: bool) -> Found:
        """Choose for pairs that have their own tunnels alone."""

        def block(at: slice) -> Found:
            found = _room((at.stop - at.start) * laid.rows.shape[2])
            counts = self._passes.side_by_side(
                asked.sites[at], _marks(asked, at, table), laid, table[1:], fresh, found
            )
            return _cut(found, *counts)

        return _joined(self._by_blocks(len(asked.sites), block, block=_SITES))

    def fan_out(self, asked: Asked, spread: Spread, column: I64, table: Table) -> Found:
        """Choose for pairs that lead through transit sites alone."""
        fan, sums = spread.fan, spread.choosing.sums

        def block(at: slice) -> Found:
            here = (
                spread.destinations, spread.rows[at], spread.tier[at], spread.odd[at],
                fan.grade[:, at], fan.metric[:, at], fan.now[:, at], fan.usable[:, at],
                fan.end, fan.beyond,
            )  # fmt: skip
            mine = sums._replace(
                own=sums.own[:, at], forbidden=sums.forbidden[at], disjoint=sums.disjoint[at],
                forbidden_then=sums.forbidden_then[at], tied=sums.tied[at],
            )  # fmt: skip
            found = _room((at.stop - at.start) * len(spread.destinations))
            marks = (*_marks(asked, at, table), column)
            counts = self._passes.fan_out(asked.sites[at], marks, here, mine, table[1:], found)
            return _cut(found, *counts)

        return _joined(self._by_blocks(len(asked.sites), block, block=_SITES))

    def one_by_one(
        self, entries: I64, known: tuple[Ground, Moment, Wishes], table: Table, *, keep: bool
    ) -> tuple[Found, I64]:
        """Choose for entries, whatever may carry them; return those that are left, too."""

        def block(at: slice) -> tuple[Found, I64]:
            some = entries[at]
            found, left = _room(len(some)), np.empty(len(some), dtype=np.int64)
            *counts, others = self._passes.one_by_one(some, *known, table[1:], keep, found, left)
            return _cut(found, *counts), left[:others]

        found, left = zip(*self._by_blocks(len(entries), block, block=_ENTRIES), strict=True)
        return _joined(found), np.concatenate(left)


def _marks(asked: Asked, at: slice, table: Table) -> _Marks:
    space = table.space
    return _Marks(
        asked.place[at], asked.marked, asked.number, space.destinations, space.classes
    )  # fmt: skip


def _room(pairs: int) -> Found:
    """Return arrays for what may be found of so many pairs; what is not written costs nothing."""
    numbers: list[Any] = [np.empty(pairs, dtype=kind) for kind in _TYPES]
    return Found(*numbers)


def _cut(found: Found, written: int, moved: int, waiting: int, contested: int = 0) -> Found:
    """Return as much of the arrays as was found."""
    return Found(
        written=found.written[:written],
        moved=found.moved[:moved],
        before=found.before[:moved],
        after=found.after[:moved],
        left=found.left[:moved],
        tier=found.tier[:moved],
        waiting=found.waiting[:waiting],
        contested=found.contested[:contested],
    )


def _joined(parts: Sequence[Found]) -> Found:
    """Return what blocks found as one."""
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Found(*columns)
