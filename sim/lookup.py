"""Finding many numbers among many: by a table where that fits, by searching where not.

A binary search of 10^5 numbers among 10^6 misses the caches at every step; a table of
all numbers that there may be is looked up once each.
"""

from typing import Final

import numpy as np

from patronus.engine.arrays import distinct, hits
from patronus.engine.overlay import I64

_TABLE: Final = 2**24
"""Numbers up to this one have a place in a table."""

_MANY: Final = 64
"""A table of so many places a number looked up is too large to be made for it."""


def numbered(values: I64, limit: int) -> tuple[I64, I64]:
    """Return the distinct ones of some values, ascending, and which of them each value is.

    Args:
        values: 0 or more, below the limit.
        limit: a bound of them.
    """
    if limit > min(_TABLE, _MANY * len(values)):
        every = distinct(values)
        return every, np.searchsorted(every, values)
    there = np.zeros(limit, dtype=np.bool_)
    there[values] = True
    every = hits(there)
    number = np.empty(limit, dtype=np.int32)
    number[every] = np.arange(len(every), dtype=np.int32)
    return every, number.take(values).astype(np.int64)


class Index:
    """Where each number stands in an ascending list, in which it may occur several times."""

    def __init__(self, ordered: I64) -> None:
        self._ordered = ordered
        self._start: I64 | None = None

    def find(self, values: I64) -> tuple[I64, I64]:
        """Return the first place of each value, and how often it occurs."""
        limit = int(self._ordered[-1]) + 1 if len(self._ordered) else 0
        if self._start is None and limit <= min(_TABLE, _MANY * len(values)):
            count = np.bincount(self._ordered, minlength=limit)
            self._start = np.concatenate([[0], np.cumsum(count), [len(self._ordered)]])
        if self._start is None:
            low = np.searchsorted(self._ordered, values, side="left")
            return low, np.searchsorted(self._ordered, values, side="right") - low
        at = np.minimum(values, len(self._start) - 2)
        low = self._start.take(at)
        return low, self._start.take(at + 1) - low
