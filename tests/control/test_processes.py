"""Real processes: a signal in mid-run, a disk without room, workers."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from patronus.control import endings
from patronus.sim import load_run
from tests.control.command import PROGRAM, patronus, process, scenario

# The signal comes from inside so that it arrives in mid-run however slow the machine is.
INTERRUPTED = """
import os, signal, sys
from patronus.control.cli import main
from patronus.sim.prober import Prober
number = getattr(signal, sys.argv.pop(1))
step, left = Prober.step, iter(range(80))
def watched(self, *arguments):
    if next(left, None) is None:
        os.kill(os.getpid(), number)
    return step(self, *arguments)
Prober.step = watched
main()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_mid_run(tmp_path: Path, number: str) -> None:
    """Ctrl-C, and a polite request to end, end a run in good order: folder, marks, no trace."""
    words = [sys.executable, "-c", INTERRUPTED, number, "run", scenario(tmp_path).name]
    done = subprocess.run(
        [*words, "--out", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == endings.INTERRUPTED == 128 + signal.SIGINT
    assert done.stderr == "Reproduce: patronus run cut.patronus.yml --seed 1\n"
    assert load_run(tmp_path / "out").summary["interrupted"]


def test_a_disk_without_room(tmp_path: Path) -> None:
    """Where the folder does not fit, the result is printed all the same, and 4."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [PROGRAM, "run", scenario(tmp_path).name, "--out", "out"],
        cwd=tmp_path,
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == endings.INVALID
    assert "PASS: every expectation is met" in done.stdout
    assert "report.html" not in done.stdout
    first, again = done.stderr.splitlines()
    assert first == "patronus: cannot write out: File too large; nothing was left there"
    assert again == "Reproduce: patronus run cut.patronus.yml --out out"
    assert [p.name for p in tmp_path.iterdir()] == ["cut.patronus.yml"]


def test_the_package_can_be_run() -> None:
    """``python -m patronus`` is the same command, by the same name."""
    words = [sys.executable, "-m", "patronus", "rum"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == endings.BAD_INPUT
    assert "did you mean `run`?" in done.stderr
    assert done.stderr.startswith("Usage: patronus [OPTIONS]")


def test_output_that_was_closed(tmp_path: Path) -> None:
    """With the standard output closed a run is made and judged as with an open one."""
    words = [
        sys.executable,
        "-c",
        "import os, sys; os.close(1); os.execv(sys.argv[1], sys.argv[1:])",
    ]
    words += [str(PROGRAM), "run", scenario(tmp_path).name, "--out", "out"]
    done = subprocess.run(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert load_run(tmp_path / "out").summary["verdict"] == "pass"


def test_workers_change_nothing(tmp_path: Path) -> None:
    """Two workers give the folders that one process gives, but for times and memory."""
    words = ("run", str(scenario(tmp_path)), "--repeat", "2", "--jobs")
    assert patronus(*words, "1", "--out", str(tmp_path / "1")).exit_code == 0
    done = process(*words, "2", "--out", str(tmp_path / "2"))
    assert (done.returncode, done.stderr) == (0, "")
    for seed in ("seed-1", "seed-2"):
        one, two = (load_run(tmp_path / jobs / seed) for jobs in ("1", "2"))
        assert one.journal == two.journal
        assert one.summary["failover_ms"] == two.summary["failover_ms"]
        assert one.series.equals(two.series)
