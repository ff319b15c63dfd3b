"""Distinct values by sorting are those that a set would hold."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.arrays import distinct


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3)))
def test_distinct_is_the_sorted_set(values: list[int]) -> None:
    """Every value once, in ascending order, of any list."""
    array = np.array(values, dtype=np.int64)
    assert distinct(array).tolist() == sorted(set(values))
    assert array.tolist() == values
