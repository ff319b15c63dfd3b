"""Sweeps on a real cluster: two workers, one that is killed, nobody there."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from distributed import LocalCluster

from patronus.sim import sweep
from patronus.sim.sweep.places import NoClusterError, SweepError
from patronus.sim.sweep.study import place
from tests.sim.sweep.clusters import Running, cluster
from tests.sim.sweep.yard import file

HOLDS = {"policy.damping.hold": ["1s", "2s"]}
SEEDS = range(1, 5)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a scheduler with two workers, each a process; tests kill them one after the other."""
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def test_two_workers_one_of_which_is_killed(tmp_path: Path, running: Running) -> None:
    """A cluster gives the same bytes as this process, also when a worker dies in mid-task."""
    path, address = file(tmp_path), running.address
    here = sweep(path, HOLDS, seeds=SEEDS, folder=tmp_path / "here")
    victim, killed = running.workers[0], list[int]()

    def kill(done: int, total: int) -> None:
        if not killed and running.working(victim.pid):
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(done)

    there = sweep(path, HOLDS, seeds=SEEDS, workers=address, folder=tmp_path / "there",
                  progress=kill)  # fmt: skip
    assert killed[0] < len(there)
    assert victim.wait() == -signal.SIGKILL
    pd.testing.assert_frame_equal(there, here)
    assert set(there["status"]) == {"done"}
    tables = [(tmp_path / name / "sweep.parquet").read_bytes() for name in ("here", "there")]
    assert tables[0] == tables[1]


def test_a_scheduler_that_goes_away(tmp_path: Path, running: Running) -> None:
    """The sweep ends with a clear error, keeps what it has, and goes on elsewhere."""
    path, folder, told = file(tmp_path), tmp_path / "s", list[int]()

    def kill(done: int, total: int) -> None:
        told.append(done)
        running.client.close()
        running.scheduler.kill()

    with pytest.raises(SweepError, match="the scheduler has gone away"):
        sweep(path, HOLDS, seeds=SEEDS, workers=running.address, folder=folder, progress=kill)
    again = list[int]()
    frame = sweep(path, HOLDS, seeds=SEEDS, folder=folder, progress=lambda d, t: again.append(d))
    assert set(frame["status"]) == {"done"}
    assert again[0] > told[-1]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nowhere", "smtp://x:1"])
def test_an_address_that_does_not_answer(address: str) -> None:
    """A port where nobody listens, and words that are no address, are told in a moment."""
    with pytest.raises(NoClusterError, match=f"no Dask scheduler answers at {address}"):
        place(address, patience_s=0.3).__enter__()


def test_a_scheduler_without_workers() -> None:
    """A scheduler that has nobody to run points is an error, not something to wait for."""
    options = {"n_workers": 0, "host": "127.0.0.1", "dashboard_address": ":0"}
    with (
        LocalCluster(**options) as empty,
        pytest.raises(NoClusterError, match="has no worker; start some with `dask worker tcp:"),
    ):
        place(empty.scheduler_address, patience_s=0.3).__enter__()
