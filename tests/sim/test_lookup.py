"""Looking numbers up gives what searching for them gives, by a table and without."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from patronus.engine.overlay import I64
from patronus.sim.lookup import Index, numbered

NUMBERS = st.lists(st.integers(0, 300), max_size=60)
LARGE = 10**9
"""Too large for a table."""


def _array(numbers: list[int]) -> I64:
    return np.array(numbers, dtype=np.int64)


@given(NUMBERS, st.sampled_from([301, LARGE]))
@example([], 0)
def test_values_are_numbered_in_their_order(values: list[int], limit: int) -> None:
    """Each value is found among the distinct ones, which ascend."""
    every, place = numbered(_array(values), limit)
    assert every.tolist() == sorted(set(values))
    assert [every.tolist()[p] for p in place.tolist()] == values


@given(NUMBERS, st.lists(st.sampled_from([*range(302), LARGE])), st.booleans())
def test_an_index_tells_where_a_value_stands_and_how_often(
    held: list[int], asked: list[int], large: bool
) -> None:
    """Values that are not there occur no time, whether there is room for a table or not."""
    ordered = sorted([*held, LARGE] if large else held)
    index = Index(_array(ordered))
    first, count = index.find(_array(asked))
    assert count.tolist() == [ordered.count(value) for value in asked]
    there = [(p, v) for p, v, n in zip(first.tolist(), asked, count.tolist(), strict=True) if n]
    assert all(ordered[place] == value and value not in ordered[:place] for place, value in there)
