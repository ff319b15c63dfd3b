"""Distances on the Earth in integers, equal on every machine.

Angles are integer micro-degrees, lengths integer metres. Sine comes from its
Taylor series in fixed point (30 binary digits), a place becomes a unit vector,
and the length of the chord between two vectors says how far apart they are. The
angle of a chord is found by bisection of that same sine; so no function of a
mathematical library, whose last bits differ between machines, takes part.

Error: at most 0.01 % + 1 m against the great circle on a sphere of the mean
radius (tested against haversine). The Earth is not a sphere, which is another
0.56 % at most; how much longer a cable is than the great circle is a guess by far
the larger of the three: :data:`ROUTE_PERCENT`.
"""

from typing import Final

import numpy as np

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I64

RIGHT_ANGLE: Final = 90_000_000
"""In micro-degrees."""

ROUTE_PERCENT: Final = 130
"""A cable is longer than the great circle by about a third: it follows roads and railways."""

FIBRE_PS_PER_M: Final = 4_900
"""Light in glass of refractive index 1.468 takes 4.9 microseconds a kilometre."""

_MILLIMETRES: Final = 111_195_080
"""One degree of a great circle at the mean radius of 6,371.0088 km."""

_LAST: Final = np.uint64(0xFFFFFFFFFFFFFFFF)

_ONE: Final = 30
"""Binary digits after the point."""
_RADIAN: Final = 80_489_105_090
"""pi / 180 / 10^6, with 62 binary digits after the point."""


def vectors(position: I64) -> I64:
    """Return unit vectors, shape (n, 3), of places given as (latitude, longitude)."""
    latitude, longitude = position[:, 0], position[:, 1]
    level = cosine(latitude)
    x, y = level * cosine(longitude) >> _ONE, level * _sine(longitude) >> _ONE
    return np.stack([x, y, _sine(latitude)], axis=1)


def chords(vector: I64, other: I64) -> I64:
    """Return squared chord lengths, broadcast; they order places by distance.

    Scaled by 2^60, so at most 2^62 (antipodes).
    """
    squares: I64 = np.square(vector - other).sum(axis=-1)
    return squares


def metres(chord: I64) -> I64:
    """Return the length of the great-circle arc above each squared chord."""
    low = np.zeros(chord.shape, dtype=np.int64)
    high = np.full(chord.shape, RIGHT_ANGLE)
    while np.any(low < high):
        # The smallest half angle whose sine is at least half the chord.
        middle = (low + high) >> 1
        reaches = 4 * np.square(_sine(middle)) >= chord
        low, high = np.where(reaches, low, middle + 1), np.where(reaches, middle, high)
    return (2 * low * _MILLIMETRES + 500_000_000) // 1_000_000_000


def distances(position: I64, other: I64) -> I64:
    """Return metres between places in pairs, each (latitude, longitude)."""
    return metres(chords(vectors(position), vectors(other)))


def nearest(position: I64, others: I64, key: U64) -> I64:
    """Return for each place which of the others is nearest; of equals the smallest key."""
    there, found = vectors(others), np.empty(len(position), dtype=np.int64)
    for start in range(0, len(position), 128):
        here = vectors(position[start : start + 128])
        chord = chords(here[:, None], there[None])
        closest = chord == chord.min(axis=1, keepdims=True)
        found[start : start + 128] = np.where(closest, key, _LAST).argmin(axis=1)
    return found


def fibre_ns(metres: I64) -> I64:
    """Return how long light takes through a cable laid over these distances."""
    return metres * (FIBRE_PS_PER_M * ROUTE_PERCENT) // 100_000


def cosine(angle: I64) -> I64:
    """Return the cosine of angles in micro-degrees, with 30 binary digits after the point."""
    return _sine(angle + RIGHT_ANGLE)


def _sine(angle: I64) -> I64:
    turned = (angle + RIGHT_ANGLE) % (4 * RIGHT_ANGLE) - RIGHT_ANGLE
    folded = np.where(turned > RIGHT_ANGLE, 2 * RIGHT_ANGLE - turned, turned)
    x = folded * _RADIAN >> (62 - _ONE)
    square = x * x >> _ONE
    total = term = x
    for n in range(2, 16, 2):
        # The next term is the last one times -x^2 / (n (n + 1)); below 2^62 throughout.
        term = -(term * square >> _ONE) // (n * (n + 1))
        total = total + term
    return total
