"""Scales hold what is drawn and have few, round ticks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.report.scale import Scale, fitting, linear, round_step

POSITIVE = st.floats(1e-3, 1e18)


@given(POSITIVE, POSITIVE, st.integers(3, 9))
def test_ticks_are_few_and_inside(low: float, high: float, most: int) -> None:
    """Whatever the range, ticks are rising, inside the figure and no more than asked for."""
    scale = fitting(*sorted((low, high)), end=0.9)
    ticks = scale.ticks(most)
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= most
    assert all(0 <= scale.place(t) <= 0.9 for t in ticks)


@given(POSITIVE, POSITIVE, st.lists(POSITIVE, min_size=2))
def test_places_never_decrease(low: float, high: float, values: list[float]) -> None:
    """A larger value stands no further left, on either kind of scale."""
    scale = fitting(*sorted((low, high)))
    places = [scale.place(v) for v in sorted(values)]
    assert places == sorted(places)


def test_wide_ranges_are_logarithmic() -> None:
    """Durations that spread widely are drawn on a logarithmic scale, others from zero."""
    assert fitting(10, 1_000).log
    assert not fitting(100, 1_000).log
    assert not fitting(0, 1_000).log
    assert fitting(100, 1_000).low == 0


def test_edges_hold_the_data() -> None:
    """The edges of a scale are round values around what is drawn."""
    scale = fitting(3, 3_100)
    assert (scale.low, scale.high) == (2, 5_000)
    assert linear(312).high == 350
    assert linear(0).place(0) == 0


def test_room_for_never_is_kept_free() -> None:
    """No finite value reaches the part of a figure that is kept for never."""
    assert linear(100, end=0.9).place(1e12) == 0.9


@pytest.mark.parametrize(("rough", "step"), [(1, 1), (1.1, 2), (4, 5), (70, 100), (0.03, 0.05)])
def test_steps_are_one_two_five(rough: float, step: float) -> None:
    """Steps between ticks are numbers that a person can count in."""
    assert round_step(rough) == pytest.approx(step)


def test_decades_are_thinned_where_there_are_many() -> None:
    """Over many decades only some powers of ten are labelled."""
    assert Scale(1, 1e12, log=True).ticks(5) == pytest.approx([1, 1e3, 1e6, 1e9, 1e12])
