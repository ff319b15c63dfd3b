"""Small tools that the kernels over rows share."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.engine.overlay import I64

Rows = slice | I64
"""Rows of one call: a contiguous slice (quick) or a sorted index array without repeats."""

BLOCK: Final = 8192
"""Rows worked on at a time: a dozen scratch arrays of them stay in the nearest caches."""

_MANY: Final = 4096
"""More values than this are looked at before they are sorted."""

RUN: Final = 256
"""Runs of at least so many rows, on average, are taken as slices."""

_SQUARES: Final = np.arange(4097, dtype=np.int64) ** 2


def bounds(rows: slice, size: int) -> tuple[int, int]:
    """Return the first row of a contiguous slice and the one after its last."""
    start, stop, step = rows.indices(size)
    assert step == 1, "a contiguous slice"
    return start, max(start, stop)


def blocks(size: int) -> Iterator[slice]:
    """Cut ``size`` elements into blocks."""
    return (slice(lo, min(lo + BLOCK, size)) for lo in range(0, size, BLOCK))


def index(rows: Rows, size: int) -> I64:
    """Return rows as an index array."""
    return np.arange(*bounds(rows, size), dtype=np.int64) if isinstance(rows, slice) else rows


def runs(rows: Rows, size: int) -> Iterator[tuple[Rows, slice]]:
    """Cut rows into contiguous slices where that is quicker; yield each with its place.

    The rows of many sites are a few long runs: slices of them cost a third of an index.
    """
    if isinstance(rows, slice):
        start, stop = bounds(rows, size)
        yield slice(start, stop), slice(0, stop - start)
        return
    cuts = np.flatnonzero(rows[1:] - rows[:-1] != 1) + 1
    if len(rows) < RUN * (len(cuts) + 1):
        yield rows, slice(0, len(rows))
        return
    edges = [0, *cuts.tolist(), len(rows)]
    for lo, hi in pairwise(edges):
        start = int(rows[lo])
        yield slice(start, start + hi - lo), slice(lo, hi)


def isqrt(numbers: I64) -> I64:
    """Return the whole part of each square root, at most 4096 (enough for a margin)."""
    return np.searchsorted(_SQUARES, numbers, side="right") - 1


def distinct(values: I64) -> I64:
    """Return the values that occur, ascending, each once; by sorting.

    ``numpy.unique`` hashes since NumPy 2.3, which on regularly spaced integers such as
    row numbers is many times slower.
    """
    if len(values) <= 1:  # often
        return values
    ordered = values if _ascends(values) else np.sort(values)
    new = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return ordered[new]


def _ascends(values: I64) -> bool:
    """Tell whether many values ascend, as mostly; for few, asking costs more than sorting."""
    return len(values) > _MANY and bool((values[1:] >= values[:-1]).all())


def hits(found: npt.NDArray[np.generic]) -> I64:
    """Return where a one-dimensional array is true (or not zero), ascending.

    As ``numpy.flatnonzero``, at a third of its cost where arrays are short.
    """
    return found.nonzero()[0]
