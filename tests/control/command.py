"""Runs ``patronus`` in tests: in this process where possible, in one of its own where not."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from patronus.control.cli import cli

SCENARIO = """\
version: 1
about: One of two carriers fails. It comes back.
topology: {sites: [berlin, oslo, rome]}
transports: [mpls, broadband]
duration: 6s
traffic:
  - {class: default, from: all, to: all, rate: 1Mbps}
faults:
  - {kind: blackhole, name: cut, at: 1s, for: 3s, on: {site: rome, transport: mpls}}
expect:
  - failover.max < 1s
  - loops == 0
"""
"""Quick to run, and something is decided in it."""

PROGRAM = Path(sys.executable).with_name("patronus")


def patronus(*words: str | Path) -> Result:
    """Run the command line here; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="patronus")


def process(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a process of its own."""
    return subprocess.run(
        [PROGRAM, *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | more,
    )


def scenario(folder: Path, name: str = "cut", text: str = SCENARIO, **changes: str) -> Path:
    """Write a scenario file; changes replace parts of its text."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.patronus.yml"
    path.write_text(text)
    return path


def failing(text: str = SCENARIO) -> str:
    """Return the scenario with an expectation that nothing can meet."""
    return text.replace("failover.max < 1s", "failover.max < 1ms")


def undecided(text: str = SCENARIO) -> str:
    """Return the scenario with an expectation that a few seeds cannot decide."""
    return text.replace("failover.max < 1s", "failover.p99 < 1s @ 95%")
