"""Handing out points: each once, in batches that cost little, whatever workers do."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.footprint import Memory
from patronus.sim.sweep.conduct import BATCH_MOST, DIED, Conductor, Pace
from patronus.sim.sweep.grid import Grid
from patronus.sim.sweep.ledger import BLOCK
from patronus.sim.sweep.places import SweepError
from patronus.sim.sweep.points import DONE, FAILED, Batch, Record
from patronus.sim.sweep.study import Memory as Store
from tests.sim.sweep.yard import Invented, grid


def conduct(
    over: Grid, place: Invented, finished: Sequence[int] = ()
) -> tuple[Conductor, list[Record]]:
    """Run a grid and return who did it, and all records."""
    memory = Store()
    marks = bytearray(number in finished for number in range(len(over)))
    conductor = Conductor(over, place, memory, marks)
    conductor.run()
    return conductor, [record for block in memory.blocks() for record in block]


@given(points=st.integers(1, 400), workers=st.integers(1, 8), took_s=st.floats(0.001, 30))
def test_every_point_runs_once(
    tmp_path_factory: pytest.TempPathFactory, points: int, workers: int, took_s: float
) -> None:
    """However long points take and however many workers there are: each once, none lost."""
    place = Invented(workers, took_s=took_s)
    conductor, records = conduct(grid(tmp_path_factory.mktemp("c"), seeds=range(points)), place)
    assert [r.number for r in records] == [r.seed for r in records] == list(range(points))
    assert sorted(number for batch in place.batches for number in batch) == list(range(points))
    assert (conductor.done, conductor.failed) == (points, 0)


def test_finished_points_do_not_run(tmp_path: Path) -> None:
    """Only what is left is handed out; the count begins with what is there."""
    place, finished = Invented(), [0, 2, 3]
    conductor, records = conduct(grid(tmp_path, seeds=range(6)), place, finished)
    assert [r.number for r in records] == [1, 4, 5]
    assert conductor.done == 6


def test_quick_points_come_in_large_batches(tmp_path: Path) -> None:
    """Batches grow to about two seconds of work, and shrink before the end."""
    place = Invented(workers=2, took_s=0.04)
    conduct(grid(tmp_path, seeds=range(1000)), place)
    sizes = [len(batch) for batch in place.batches]
    assert sizes[0] == 1
    assert 40 <= max(sizes) <= 50
    assert sizes[-1] == 1


def test_no_batch_spans_two_blocks(tmp_path: Path) -> None:
    """The ledger keeps a batch as one file of one block."""
    place = Invented(took_s=0.001)
    finished = [n for n in range(BLOCK + 40) if n < BLOCK - 40]
    conduct(grid(tmp_path, seeds=range(BLOCK + 40)), place, finished)
    assert all(len({number // BLOCK for number in batch}) == 1 for batch in place.batches)
    assert max(map(len, place.batches)) <= BATCH_MOST


def test_a_point_that_kills_its_workers_fails_alone(tmp_path: Path) -> None:
    """Others of its batch are run again one by one, and the point itself is reported."""
    place = Invented(took_s=0.02, deadly=[500])
    conductor, records = conduct(grid(tmp_path, seeds=range(1000)), place)
    assert [r.number for r in records] == list(range(1000))
    assert [(r.number, r.status, r.error) for r in records if r.failed] == [(500, FAILED, DIED)]
    assert conductor.failed == 1
    assert any(len(batch) > 1 and 500 in batch for batch in place.batches)


def test_values_that_do_not_go_together(tmp_path: Path) -> None:
    """Such a case fails at all its seeds with its mistake, without a worker; the rest runs."""
    place = Invented()
    over = grid(tmp_path, "duration=3s,30s", "faults.0.at=1s,20s", seeds=[4, 5])
    _, records = conduct(over, place)
    assert [r.number for r in records if r.failed] == [2, 3]
    assert {r.seed for r in records if r.failed} == {4, 5}
    assert all("--param:2:13: " in r.error for r in records if r.failed)
    assert len(records) == 8


def test_a_case_that_does_not_fit(tmp_path: Path) -> None:
    """What only a combination makes too large fails with the estimate; no worker sees it."""
    place = Invented(memory=Memory(200_000_000))
    _, records = conduct(grid(tmp_path, "topology.sites=[berlin, oslo, rome],400",
                              "faults=[]"), place)  # fmt: skip
    assert [r.status for r in records] == [DONE, FAILED]
    assert "400 sites with 319,200 tunnels need about" in records[1].error


def test_a_cluster_that_is_lost(tmp_path: Path) -> None:
    """What was finished before is kept."""

    def lost(batch: Batch) -> None:
        if len(memory_of(place)) >= 3:
            raise SweepError("gone")

    def memory_of(place: Invented) -> list[Record]:
        return [record for block in memory.blocks() for record in block]

    place, memory, told = Invented(before=lost), Store(), list[int]()
    over = grid(tmp_path, seeds=range(9))
    with pytest.raises(SweepError, match="gone"):
        Conductor(over, place, memory, bytearray(9), told.append).run()
    assert len(memory_of(place)) == 3
    assert told == [1, 2, 3]


def test_the_pace_follows_the_points() -> None:
    """A batch is two seconds of the points of late, whatever the clock says of them."""
    pace = Pace()
    assert pace.size(left=10_000, workers=2) == 1
    for _ in range(20):
        pace.learn([Record(0, 0, "done", wall_s=4.0, cpu_s=0.2)])
    pace.learn([Record(0, 0, FAILED)])
    assert pace.size(left=10_000, workers=2) == 9
    assert pace.size(left=8, workers=2) == 2
    assert pace.size(left=1, workers=2) == 1
