"""Losses of large packets: suspected, kept from the engine, told or forgiven."""

from dataclasses import dataclass, field

import numpy as np

from patronus.control.agent.largeloss import ASK_NS, FORGIVE_NS, HOLD_NS, WINDOW, LargeLosses
from patronus.engine.units import MS, SECOND

STEP_NS = 100 * MS
ROW = np.array([1])


@dataclass
class Line:
    """One row of three, looked at ten times a second."""

    losses: LargeLosses = field(default_factory=lambda: LargeLosses(3))
    now_ns: int = SECOND
    sent: int = 2**32 - 7
    heard: int = 2**16 - 3

    def look(self, large: int, heard: int, *, small: int = 100, lost: int | None = None
             ) -> tuple[int, int]:  # fmt: skip
        """Send some packets; return what the engine is told, sent and lost."""
        self.now_ns += STEP_NS
        self.sent, self.heard = (self.sent + large) % 2**32, (self.heard + heard) % 2**16
        gone = large - heard if lost is None else lost
        sent, lost_of = self.losses.take(
            ROW, sent=np.array([large + small]), lost=np.array([gone]),
            large=(np.array([self.sent]), np.array([self.heard])), now_ns=self.now_ns,
        )  # fmt: skip
        return int(sent[0]), int(lost_of[0])

    def suspects(self) -> list[int]:
        return [int(row) for row in self.losses.suspects(self.now_ns)]


def begun() -> Line:
    line = Line()
    line.look(5, 5)
    return line


def test_what_arrives_is_told_and_suspects_nobody() -> None:
    """Counters that wrap count on; the first look knows no step."""
    line = begun()
    for _ in range(5):
        assert line.look(5, 5) == (105, 0)
        assert line.suspects() == []


def test_a_black_hole_is_suspected_soon_and_not_told_once_mended() -> None:
    """Five large packets that nobody heard suffice; lowering the MTU forgives them."""
    line = begun()
    assert line.look(5, 0) == (100, 0)
    assert line.suspects() == [1]
    assert line.look(5, 0) == (100, 0)
    assert line.suspects() == []
    line.losses.fitted(ROW, line.now_ns)
    assert line.look(5, 0)[1] == 0
    line.now_ns += FORGIVE_NS
    assert line.look(5, 4) == (105, 1)


def test_lost_small_packets_are_told_at_once() -> None:
    """Only as many losses are kept back as large packets are missing."""
    line = begun()
    assert line.look(5, 0, lost=45) == (100, 40)


def test_a_large_packet_that_arrives_tells_all() -> None:
    """Then it was no black hole: nothing is hidden from the engine."""
    line = begun()
    line.look(3, 0)
    assert line.suspects() == []
    assert line.look(3, 2) == (106, 4)


def test_without_an_answer_losses_are_told_after_a_while() -> None:
    """What is no black hole, though no large packet arrives, is for the engine."""
    line = begun()
    told = sum(line.look(5, 0)[1] for _ in range(2 * HOLD_NS // STEP_NS))
    assert told == 5 * (2 * HOLD_NS // STEP_NS)
    assert line.look(5, 0) == (105, 5)


def test_a_row_is_suspected_again_only_after_a_while() -> None:
    """A few questions a second, however long it goes on."""
    line = begun()
    asked = 0
    for _ in range(3 * ASK_NS // STEP_NS):
        line.look(5, 0)
        asked += len(line.suspects())
    assert asked == 3


def test_half_of_the_large_ones_suffice() -> None:
    """Where only some are too large, others arrive in between; a fifth lost is for the engine."""
    line = begun()
    found = []
    for _ in range(1 + WINDOW // 4):
        line.look(4, 2)
        found += line.suspects()
    assert found == [1]
    line = begun()
    for _ in range(20):
        assert line.look(10, 8)[1] == 2
        assert line.suspects() == []


def test_rows_without_a_run_are_not_forgiven() -> None:
    """A path that was found to take more lost nothing by that."""
    line = begun()
    line.losses.fitted(ROW, line.now_ns)
    assert line.look(5, 0, lost=6) == (100, 1)
