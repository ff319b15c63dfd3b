"""Runs shared out among workers: order, isolation, and what happens when one dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from patronus.sim.crew import Crew, CrewError, Orders
from patronus.sim.run import Run
from tests.sim.crews import Invented
from tests.sim.handmade import make_scenario

SCENARIO = make_scenario()


def test_here_runs_come_one_by_one() -> None:
    """With one job nothing is run before it is asked for, and progress is told."""
    told: list[tuple[Orders, int]] = []
    orders = Invented(SCENARIO, until_ns=5)
    with Crew([orders], progress=lambda o, ns: told.append((o, ns))) as crew:
        crew.start(0, [1, 2, 3])
        runs = crew.runs(0, [1, 2, 3])
        assert told == []
        assert next(runs).seed == 1
        assert told == [(orders, 0), (orders, 5)]


def test_the_end_is_the_nearer_one() -> None:
    """A run ends with its scenario, or where it is to stop before."""
    assert Orders(SCENARIO).end_ns == SCENARIO.duration_ns
    assert Orders(SCENARIO, until_ns=7).end_ns == 7
    assert Orders(SCENARIO, until_ns=10**18).end_ns == SCENARIO.duration_ns


def test_workers_keep_the_order_asked_for() -> None:
    """Runs come in the order of the seeds, from other processes, for each of the orders."""
    told: list[int] = []
    both = [Invented(SCENARIO, until_ns=1), Invented(SCENARIO, until_ns=2)]
    with Crew(both, jobs=2, progress=lambda o, ns: told.append(ns)) as crew:
        crew.start(1, [5, 6])
        first = list(crew.runs(0, [9, 3, 7]))
        second = list(crew.runs(1, [5, 6, 8]))
    assert [run.seed for run in (*first, *second)] == [9, 3, 7, 5, 6, 8]
    assert os.getpid() not in {run.summary["pid"] for run in (*first, *second)}
    assert told == [1, 1, 1, 2, 2, 2]


def test_a_worker_that_dies_is_an_error() -> None:
    """A worker that the system kills is reported, not waited for."""
    runs: list[Run] = []
    with (
        pytest.raises(CrewError, match="a worker process died"),
        Crew([Invented(SCENARIO, deadly=2)], jobs=2) as crew,
    ):
        runs.extend(crew.runs(0, [2, 3]))


ORPHANED = """
from tests.sim.crews import Invented
from tests.sim.handmade import make_scenario
from patronus.sim.crew import Crew
with Crew([Invented(make_scenario(), orphan=1)], jobs=2) as crew:
    list(crew.runs(0, [1]))
"""


def test_workers_do_not_outlive_who_asked() -> None:
    """When the process that started them is killed outright, workers end by themselves."""
    words, root = [sys.executable, "-c", ORPHANED], Path(__file__).parents[2]
    # Workers hold the ends of these pipes, so this returns when the last of them is gone.
    done = subprocess.run(words, cwd=root, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


def test_an_error_in_a_worker_is_raised_here() -> None:
    """What goes wrong in a worker is the same exception here; the crew goes home."""
    with (
        pytest.raises(ZeroDivisionError, match="seed 4"),
        Crew([Invented(SCENARIO, broken=4)], jobs=2) as crew,
    ):
        list(crew.runs(0, [3, 4, 5, 6]))
