"""Files are bounded, numbered and survive; the disk never hurts the agent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from patronus.control.recording.engine import RecordedEngine
from patronus.control.recording.recorder import Recorder, files, number_of
from patronus.control.recording.replay import replay
from patronus.engine.engine import Engine
from patronus.engine.overlay import alone
from tests.control.recording.lives import POLICY, Life, lived, network, recorder
from tests.rules.tree import ROOT

SMALL = 40_000


def test_the_newest_files_are_kept(tmp_path: Path) -> None:
    """No more files than asked for, none much larger than asked for, all of them replay."""
    lived(tmp_path, 1, 400, max_bytes=SMALL, keep=3)
    found = files(tmp_path)
    assert [number_of(path) - number_of(found[0]) for path in found] == [0, 1, 2]
    assert number_of(found[0]) > 1
    for path in found:
        assert path.stat().st_size < SMALL + 10_000
        assert replay(path).difference is None


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """A new start begins a new file, and touches no old one."""
    lived(tmp_path, 1, 5)
    (first,) = files(tmp_path)
    before = first.read_bytes()
    (tmp_path / "notes.patrec").write_text("not ours")
    lived(tmp_path, 2, 5)
    assert [path.name for path in files(tmp_path)] == ["00000001.patrec", "00000002.patrec"]
    assert first.read_bytes() == before
    assert first.stat().st_mode & 0o777 == 0o600


def test_recording_changes_nothing(tmp_path: Path) -> None:
    """A recorded engine decides as one that is not."""
    lines: list[bytes] = []
    Life(Engine(alone(network(), 3), POLICY, sink=lines.append), 7).steps(150)
    assert lived(tmp_path, 7, 150) == lines
    assert lines


def test_a_small_limit_does_not_make_a_file_an_input(tmp_path: Path) -> None:
    """Where the state alone takes more than the limit, a file holds as much of inputs, too."""
    lived(tmp_path, 1, 120, max_bytes=1)
    done = [replay(path) for path in files(tmp_path)]
    assert len(done) < 12
    assert all(one.inputs > 5 for one in done[:-1])


def test_recording_needs_no_more_than_numpy(tmp_path: Path) -> None:
    """An agent that records has nothing in memory that it does not need."""
    code = "import sys, patronus.control.recording.engine; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    names = {name.split(".")[0] for name in done.stdout.split()}
    assert "numpy" in names
    assert not names & {"click", "matplotlib", "networkx", "pandas", "ruamel", "scipy", "simpy"}


# ------------------------------------------------------------ trouble


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Recording stops with one message, and the engine lives on."""
    (tmp_path / "file").write_text("")
    told: list[str] = []
    tape = Recorder(tmp_path / "file" / "in", max_bytes=SMALL, keep=2, tell=told.append)
    engine = RecordedEngine(alone(network(), 3), POLICY, recorder=tape)
    Life(engine, 1).steps(20)
    tape.flush()
    tape.stop(engine)
    assert told == [f"recording stopped: {tmp_path}/file/in: Not a directory"]
    assert not tape.running


def test_two_agents_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else has made meanwhile is never written to."""
    (tmp_path / "00000001.patrec").write_text("theirs")
    monkeypatch.setattr("patronus.control.recording.recorder.number_of", lambda path: 0)
    told: list[str] = []
    tape = Recorder(tmp_path, max_bytes=SMALL, keep=2, tell=told.append)
    RecordedEngine(alone(network(), 3), POLICY, recorder=tape)
    assert told == [f"recording stopped: {tmp_path}/00000001.patrec: File exists"]
    assert (tmp_path / "00000001.patrec").read_text() == "theirs"


def test_an_input_that_cannot_be_written(tmp_path: Path) -> None:
    """A bug of the recorder is told, and stops it alone."""
    told: list[str] = []
    tape = Recorder(tmp_path, max_bytes=SMALL, keep=2, tell=told.append)
    engine = RecordedEngine(alone(network(), 3), POLICY, recorder=tape)
    rows = np.arange(2)
    engine.heard(rows, np.zeros(2, dtype=np.float64))  # no integers: a mistake
    engine.heard(rows, np.zeros(2, dtype=np.int64))
    assert len(told) == 1
    assert told[0].startswith(f"recording stopped: {tmp_path}/00000001.patrec: KeyError: ")
    assert replay(files(tmp_path)[0]).inputs == 0


LIFE = """
import os, resource, signal, sys
from pathlib import Path
from patronus.control.recording.engine import RecordedEngine
from patronus.control.recording.recorder import Recorder
from patronus.engine.overlay import alone
from tests.control.recording.lives import POLICY, Life, network

folder, what = Path(sys.argv[1]), sys.argv[2]
told = []
if what == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
tape = Recorder(folder, max_bytes=10**9, keep=2, tell=told.append)
lines = []
engine = RecordedEngine(alone(network(), 3), POLICY, recorder=tape, sink=lines.append)
life = Life(engine, 5)
life.steps(80)
tape.flush()
life.steps(80)
if what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
print(len(lines), *told, sep="\\n")
"""


def process(folder: Path, what: str) -> subprocess.CompletedProcess[str]:
    """Let an engine live in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", LIFE, str(folder), what],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def test_an_agent_that_is_killed(tmp_path: Path) -> None:
    """What was written before kill -9 replays, and what was flushed was written."""
    done = process(tmp_path, "killed")
    assert done.returncode == -signal.SIGKILL, done.stderr
    (path,) = files(tmp_path)
    found = replay(path)
    assert (found.torn, found.difference) == (True, None)
    assert found.inputs >= 80


def test_a_full_disk(tmp_path: Path) -> None:
    """Recording stops with one message, the engine decides on, and what is there replays."""
    done = process(tmp_path, "full")
    assert done.returncode == 0, done.stderr
    count, *told = done.stdout.splitlines()
    (path,) = files(tmp_path)
    assert told == [f"recording stopped: {path}: File too large"]
    lines: list[bytes] = []
    Life(Engine(alone(network(), 3), POLICY, sink=lines.append), 5).steps(160)
    assert int(count) == len(lines) > 0
    assert path.stat().st_size == 30_000
    found = replay(path)
    assert (found.torn, found.difference) == (True, None)
    assert found.inputs > 10


def test_a_recorder_that_ended_takes_nothing_more(tmp_path: Path) -> None:
    """After its end an engine may live on without being recorded."""
    engine = RecordedEngine(alone(network(), 3), POLICY, recorder=recorder(tmp_path))
    engine.recorder.stop(engine)
    before = files(tmp_path)[0].read_bytes()
    Life(engine, 3).steps(30)
    engine.recorder.flush()
    engine.recorder.stop(engine)
    assert files(tmp_path)[0].read_bytes() == before
