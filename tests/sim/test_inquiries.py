"""A bad way out is known although reflections are rare: peers say so in packets of their own."""

import numpy as np
import pytest

from patronus.engine.overlay import I64
from patronus.engine.units import MS
from patronus.sim import run
from patronus.sim.inquiries import Inquiries, Inquiry
from patronus.sim.language import parse


def of(*values: int) -> I64:
    return np.array(values, dtype=np.int64)


class Clock:
    """What is sent over four rows: a probe each 100 ms, ten packets with it."""

    def __init__(self) -> None:
        self.turn = 0

    def note(self, rows: I64) -> Inquiry:
        """Return what has been sent over some rows."""
        self.turn += 1
        count = np.full(len(rows), self.turn, dtype=np.int64)
        data = np.stack([10 * count, count], axis=1)
        return Inquiry(rows, count, self.turn * 100 * MS + rows, count, data)


def test_an_answer_is_a_packet_that_came_a_round_trip_later() -> None:
    """Each row is asked about once at a time; one that is not overdue any more is let go."""
    clock, asked = Clock(), Inquiries()
    heard, trips = np.zeros(4, dtype=np.int64), np.full(4, 30 * MS)

    def step(*overdue: int) -> list[tuple[int, int]]:
        rows = of(*overdue)
        told = asked.step(rows, trips[rows], heard, clock.note)
        return list(zip(told.rows.tolist(), told.sequence.tolist(), strict=True))

    assert step(1, 3) == []  # asked at 100 ms
    heard[:] = 130 * MS + 2
    assert step(0, 1, 3) == [(1, 1)]  # row 3 was asked 1 ns too late for that packet
    heard[:] = 240 * MS
    assert step(1, 3) == [(1, 2), (3, 1)]
    assert step(3) == []
    assert step(0, 3) == []  # row 1 was forgotten, row 0 is asked anew
    heard[:] = 900 * MS
    assert step(0, 3) == [(0, 5), (3, 3)]
    assert step() == []


PAIR = """
version: 1
duration: 4s
topology: {{mesh: pairs, pairs: [[a, b]], sites: [a, b]}}
transports: {{{transport}: {{up: {{burst: none}}, down: {{burst: none}}}}, mpls: }}
classes: {{all: {{prefer: [{transport}]}}}}
traffic: [{{class: all, from: a, to: b, rate: 800kbps, packet: 200B}}]
faults: [{{kind: loss, loss: 80%, at: 1s, on: {{site: a, transport: {transport}, direction: out}}}}]
"""


@pytest.mark.parametrize("transport", ["lte", "satellite"])
def test_a_path_that_loses_most_is_left_although_reflections_are_rare(transport: str) -> None:
    """By hand: overdue after 1.5 intervals, then an interval and a round trip until it is known.

    At 80 % the next reflection takes five intervals on average.
    """
    interval_ns = {"lte": 200 * MS, "satellite": 500 * MS}[transport]
    for seed in range(1, 6):
        done = run(parse(PAIR.format(transport=transport)), seed=seed)
        # The grid of 100 ms three times, and the patience with round trips.
        assert 0 < done.failovers.failover_ns.max() <= 5 * interval_ns // 2 + 500 * MS
