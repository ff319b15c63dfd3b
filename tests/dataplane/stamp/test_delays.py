"""One-way delays over baselines, with clocks that drift and are set."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.stamp.delays import WINDOW_NS, Delays, OneWay
from patronus.engine.units import MS, SECOND

ROW = np.array([1], dtype=np.int64)


def one(value: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([value], dtype=np.int64)


def sample(delays: Delays, at_ns: int, out_ns: int, back_ns: int, offset_ns: int) -> OneWay:
    return delays.observe(
        ROW,
        sent_ns=one(at_ns),
        reflected_ns=one(at_ns + out_ns + offset_ns),
        arrived_ns=one(at_ns + out_ns + back_ns),
    )


@given(
    ways=st.lists(
        st.tuples(st.integers(MS, 50 * MS), st.integers(MS, 50 * MS)), min_size=1, max_size=30
    ),
    offset_ns=st.integers(-(2**40), 2**40),
)
def test_each_way_is_over_its_least(ways: list[tuple[int, int]], offset_ns: int) -> None:
    """With clocks that differ but run alike, each delay comes out above the least of its way."""
    delays = Delays(2)
    for k, (out_ns, back_ns) in enumerate(ways):
        got = sample(delays, k * SECOND, out_ns, back_ns, offset_ns)
        so_far = ways[: k + 1]
        assert got.out_ns[0] == out_ns - min(out for out, _ in so_far)
        assert got.back_ns[0] == back_ns - min(back for _, back in so_far)
        assert not got.stepped[0]
    assert delays.steps.tolist() == [0, 0]


@given(step_ns=st.sampled_from([-3600 * SECOND, -60 * MS, 60 * MS, 3600 * SECOND]))
def test_a_set_clock_begins_anew(step_ns: int) -> None:
    """A step beyond the round trip is seen at its first sample and falsifies none."""
    delays = Delays(2)
    for k in range(10):
        sample(delays, k * SECOND, 20 * MS, 30 * MS, 0)
    got = sample(delays, 10 * SECOND, 25 * MS, 31 * MS, step_ns)
    assert (got.stepped.tolist(), got.out_ns.tolist(), got.back_ns.tolist()) == ([True], [0], [0])
    got = sample(delays, 11 * SECOND, 27 * MS, 36 * MS, step_ns)
    assert (got.stepped.tolist(), got.out_ns[0], got.back_ns[0]) == ([False], 2 * MS, 5 * MS)
    assert delays.steps.tolist() == [0, 1]
    assert (delays.jitter_ns(ROW) < 2 * MS).all()


def test_drift_is_no_step_and_is_forgotten() -> None:
    """Clocks that part by 100 ppm for an hour never step, and falsify by 12 ms at most."""
    delays = Delays(2)
    for second in range(3600):
        got = sample(delays, second * SECOND, 20 * MS, 20 * MS, second * SECOND // 10_000)
        assert not got.stepped[0]
        assert 0 <= got.out_ns[0] <= 2 * WINDOW_NS // 10_000
        assert got.back_ns[0] == 0


def test_jitter_is_that_of_the_rfc() -> None:
    """It is unknown before the second sample, and then a sixteenth of each change is taken."""
    delays = Delays(2)
    assert delays.jitter_ns(ROW).tolist() == [[-1], [-1]]
    sample(delays, 0, 10 * MS, 10 * MS, 0)
    assert delays.jitter_ns(ROW).tolist() == [[-1], [-1]]
    sample(delays, SECOND, 26 * MS, 10 * MS, 0)
    assert delays.jitter_ns(ROW).tolist() == [[MS], [0]]


def test_rows_do_not_mix() -> None:
    """Rows that are not sampled keep what they knew, and many are taken in one call."""
    delays = Delays(4)
    rows = np.array([0, 2, 3], dtype=np.int64)
    for k in range(3):
        sent = np.full(3, k * SECOND, dtype=np.int64)
        out = np.array([1, 2, 3 + k], dtype=np.int64) * MS
        got = delays.observe(rows, sent_ns=sent, reflected_ns=sent + out, arrived_ns=sent + 9 * MS)
    assert got.out_ns.tolist() == [0, 0, 2 * MS]
    assert got.back_ns.tolist() == [0, 0, 0]
    assert delays.jitter_ns(np.arange(4)).T.tolist()[1] == [-1, -1]
