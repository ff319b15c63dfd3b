"""Small tools over rows."""

from math import isqrt as exact

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.arrays import BLOCK, RUN, blocks, bounds, index, isqrt, runs


@given(st.integers(0, 3 * BLOCK))
def test_blocks_cover_everything_once(size: int) -> None:
    """Blocks follow each other without gap or overlap and are no longer than ``BLOCK``."""
    covered = [number for part in blocks(size) for number in range(part.start, part.stop)]
    assert covered == list(range(size))
    assert all(part.stop - part.start <= BLOCK for part in blocks(size))


def test_rows_may_be_a_slice_or_an_index() -> None:
    """Both forms name the same rows; open and empty slices have bounds, too."""
    assert index(slice(1, 3), 5).tolist() == index(np.array([1, 2]), 5).tolist() == [1, 2]
    assert bounds(slice(None), 5) == (0, 5)
    assert bounds(slice(4, 2), 5) == (4, 4)


def test_a_slice_with_gaps_is_refused() -> None:
    """Only contiguous slices are quick, and only they are taken."""
    with pytest.raises(AssertionError, match="contiguous"):
        bounds(slice(0, 5, 2), 5)


@given(st.integers(0, 2**62) | st.integers(0, 4097).map(lambda n: max(n * n - 1, 0)))
def test_roots_are_exact_up_to_their_bound(number: int) -> None:
    """The whole part of the root, or 4096 where it is more."""
    assert isqrt(np.array([number])).tolist() == [min(exact(number), 4096)]


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0, 1, RUN, 2 * RUN])), max_size=5))
def test_runs_are_the_rows_again(pieces: list[tuple[int, int]]) -> None:
    """Runs put together are the rows in order; slices where they are long enough."""
    parts, start = [np.zeros(0, dtype=np.int64)], 0
    for gap, length in pieces:
        parts.append(np.arange(start + gap, start + gap + length))
        start += gap + length
    rows = np.concatenate(parts)
    found = list(runs(rows, start + 1))
    again = [index(part, start + 1) for part, _ in found]
    assert np.concatenate(again).tolist() == rows.tolist()
    assert [number for _, at in found for number in range(at.start, at.stop)] == [*range(len(rows))]
    few = sum(length > 0 for _, length in pieces) * RUN <= len(rows)
    assert all(isinstance(part, slice) for part, _ in found) == few or not len(rows)


def test_a_slice_is_one_run() -> None:
    """A slice is itself, with its bounds made plain."""
    assert list(runs(slice(2, None), 5)) == [(slice(2, 5), slice(0, 3))]
