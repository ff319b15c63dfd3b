"""The progress bar: only where somebody looks, and never in the way of output."""

import os
import pty
import subprocess
import sys

import pytest

from patronus.control import progress
from patronus.control.progress import Progress

SCRIPT = """
from patronus.control.progress import Progress
with Progress("working", patience_s=0) as bar:
    bar._timer.join()
    bar.at("half", 0.5)
    with bar.hidden():
        print("printed", flush=True)
    bar.at("all", 1.0)
"""


def on_terminal(script: str) -> str:
    """Return what a script writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.Popen(
        [sys.executable, "-c", script], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    told = b""
    try:
        while part := os.read(ours, 65536):
            told += part
    except OSError:  # how Linux says that the other side is closed
        pass
    assert done.wait() == 0
    os.close(ours)
    return told.decode()


def test_nothing_is_drawn_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal there is no bar, and not even a timer."""
    monkeypatch.setenv("TERM", "xterm")
    with Progress("working", patience_s=0) as bar, bar.hidden():
        bar.at("half", 0.5)
    assert bar._timer is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("term", "seen"), [("xterm", True), ("dumb", False)])
def test_a_dumb_terminal_is_none(monkeypatch: pytest.MonkeyPatch, term: str, seen: bool) -> None:
    """A terminal that cannot redraw a line gets no bar."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert progress.watched() is seen


def test_what_is_quick_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends before the bar's time never shows it, even if its timer fires at the last."""
    monkeypatch.setattr(progress, "watched", lambda: True)
    with Progress("working", patience_s=3600) as bar:
        pass
    bar._show()
    assert bar._bar is None


def test_a_bar_makes_way_for_output() -> None:
    """On a terminal the bar shows, is taken away for a line of output, and vanishes."""
    told = on_terminal(SCRIPT)
    assert "working" in told
    erased = "\x1b[1A\x1b[2K"  # up a line, and clear it
    assert f"{erased}printed\r\n" in told
    assert "all" in told
    assert told.endswith(erased)
