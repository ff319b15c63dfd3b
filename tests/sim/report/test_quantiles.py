"""Percentiles are nearest ranks, and never is the largest duration."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.units import NEVER
from patronus.sim.report.quantiles import CURVE_POINTS, Quantiles

DURATIONS = st.lists(st.one_of(st.integers(-1, 10**10), st.just(NEVER)), max_size=60)


def sample(values: list[int]) -> Quantiles:
    return Quantiles.of(np.array(values, dtype=np.int64))


@given(DURATIONS, st.integers(1, 100))
def test_percentiles_are_nearest_ranks(values: list[int], hundredths: int) -> None:
    """The percentile is the value of rank ceil(p n / 100), and never counts as the largest."""
    applicable = sorted(v for v in values if v >= 0)
    if not applicable:
        return
    rank = ceil(hundredths * len(applicable) / 100)
    assert sample(values).at(hundredths * 10_000) == applicable[rank - 1]


@given(DURATIONS)
def test_every_value_is_counted_once(values: list[int]) -> None:
    """Reached and never reached make up the whole; what does not apply is left out."""
    quantiles = sample(values)
    assert quantiles.count == sum(v >= 0 for v in values)
    assert quantiles.never == values.count(NEVER)
    assert len(quantiles.reached) + quantiles.never == quantiles.count


@given(DURATIONS)
def test_the_curve_passes_through_every_value(values: list[int]) -> None:
    """For samples small enough to draw whole, each step is where the distribution has it."""
    at, below = sample(values).steps()
    for value, height in zip(at.tolist(), below.tolist(), strict=True):
        assert height == sum(0 <= v <= value for v in values)


def test_a_large_sample_is_drawn_with_few_points() -> None:
    """The curve of a hundred thousand values has some hundred points and keeps both ends."""
    values = np.arange(100_000)
    at, below = Quantiles.of(values).steps()
    assert len(at) <= CURVE_POINTS
    assert (at[0], at[-1], below[-1]) == (0, 99_999, 100_000)


def test_an_empty_sample_has_no_percentile() -> None:
    """Nothing measured is an error to ask about, not a zero."""
    with pytest.raises(ValueError, match="empty"):
        _ = sample([-1]).worst_ns
