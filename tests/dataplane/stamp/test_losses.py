"""Losses from counters that wrap, begin anew, and count what was overtaken."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.stamp.losses import Losses

ROW = np.array([1], dtype=np.int64)


def report(losses: Losses, told: int, heard: int) -> tuple[int, int]:
    counters = (np.array([value % 2**32], dtype=np.int64) for value in (told, heard))
    sent, lost = losses.take(ROW, **dict(zip(("told", "heard"), counters, strict=True)))
    return int(sent[0]), int(lost[0])


@given(
    start=st.tuples(st.integers(0, 2**32), st.integers(0, 2**32)),
    steps=st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**30)), max_size=20),
)
def test_what_is_told_and_not_heard_is_lost(
    start: tuple[int, int], steps: list[tuple[int, int]]
) -> None:
    """Across any wrap the sums are those of the counters since the first report."""
    losses = Losses(2)
    told, heard = start
    assert report(losses, told, heard) == (0, 0)
    sent_sum = lost_sum = 0
    for sent, most in steps:
        lost = min(sent, most)
        told, heard = told + sent, heard + sent - lost
        assert report(losses, told, heard) == (sent, lost)
        sent_sum, lost_sum = sent_sum + sent, lost_sum + lost
    assert losses.sent.tolist() == [0, sent_sum]
    assert losses.lost.tolist() == [0, lost_sum]


def test_what_was_overtaken_is_reported_once() -> None:
    """A packet that turns up late was counted as lost; the next loss is set off against it."""
    losses = Losses(2)
    assert [report(losses, *pair) for pair in [(0, 0), (10, 9), (20, 20), (30, 29), (40, 38)]] == [
        (0, 0), (10, 1), (10, 0), (10, 0), (10, 1),
    ]  # fmt: skip


def test_a_counter_that_goes_back_tells_nothing() -> None:
    """After a restart of either end the row begins anew, without loss."""
    losses = Losses(2)
    pairs = [(100, 100), (200, 190), (5, 195), (15, 204), (25, 0), (35, 5)]
    assert [report(losses, *pair) for pair in pairs] == [
        (0, 0), (100, 10), (0, 0), (10, 1), (0, 0), (10, 5),
    ]  # fmt: skip
    assert losses.rebased.tolist() == [0, 2]
