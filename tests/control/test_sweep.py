"""``patronus sweep``: what it prints, what it keeps, and how it goes on after a kill."""

import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from patronus.control import endings
from patronus.sim.sweep.ledger import Ledger
from patronus.sim.sweep.points import Record
from tests.control.command import patronus
from tests.sim.sweep.yard import SCENARIO, file

UNDECIDED = SCENARIO.replace("failover.max < 600ms", "failover.p99 < 600ms @ 95%")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in a folder with the small scenario."""
    monkeypatch.chdir(tmp_path)
    file(tmp_path)
    return tmp_path


TOLD = """\

  duration  points  pass  fail  undecided  failed  failover p99
  3s             1     1     0          0       0      314.4 ms
  30s            1     1     0          0       0      314.4 ms

"""


def test_a_sweep_prints_a_row_a_case(here: Path) -> None:
    """Each case with its verdicts and the median of its failovers, then where the table is."""
    told = patronus("sweep", "cut.patronus.yml", "--param", "duration=3s,30s", "--jobs", "1",
                    "--stop-at", "3s")  # fmt: skip
    assert (told.exit_code, told.stderr) == (0, "")
    head, rows = told.stdout.split("\n", maxsplit=1)
    assert head.startswith("2 points: 1 scenario, 2 × duration, 1 seed, ")
    assert rows == f"{TOLD}  table             runs/cut-sweep-1/sweep.parquet\n"
    frame = pd.read_parquet("runs/cut-sweep-1/sweep.parquet")
    assert list(frame["duration_ns"]) == [3 * 10**9, 30 * 10**9]
    assert list(frame["journal_sha256"].unique()) == [frame["journal_sha256"][0]]


def test_failed_points_are_told(here: Path) -> None:
    """A case that cannot be is in the table and the summary, and the exit code is 4."""
    words = ("sweep", "cut.patronus.yml", "--param", "duration=3s,30s", "--param",
             "faults.0.at=1s,20s", "--stop-at", "3s", "--jobs", "1", "--out", "out")  # fmt: skip
    told = patronus(*words)
    assert told.exit_code == endings.INVALID
    assert "1 point failed:" in told.stdout
    assert "patronus run cut.patronus.yml --set duration=3s --set faults.0.at=20s" in told.stdout
    frame = pd.read_parquet("out/sweep.parquet")
    assert list(frame["status"]) == ["done", "failed", "done", "done"]
    assert frame["error"][1].startswith("--param:2:13: ")
    told = patronus(*words, "--json")
    summary = json.loads(told.stdout)
    assert (summary["points"], summary["failed"], summary["kept"]) == (4, 1, 3)
    assert summary["failures"][0]["settings"] == ["duration=3s", "faults.0.at=20s"]
    assert summary == {**json.loads(Path("out/summary.json").read_text()), "folder": "out"}


def test_the_gravest_verdict_counts(here: Path) -> None:
    """Undecided points end a sweep with 3, failed expectations with 1, as ``run`` does."""
    file(here, "open", UNDECIDED)
    file(here, "bad", SCENARIO.replace("600ms", "1ms"))
    told = patronus("sweep", "open.patronus.yml", "--jobs", "1")
    assert told.exit_code == endings.UNDECIDED
    told = patronus("sweep", "open.patronus.yml", "bad.patronus.yml", "--jobs", "1")
    assert told.exit_code == endings.FAIL
    assert "  scenario           points  pass  fail" in told.stdout


# ---------------------------------------------------------------- stopped, and going on

KILLED = """
import os, signal
from patronus.control.cli import main
from patronus.sim.sweep.ledger import Ledger
keep, left = Ledger.keep, iter(range(2))
def watched(self, records):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    keep(self, records)
Ledger.keep = watched
main()
"""
WORDS = ("sweep", "cut.patronus.yml", "--seeds", "1..6", "--out", "out")


def test_a_sweep_that_is_killed_goes_on(here: Path) -> None:
    """Killed outright with its two workers, it keeps what was finished and runs only the rest."""
    words = [sys.executable, "-c", KILLED, *WORDS, "--jobs", "2"]
    # Workers hold the end of this pipe, so this returns when the last of them is gone.
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")
    told = patronus(*WORDS, "--jobs", "1")
    assert told.exit_code == 0, told.stderr
    assert re.search(r"\([1-5] kept from before\)", told.stdout), told.stdout
    whole = patronus(*WORDS[:-1], "whole", "--jobs", "1")
    assert whole.exit_code == 0
    tables = [Path(name, "sweep.parquet").read_bytes() for name in ("out", "whole")]
    assert tables[0] == tables[1]


def test_a_sweep_that_is_interrupted(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C says how much is kept and how to go on; there is no table yet."""
    keep, left = Ledger.keep, iter(range(2))

    def watched(ledger: Ledger, records: Sequence[Record]) -> None:
        if next(left, None) is None:
            signal.raise_signal(signal.SIGINT)
        keep(ledger, records)

    monkeypatch.setattr(Ledger, "keep", watched)
    told = patronus(*WORDS, "--jobs", "1")
    assert (told.exit_code, told.stdout) == (endings.INTERRUPTED, "")
    first, again = told.stderr.splitlines()
    kept = "of 6 points are kept, and the same command goes on with `--out out`"
    assert re.fullmatch(rf"patronus: interrupted; [1-5] {kept}", first)
    assert again == "Reproduce: patronus sweep cut.patronus.yml --seeds 1..6 --out out --jobs 1"
    assert sorted(p.name for p in Path("out").iterdir()) == ["points", "sweep.json"]


def test_a_damaged_record_runs_again(here: Path) -> None:
    """What a power cut left of a file is told, and its point is not believed."""
    words = (*WORDS[:2], "--seeds", "1..2", "--out", "out", "--jobs", "1")
    assert patronus(*words).exit_code == 0
    before = Path("out", "sweep.parquet").read_bytes()
    sorted(Path("out", "points").iterdir())[1].write_bytes(b"")
    told = patronus(*words)
    assert told.stderr == "warning: 1 file of finished points damaged; they run again\n"
    assert "(1 kept from before)" in told.stdout
    assert Path("out", "sweep.parquet").read_bytes() == before


@pytest.mark.parametrize(("room", "kept"), [(700, "no point was"), (6000, "2 of 2 points are")])
def test_a_disk_without_room(here: Path, room: int, kept: str) -> None:
    """Where records or the table do not fit, what fits is kept, and the exit code is 4."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        told = patronus(*WORDS[:2], "--seeds", "1..2", "--out", "out", "--jobs", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told.exit_code == endings.INVALID
    assert told.stderr.startswith(f"patronus: cannot write out: File too large; {kept} ")
    assert not Path("out", "sweep.parquet").exists()


# ---------------------------------------------------------------- bad input

SIZE = "topology={mesh: full-mesh, sites: %d}"
BAD: dict[str, tuple[list[str], int, str]] = {
    "no values": (["--param", "duration="], 2, "Invalid value for --param: `duration` has no val"),
    "empty range": (["--seeds", "20..1"], 2, "the range 20..1 is empty, since it runs upwards"),
    "no parameter": (["--param", "polizy.hold=1s"], 2, "--param:1:1: there is no `polizy` to set"),
    "bad value": (["--param", "duration=3s,4x"], 2, "--param:1:10: unknown unit `x`"),
    "both set": (["--param", "duration=3s", "--set", "duration=4s"], 2, "is both set and varied"),
    "two places": (["--jobs", "2", "--scheduler", "a:1"], 2, "`--jobs` are workers of our own"),
    "no answer": (
        ["--scheduler", "nowhere"],
        2,
        "patronus: no Dask scheduler answers at nowhere within 5 s; give the address that",
    ),
    "no room": (
        ["--param", "topology={sites: [berlin, oslo, rome]},{sites: 10000}", "--set",
         "faults=[]"],
        4,
        "10,000 sites with 199,980,000 tunnels need about",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(here: Path, name: str) -> None:
    """Each mistake is told before anything runs, and nothing is left behind."""
    words, code, message = BAD[name]
    told = patronus("sweep", "cut.patronus.yml", *words)
    assert told.exit_code == code, told.stderr
    assert message in told.stderr
    assert "Traceback" not in told.stderr
    assert [p.name for p in here.iterdir()] == ["cut.patronus.yml"]


def test_the_folder_of_another_sweep(here: Path) -> None:
    """It is refused, and stays as it is."""
    assert patronus(*WORDS[:2], "--out", "out", "--jobs", "1").exit_code == 0
    before = {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()}
    told = patronus(*WORDS)
    assert told.exit_code == endings.BAD_INPUT
    assert "patronus: out holds another sweep: its seeds are none; choose a new fo" in told.stderr
    assert before == {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()}


@pytest.mark.parametrize("more", [["--jobs", "1"], ["--scheduler", "tcp://127.0.0.1:9"]])
def test_without_dask(here: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    """A sweep says what to install."""
    for name in ("dask", "dask.local", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    told = patronus(*WORDS, *more)
    assert told.exit_code == endings.BAD_INPUT
    assert "needs Dask, which is not installed: pip install 'patronus[sweep]'" in told.stderr
    assert [p.name for p in here.iterdir()] == ["cut.patronus.yml"]


def test_other_commands_start_without_dask() -> None:
    """Importing the command line, and what ``run`` needs, brings no Dask."""
    code = (
        "import sys, patronus.control.cli, patronus.control.commands.run as r\n"
        "import patronus.control.rehearsal, patronus.sim.api, patronus.sim.crew, patronus.sim\n"
        "print({'dask', 'distributed'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_run_refuses_what_does_not_fit(here: Path) -> None:
    """``patronus run`` estimates before it builds, and writes nothing."""
    told = patronus("run", "cut.patronus.yml", "--set", SIZE % 10_000, "--set", "faults=[]")
    assert told.exit_code == endings.INVALID
    assert "10,000 sites with 199,980,000 tunnels need about 3" in told.stderr
    assert "are free; fewer sites or classes need less; nothing was run" in told.stderr
    assert [p.name for p in here.iterdir()] == ["cut.patronus.yml"]
