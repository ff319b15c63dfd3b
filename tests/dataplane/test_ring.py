"""The event ring: bounded, numbered, first in first out."""

from collections import deque
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane import ring
from tests.mutants.harness import caught, mutant

LIVES = st.tuples(st.integers(1, 5), st.lists(st.none() | st.integers(0, 7), max_size=20))
"""Capacity, and pushes of so many moves or (None) drains."""


def holds(module: ModuleType, life: tuple[int, list[int | None]]) -> None:
    capacity, steps = life
    made, waiting, number, lost = module.Ring(capacity), deque[tuple[int, ...]](), 0, 0
    for at, count in enumerate([*steps, None]):
        if count is None:
            out = made.drain()
            columns = out.numbers, out.at_ns, out.entries, out.from_rows, out.to_rows
            assert list(zip(*(c.tolist() for c in columns), strict=True)) == list(waiting)
            assert (len(out), out.lost) == (len(waiting), lost)
            waiting.clear()
            continue
        entries = np.arange(count, dtype=np.int64)
        rows = entries.astype(np.int32)
        made.push(at, entries, rows + 1, rows + 2)
        for entry in range(count):
            if len(waiting) < capacity:
                waiting.append((number, at, entry, entry + 1, entry + 2))
            else:
                lost += 1
            number += 1
        assert len(made) == len(waiting)


@given(LIVES)
def test_a_ring_is_a_bounded_queue_with_numbers(life: tuple[int, list[int | None]]) -> None:
    """What fits comes out in order; what does not is counted, and its numbers are missing."""
    holds(ring, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self._next += count", "self._next += kept"),
        ("self._capacity - self._held", "self._capacity"),
        ("self._lost += count - kept", "self._lost += count"),
        ("self._parts, self._held = [], 0", "self._parts = []"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """A ring without bound, count or gaps is noticed."""
    broken = mutant(ring, old, new)
    assert caught(LIVES, lambda life: holds(broken, life))
