"""Integer distances on the Earth, against haversine in floating point."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.overlay import I64
from patronus.sim.topology.sphere import cosine, distances, fibre_ns, metres, nearest

RADIUS_M = 6_371_008.8

places = st.tuples(st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000))


def at(*pairs: tuple[int, int]) -> I64:
    return np.array(pairs, dtype=np.int64)


def great_circle(one: tuple[int, int], other: tuple[int, int]) -> float:
    (f, a), (g, b) = ([math.radians(angle / 1e6) for angle in place] for place in (one, other))
    x = math.cos(g) * math.sin(b - a)
    y = math.cos(f) * math.sin(g) - math.sin(f) * math.cos(g) * math.cos(b - a)
    z = math.sin(f) * math.sin(g) + math.cos(f) * math.cos(g) * math.cos(b - a)
    return RADIUS_M * math.atan2(math.hypot(x, y), z)


@given(places, places)
def test_distances_keep_the_stated_bound(one: tuple[int, int], other: tuple[int, int]) -> None:
    """A distance is within 0.01 % + 1 m of the great circle."""
    found, true = int(distances(at(one), at(other))[0]), great_circle(one, other)
    assert abs(found - true) <= true / 10_000 + 1


@given(places, st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_short_distances_keep_the_stated_bound(place: tuple[int, int], dy: int, dx: int) -> None:
    """The bound holds within a city, where the chord is a small difference of large numbers."""
    other = (max(-90_000_000, min(90_000_000, place[0] + dy)), place[1] + dx)
    found, true = int(distances(at(place), at(other))[0]), great_circle(place, other)
    assert abs(found - true) <= true / 10_000 + 1


@given(places, places)
def test_distances_are_symmetric(one: tuple[int, int], other: tuple[int, int]) -> None:
    """There and back are equally far, to the metre, and nothing is far from itself."""
    assert distances(at(one), at(other)) == distances(at(other), at(one))
    assert distances(at(one), at(one)) == 0


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        ((0, 0), (0, 90_000_000), 10_008),
        ((90_000_000, 0), (-90_000_000, 0), 20_015),
        ((0, 179_000_000), (0, -179_000_000), 222),
        ((40_710_000, -74_010_000), (34_050_000, -118_240_000), 3_935),
        ((-33_870_000, 151_210_000), (51_510_000, -130_000), 16_994),
    ],
)
def test_known_distances(one: tuple[int, int], other: tuple[int, int], kilometres: int) -> None:
    """A quarter, a half, across the date line; New York to Los Angeles; Sydney to London."""
    assert round(int(distances(at(one), at(other))[0]) / 1000) == kilometres


def test_the_largest_chord_is_a_half_turn() -> None:
    """Rounding above the longest possible chord does not run away."""
    assert metres(np.array([1 << 62, (1 << 62) + 99])).tolist() == [20_015_114, 20_015_114]


@given(st.integers(-720_000_000, 720_000_000))
def test_cosine_is_right_to_eight_digits(angle: int) -> None:
    """The series in fixed point follows the cosine all around."""
    found = int(cosine(np.array([angle]))[0])
    assert abs(found - math.cos(math.radians(angle / 1e6)) * 2**30) < 8


def test_fibre_takes_its_time() -> None:
    """1,000 km of great circle are 1,300 km of cable, at 4.9 us each."""
    assert fibre_ns(np.array([1_000_000, 1, 0])).tolist() == [6_370_000, 6, 0]


@given(st.lists(places, min_size=1, max_size=5), st.lists(places, min_size=1, max_size=6))
def test_the_nearest_place_is_nearest(
    here: list[tuple[int, int]], there: list[tuple[int, int]]
) -> None:
    """No other place is nearer by more than the error of a distance."""
    keys = np.arange(len(there), dtype=np.uint64)
    found = nearest(at(*here), at(*there), keys)
    for place, chosen in zip(here, found.tolist(), strict=True):
        best = min(great_circle(place, other) for other in there)
        assert great_circle(place, there[chosen]) <= best * 1.0002 + 2


def test_equally_near_places_are_told_apart_by_key() -> None:
    """Of two places at one spot the smaller key is chosen, whatever their order."""
    spot = at((1, 1), (0, 0), (0, 0))
    for keys, chosen in ([(5, 9, 2), 2], [(5, 2, 9), 1]):
        assert nearest(at((0, 0)), spot, np.array(keys, dtype=np.uint64)).tolist() == [chosen]
