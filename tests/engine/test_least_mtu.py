"""Classes that say how large their packets are: they alone leave a path that carries less."""

import numpy as np

from patronus.engine.engine import Engine
from patronus.engine.journal import Reason
from patronus.engine.overlay import I64, build_overlay
from patronus.engine.policy import Policy, SlaClass, TrafficClass
from patronus.engine.units import MS, SECOND

LARGE = TrafficClass("large", sla=SlaClass(mtu=1400, prefer=("blue",)))
REST = TrafficClass("rest", sla=SlaClass(prefer=("blue",)))
LINKS: I64 = np.array([0], dtype=np.int64)
"""The row over blue, from the first site."""


class Pair:
    """Two sites, two transports, one engine."""

    def __init__(self, mtu: int = 0) -> None:
        overlay = build_overlay(
            sites=("a", "b"), transports=("blue", "red"),
            pairs=np.array([(0, 1, 0), (0, 1, 1)], dtype=np.int64),
        )  # fmt: skip
        self.lines: list[bytes] = []
        self.engine = Engine(overlay, Policy(classes=(LARGE, REST)), sink=self.lines.append)
        self.now_ns = self.sequence = 0
        self.carry(mtu)
        self.wait(3)

    def wait(self, seconds: int) -> None:
        """Let all rows be heard, and both sites evaluate."""
        every = np.arange(4, dtype=np.int64)
        for _ in range(seconds):
            self.now_ns += SECOND
            self.engine.heard(every, np.full(4, self.now_ns))
            for _ in range(10):
                self.sequence += 1
                same = np.ones(4, dtype=np.int64)
                self.engine.observe(
                    every, sent_ns=same * (self.now_ns - 10 * MS),
                    reflected_ns=same * (self.now_ns - 5 * MS), arrived_ns=same * self.now_ns,
                    sequence=same * self.sequence, heard_count=same * self.sequence,
                )  # fmt: skip
            self.engine.evaluate([0, 1], self.now_ns)

    def paths(self) -> list[int]:
        """Return the rows of both classes from a to b."""
        space, steering = self.engine.space, self.engine.steering
        return [int(steering.wanted.rows[space.index(0, 1, n), 0]) for n in (0, 1)]

    def carry(self, mtu: int) -> None:
        self.engine.set_mtu(LINKS, np.array([mtu]), self.now_ns)


def test_a_lower_mtu_is_left_by_those_who_need_more() -> None:
    """At once, with its own reason; what is raised again, or not known, breaks nothing."""
    pair = Pair()
    pair.carry(1400)
    assert pair.paths() == [0, 0]
    pair.carry(1399)
    assert pair.paths() == [1, 0]
    assert str(Reason.MTU_LOWERED).encode() in pair.lines[-1]
    assert b"from_mtu" in pair.lines[-1]
    pair.carry(1400)
    pair.wait(60)
    assert pair.paths() == [0, 0]
    pair.carry(0)
    pair.wait(2)
    assert pair.paths() == [0, 0]


def test_what_is_narrow_from_the_start_is_not_taken() -> None:
    """Before a tunnel is up nothing has to be left."""
    assert Pair(mtu=1399).paths() == [1, 0]
