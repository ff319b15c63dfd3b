"""Whole commands, each in a process of its own: what one really waits for."""

import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

from patronus.sim.benchmarks.cases import Case

_MB: Final = 1024
"""The system tells peaks of memory in KiB."""

_LAST_WORDS: Final = 2000
"""Characters of what a failed command wrote."""


class CommandError(RuntimeError):
    """A command that was to be measured did not do its work."""


class Result(NamedTuple):
    """What one command took, and what it says it did."""

    wall_s: float
    cpu_s: float
    """Of all its threads; on a busy machine this says more."""
    peak_mb: int
    summary: dict[str, Any]

    def missing(self) -> list[str]:
        """Return what a run must have, and this one has not."""
        counts = self.summary["counts"]
        return [name for name in ("probes", "probes_lost", "decisions") if not counts[name]]


def write_case(case: Case, folder: Path) -> Path:
    """Write the scenario file of a case."""
    file = folder / f"{case.name}.patronus.yml"
    file.write_text(case.text(), encoding="utf-8")
    return file


def run(case: Case, folder: Path, mode: str = "event") -> Result:
    """Run ``patronus run FILE --out DIR --mode MODE`` once; its folder is left behind.

    Raises:
        CommandError: it ended with neither "pass" nor "fail", or wrote no report.
    """
    file, out = write_case(case, folder), folder / f"{case.name}.run"
    words = [sys.executable, "-m", "patronus", "run", str(file), "--out", str(out), "--mode", mode]
    log = folder / f"{case.name}.log"
    # An installed package has its modules compiled; one from a checkout does after a first run.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = perf_counter()
    with (
        log.open("w", encoding="utf-8") as told,
        subprocess.Popen(words, stdout=told, stderr=told, env=environment) as process,
    ):
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        wall_s = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    report = out / "report.html"
    if process.returncode not in (0, 1) or not (report.exists() and report.stat().st_size):
        last = log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:].strip()
        raise CommandError(f"`{' '.join(words[1:])}` ended with {process.returncode}:\n{last}")
    summary = json.loads((out / "summary.json").read_bytes())
    cpu_s = usage.ru_utime + usage.ru_stime
    return Result(wall_s, cpu_s, usage.ru_maxrss // _MB, summary)
