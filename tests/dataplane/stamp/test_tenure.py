"""A job that one process has: found, taken over by its successor, and free when it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from patronus.dataplane.stamp.tenure import Tenure, holder

HOLD = """
import signal, sys
from pathlib import Path
from patronus.dataplane.stamp.tenure import Tenure
if sys.argv[3] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
tenure = Tenure(Path(sys.argv[1]), sys.argv[2])
print("has it", flush=True)
signal.pause()
"""


def start(lock: Path, made: str, manner: str = "polite") -> subprocess.Popen[bytes]:
    """Start a process that has the job when this returns."""
    words = [sys.executable, "-c", HOLD, str(lock), made, manner]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == b"has it\n"
    return process


@pytest.mark.parametrize(
    ("manner", "ended"), [("polite", signal.SIGTERM), ("deaf", signal.SIGKILL)]
)
def test_a_successor_takes_over(tmp_path: Path, manner: str, ended: signal.Signals) -> None:
    """The old one is asked to go when the new one is ready, and made to when it does not."""
    lock = tmp_path / "lock"
    assert holder(lock) is None
    first = start(lock, "first", manner)
    assert holder(lock) == (first.pid, "first")
    second = start(lock, "second")
    try:
        assert first.wait(10) == -ended
        assert holder(lock) == (second.pid, "second")
    finally:
        second.kill()
        second.wait(10)
    assert holder(lock) is None, "it goes with the process"


def test_it_is_given_up(tmp_path: Path) -> None:
    """Closed, somebody else may have it; the text of before means nothing."""
    lock = tmp_path / "lock"
    Tenure(lock, "a longer name").close()
    assert holder(lock) is None
    process = start(lock, "short")
    assert holder(lock) == (process.pid, "short")
    process.kill()
    process.wait(10)
