"""A process that does not answer: kept from running, turning in a circle, or asleep."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from patronus.dataplane.tunnels.toil import Toil, kept_waiting, toil
from patronus.engine.units import MS

SPAN = 300 * MS


@pytest.mark.parametrize(
    ("ready", "spent_ms", "waiting"),
    [
        (True, 0, True),  # others have all processors
        (True, 70, True),
        (True, 80, False),  # it runs, and does something else than to answer
        (True, 300, False),
        (False, 0, False),  # it sleeps, or was stopped
    ],
)
def test_who_is_kept_waiting(ready: bool, spent_ms: int, waiting: bool) -> None:
    """Who would run and is not let run cannot answer; whoever else is silent hangs."""
    after = Toil(ready, (1_000 + spent_ms) * MS)
    assert kept_waiting(Toil(True, 1_000 * MS), after, SPAN) == waiting


def test_all_threads_count(tmp_path: Path) -> None:
    """Times of all threads are added, and one that is ready is enough; names may hold anything."""
    tick_ms = 1_000 // os.sysconf("SC_CLK_TCK")
    for thread, (name, state, user, system) in enumerate(
        [("wireguard-go", "S", 3, 4), ("a) R (b", "R", 10, 20)]
    ):
        folder = tmp_path / "7" / "task" / str(thread)
        folder.mkdir(parents=True)
        before = " ".join(["1"] * 10)
        (folder / "stat").write_text(f"7 ({name}) {state} {before} {user} {system} 0 0 20 0\n")
    assert toil(7, tmp_path) == Toil(True, 37 * tick_ms * MS)
    assert toil(8, tmp_path) == Toil(False, 0)


def test_a_stopped_process_is_not_ready() -> None:
    """The kernel's own files say so: one that turns is ready, the same one stopped is not."""
    process = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"],
                               stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert toil(process.pid).ready
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert not toil(process.pid).ready
    finally:
        process.kill()
        process.communicate()
