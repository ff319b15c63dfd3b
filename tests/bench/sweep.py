"""Measure what a sweep costs beside its runs, and that workers change nothing.

    python -m tests.bench.sweep overhead [--points N] [--workers N …]
    python -m tests.bench.sweep determinism [--seeds N] [--workers N …]

Each sweep is the whole command ``patronus sweep``, timed from its start to its end. The work
itself is what the runs took by the workers' own clocks, their figures included. Overhead by
the clock is (workers × wall) / work - 1: starts, ends and waiting count. Overhead of the
processor is the time of all processes over that of the runs: it does not depend on what else
the machine is doing. The bars: 10,000 short points, 5 % overhead; 1,000 seeds, no mismatch.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import pandas as pd

from patronus.sim import load, run

BAR = 0.05

SHORT = """\
version: 1
topology: {sites: [berlin, oslo]}
transports: [mpls, broadband]
start: cold
duration: 300ms
traffic: [{class: default, from: all, to: all, rate: 1Mbps}]
faults: [{kind: blackhole, name: cut, at: 200ms, on: {site: oslo, transport: mpls}}]
"""
"""As short as a point can be."""

DECIDED = """\
version: 1
topology: {sites: [berlin, oslo]}
transports: [mpls, broadband]
duration: 3s
warmup: 4s
traffic: [{class: default, from: all, to: all, rate: 1Mbps}]
faults:
  - {kind: blackhole, name: cut, at: 500ms, random: 500ms, times: 1, for: 1s,
     on: {site: oslo, transport: mpls}}
"""
"""A cut at a random time: each seed has its own journal."""

COMMAND = "from patronus.control.cli import main; main()"

SAMPLE = 25
"""Seeds that are run by themselves, outside of any sweep."""


class Swept(NamedTuple):
    """What one sweep took."""

    workers: int
    points: int
    wall_s: float
    cpu_s: float
    """Of the command and all its workers."""
    work_s: float
    work_cpu_s: float
    sha256: str
    frame: pd.DataFrame

    def told(self) -> str:
        """Return a row of the table."""
        wall = self.workers * self.wall_s / self.work_s - 1
        cpu = self.cpu_s / self.work_cpu_s - 1
        each = 1000 * self.work_cpu_s / self.points
        return (
            f"{self.workers:7} {self.points:8,} {each:9.1f} ms {self.wall_s:8.1f} s "
            f"{100 * wall:8.1f} % {self.cpu_s:9.1f} s {100 * cpu:8.1f} %   {self.sha256[:12]}"
        )


HEAD = (
    f"{'workers':>7} {'points':>8} {'CPU a run':>12} {'wall':>10} {'overhead':>10} {'CPU':>11} "
    f"{'overhead':>10}   table"
)


def swept(text: str, seeds: int, workers: int, folder: Path) -> Swept:
    """Run one sweep of a scenario over the seeds from 1 on."""
    file = folder / "bench.patronus.yml"
    file.write_text(text)
    out = folder / f"{workers}-workers"
    words = [
        "sweep",
        str(file),
        "--seeds",
        f"1..{seeds}",
        "--jobs",
        str(workers),
        "--out",
        str(out),
    ]
    before, began = _cpu_s(), perf_counter()
    command = [sys.executable, "-c", COMMAND, *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    wall_s, cpu_s = perf_counter() - began, _cpu_s() - before
    summary = json.loads(done.stdout)
    if summary["failed"] or summary["done"] != seeds:
        raise SystemExit(f"{summary['failed']} points failed: {summary['failures'][:1]}")
    return Swept(
        workers, seeds, wall_s, cpu_s, summary["work_s"], summary["work_cpu_s"],
        summary["table_sha256"], pd.read_parquet(out / summary["table"]),
    )  # fmt: skip


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def mismatches(sweeps: Sequence[Swept], text: str, folder: Path) -> int:
    """Return how many seeds differ: between sweeps, or from runs outside of them."""
    journals = [dict(zip(s.frame["seed"], s.frame["journal_sha256"], strict=True)) for s in sweeps]
    wrong = {seed for seed in journals[0] for other in journals if other[seed] != journals[0][seed]}
    scenario = load(folder / "bench.patronus.yml")
    every = sorted(journals[0])
    for seed in every[:: max(1, len(every) // SAMPLE)]:
        if run(scenario, int(seed)).summary["journal_sha256"] != journals[0][seed]:
            wrong.add(seed)
    return len(wrong)


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["overhead", "determinism"])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8])
    asked = parser.parse_args()
    text, seeds = (SHORT, asked.points) if asked.what == "overhead" else (DECIDED, asked.seeds)
    with tempfile.TemporaryDirectory() as place:
        print(HEAD, flush=True)
        sweeps = []
        for workers in asked.workers:
            sweeps.append(swept(text, seeds, workers, Path(place)))
            print(sweeps[-1].told(), flush=True)
        journals = sweeps[0].frame["journal_sha256"].nunique()
        wrong = mismatches(sweeps, text, Path(place))
    tables = {sweep.sha256 for sweep in sweeps}
    print(
        f"{len(tables)} different table(s); {journals:,} different journals among {seeds:,} seeds; "
    )
    print(f"{wrong} seeds differ between sweeps, or from {SAMPLE} runs made alone")
    raise SystemExit(1 if wrong or len(tables) > 1 else 0)


if __name__ == "__main__":
    main()
