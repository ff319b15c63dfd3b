"""Samples become the columns that the engine takes."""

from patronus.dataplane.stamp.columns import WAITING_MAX, Columns, Intake
from patronus.dataplane.stamp.session import Sample
from patronus.engine.meters import Meters
from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND


def sample(sequence: int, heard: int) -> Sample:
    sent_ns = sequence * SECOND
    return Sample(sent_ns, sent_ns + 5 * MS, sent_ns + 12 * MS, sequence, heard, 0, 0)


def test_turns_hold_a_row_once() -> None:
    """Rows come ascending, each once a turn, and each row's samples in their order."""
    intake = Intake()
    for row, sequence in ((4, 0), (2, 0), (4, 1), (4, 2), (2, 1)):
        intake.add(row, sample(sequence, sequence + 1))
    turns = list(intake.drain())
    assert [(t.rows.tolist(), t.sequence.tolist()) for t in turns] == [
        ([2, 4], [0, 0]), ([2, 4], [1, 1]), ([4], [2]),
    ]  # fmt: skip
    assert list(intake.drain()) == []


def test_the_queue_is_bounded() -> None:
    """A consumer that sleeps loses the oldest samples, and it is counted."""
    intake = Intake()
    for sequence in range(WAITING_MAX + 3):
        intake.add(0, sample(sequence, sequence + 1))
    first = next(intake.drain())
    assert (first.sequence.tolist(), intake.dropped) == ([3], 3)


def test_the_engine_takes_them() -> None:
    """The meters get round trips, and the loss of the way out, from these columns."""
    meters, intake = Meters(6, Policy()), Intake()
    for sequence, heard in ((0, 1), (1, 2), (5, 4)):
        intake.add(4, sample(sequence, heard))
    turns: list[Columns] = list(intake.drain())
    for turn in turns:
        meters.observe(**turn._asdict())
    assert meters.health.srtt_ns.tolist()[4] == 12 * MS
    # The peer heard four of the six, so two were lost on the way out.
    assert meters.health.loss_ppm(turns[0].rows).tolist() == [333_333]
