"""The counter: it grows over restarts, whatever the clock does."""

from hypothesis import given
from hypothesis import strategies as st

from patronus.control.members.counter import RESERVE, Counter
from patronus.engine.units import MINUTE

CLOCKS = st.integers(-(2**62), 2**66) | st.integers(0, 120 * MINUTE)


@given(st.lists(st.tuples(CLOCKS, st.integers(1, 5), st.booleans()), max_size=30))
def test_it_grows_over_restarts_and_jumps(runs: list[tuple[int, int, bool]]) -> None:
    """Numbers only grow while the ceiling is kept in time, and fit into 64 bits."""
    kept, highest = 0, 0
    for wall_ns, count, stays in runs:
        counter = Counter(kept, wall_ns)
        kept = counter.raised()
        counter.ceiling = kept
        for step in range(count):
            number = counter.next(wall_ns + step)
            assert highest < number < 2**64
            highest = number
            if counter.due and stays:
                kept = counter.ceiling = counter.raised()
            if counter.overdue:
                kept = counter.ceiling = counter.raised()


def test_it_follows_the_clock() -> None:
    """A site that lost its memory goes on above what it has said, as its clock has gone on."""
    assert Counter(0, 1000).next(1000) == 1001
    assert Counter(0, 1000).next(5000) == 5000


def test_the_ceiling_is_moved_before_it_is_reached() -> None:
    """Half of the reserve is left when the file should be written."""
    counter = Counter(0, MINUTE)
    assert counter.due
    assert counter.overdue
    counter.ceiling = counter.raised()
    counter.next(MINUTE + RESERVE // 2 - 1)
    assert not counter.due
    counter.next(MINUTE + RESERVE // 2 + 1)
    assert counter.due
    assert not counter.overdue
