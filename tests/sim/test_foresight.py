"""A world that is given its faults late, against one that had them from the beginning."""

import numpy as np
import pytest

from patronus.engine.units import MS, SECOND
from patronus.sim.foresight import arm
from patronus.sim.world import Halt, World
from tests.sim.faultyard import FAULTS, START_NS, scenario


def armed(at_ns: int, *, lazy: bool) -> tuple[World, list[bytes]]:
    """Run a world that is given every kind of fault when a slot begins."""
    journal: list[bytes] = []
    world = World(scenario(), 1, sink=journal.append, lazy=lazy)

    def slot(now_ns: int) -> None:
        if now_ns == at_ns:
            arm(world, FAULTS)

    world.run(progress=slot)
    return world, journal


@pytest.fixture(scope="module")
def always() -> tuple[World, list[bytes]]:
    """Run a world that had every kind of fault from the beginning."""
    journal: list[bytes] = []
    world = World(scenario(*FAULTS), 1, sink=journal.append)
    world.run()
    return world, journal


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("at_ns", [-100 * MS, START_NS - 200 * MS])
def test_faults_may_be_given_late(
    always: tuple[World, list[bytes]], at_ns: int, *, lazy: bool
) -> None:
    """Decisions, exposures, what they cost, detections and findings are the same to the bit."""
    (one, journal), (other, late) = always, armed(at_ns, lazy=lazy)
    assert late == journal
    assert len(journal) > 100
    for name in (
        "occurrence", "t0_ns", "entry", "row_before", "row_after", "moved_by", "switch_ns",
        "failover_ns",
    ):  # fmt: skip
        mine, theirs = (getattr(w.measurement.ledger, name) for w in (one, other))
        np.testing.assert_array_equal(mine, theirs, name)
    mine, theirs = (w.measurement.costs(w.scenario.duration_ns) for w in (one, other))
    np.testing.assert_array_equal(mine, theirs)
    noticed = [
        [(*d[:3], d[3] and d[3].name) for d in w.measurement.records.detections]
        for w in (one, other)
    ]
    assert noticed[0] == noticed[1]
    assert one.checkers.findings == other.checkers.findings
    assert (one.prober.sent, one.prober.lost) == (other.prober.sent, other.prober.lost)
    read = [[w.gauges.reading(o) for o in w.timeline.occurrences] for w in (one, other)]
    if at_ns < 0:  # later there is too little to see before the faults
        assert [r.verified for r in read[0]] == [r.verified for r in read[1]]


def test_what_is_worked_out_already_cannot_be_hit() -> None:
    """A fault that packets under way might meet is refused, and so is a second gift."""
    world = World(scenario(), 1)

    def slot(now_ns: int) -> None:
        if now_ns == START_NS:
            with pytest.raises(ValueError, match="is worked out already"):
                arm(world, FAULTS)
            raise Halt

    assert world.run(progress=slot).at_ns == START_NS
    with pytest.raises(ValueError, match="only a world without faults"):
        arm(World(scenario(*FAULTS), 1), FAULTS)


def test_a_halted_run_is_one_that_ended_there() -> None:
    """Halting at a second leaves what a run leaves that was to end then."""

    def slot(now_ns: int) -> None:
        if now_ns == 3 * SECOND:
            raise Halt

    halted, ended = World(scenario(*FAULTS[:4]), 1), World(scenario(*FAULTS[:4]), 1)
    stops = halted.run(progress=slot), ended.run(until_ns=3 * SECOND)
    assert stops[0] == stops[1]
    assert not stops[0].interrupted
    seconds = [[s.delivered.tolist() for *_, s in w.measurement.records.seconds]
               for w in (halted, ended)]  # fmt: skip
    assert seconds[0] == seconds[1]
    journals = [w.engine.journal.journal_sha256 for w in (halted, ended)]
    assert journals[0] == journals[1]
