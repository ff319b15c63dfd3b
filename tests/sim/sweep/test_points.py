"""What a worker does: a record for each point, whatever goes wrong with it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from patronus.sim import load, run
from patronus.sim.crew import Orders
from patronus.sim.run import Run
from patronus.sim.sweep.figures import figures
from patronus.sim.sweep.identity import identity
from patronus.sim.sweep.points import DONE, FAILED, Batch, StrangerError, Task, work
from tests.sim.sweep.yard import file


@dataclass(frozen=True, slots=True)
class Bad(Orders):
    """Orders that cannot be carried out."""

    error: BaseException | None = None

    def carry_out(self, seed: int, progress: Callable[[int], None] | None = None) -> Run:
        """Fail, or come back interrupted."""
        if self.error is not None:
            raise self.error
        done = run(self.scenario, seed)
        return replace(done, summary={**done.summary, "interrupted": True})


def test_a_batch_gives_records_in_its_order(tmp_path: Path) -> None:
    """Each record has the figures that the run itself has, and how long it took."""
    scenario = load(file(tmp_path))
    tasks = tuple(Task(number, number, Orders(scenario)) for number in (7, 3))
    records = work(Batch(tasks, identity()))
    assert [(r.number, r.seed, r.status, r.scenario) for r in records] == [
        (7, 7, DONE, "cut"), (3, 3, DONE, "cut"),
    ]  # fmt: skip
    summary = run(scenario, 3).summary
    told = records[1].figures
    assert told is not None
    assert told["journal_sha256"] == summary["journal_sha256"]
    assert told["failover.p99_ms"] == summary["failover_ms"]["p99"]
    assert told["expect[failover.max < 600ms]"] == "pass"
    assert told["measured[failover.max < 600ms]"] == summary["expectations"][0]["measured"]
    assert records[1].wall_s > 0 < records[1].cpu_s


def test_a_bad_point_costs_itself_alone(tmp_path: Path) -> None:
    """An error of any kind is told in one line with its place; the next point runs."""
    scenario = load(file(tmp_path))
    broken = Bad(scenario, error=ZeroDivisionError("one\nover none"))
    mistaken = Orders(replace(scenario, topology=replace(scenario.topology, sites=())))
    orders = (broken, Bad(scenario, error=MemoryError()), mistaken, Orders(scenario))
    records = work(Batch(tuple(Task(n, 1, o) for n, o in enumerate(orders)), identity()))
    assert [r.status for r in records] == [FAILED, FAILED, FAILED, DONE]
    assert records[0].error.startswith("ZeroDivisionError: one over none (test_points.py:")
    assert records[1].error.startswith("MemoryError")
    assert "an overlay needs at least two sites" in records[2].error


def test_ctrl_c_is_no_failure(tmp_path: Path) -> None:
    """A run that was interrupted is not recorded as anything."""
    batch = Batch((Task(0, 1, Bad(load(file(tmp_path)))),), identity())
    with pytest.raises(KeyboardInterrupt):
        work(batch)


def test_another_patronus_runs_nothing(tmp_path: Path) -> None:
    """A worker with other code refuses, since its figures might differ."""
    task = Task(0, 1, Bad(load(file(tmp_path)), error=AssertionError("it ran")))
    with pytest.raises(StrangerError, match=r"the sweep Patronus 9\.9 \(code abc\)"):
        work(Batch((task,), identity()._replace(version="9.9", code_sha256="abc")))


def test_what_is_not_reached_and_what_is_not_measured(tmp_path: Path) -> None:
    """The first is infinite, the second is missing."""
    summary = run(load(file(tmp_path)), 1).summary
    never = {"n": 4, "never": 1, "p50": 1.0, "p95": None, "p99": None, "max": None}
    nothing = {"n": 0, "never": 0, "p50": None, "p95": None, "p99": None, "max": None}
    told = figures({**summary, "failover_ms": never, "outage_ms": nothing, "expectations": []})
    assert (told["failover.p50_ms"], told["failover.p95_ms"]) == (1.0, math.inf)
    assert (told["outage.n"], told["outage.p95_ms"]) == (0, None)
