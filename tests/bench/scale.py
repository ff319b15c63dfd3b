"""Measure the bars of scale: whole commands, beside a plain SimPy world.

    python -m tests.bench.scale [--case mesh-50|hubs-1000|mesh-1000] [--runs N] [--keep DIR]

Each case is ``patronus run FILE --out DIR`` in a process of its own, timed from its start
to its end, by when ``report.html`` is written; its memory is the peak that the system
reports. Conditions: shipped mpls and broadband profiles with their loss and jitter, keyed
phases, probes at 10 Hz, three traffic classes with different SLAs; backups, transit and
checkers on. The peer (:mod:`tests.bench.peer`) simulates a few of the same tunnels for a
few seconds and is extrapolated. A run without probes, losses or decisions gets no ratio.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from patronus.sim.language import load
from tests.bench.peer import Pace, pace

_COMMAND = "from patronus.control.cli import main; main()"
_MB = 1024  # ru_maxrss is in KiB

_SCENARIO = """\
version: 1
name: {name}
duration: {seconds}s
topology: {topology}
transports: [mpls, broadband]
classes:
  voice:
    match: [{{dscp: ef}}]
    sla: {{latency: 150ms, jitter: 30ms, loss: 1%, mos: 4.0}}
    prefer: [mpls]
  video: {{match: [{{dscp: af41}}], sla: {{latency: 200ms, jitter: 50ms, loss: 2%}}}}
  default: {{}}
{groups}traffic:
  - {{class: voice, from: {sources}, to: {targets}, rate: 64kbps, packet: 200B, peers: 1}}
faults:
  - {fault}
expect:
  - failover.p99 < 600ms
"""


class Case(NamedTuple):
    """One scenario and what it may take."""

    name: str
    seconds: int
    topology: str
    fault: str
    bar_s: float
    bar_mb: int | None = None
    sources: str = '"*"'
    targets: str = '"*"'
    cut_sites: int = 0
    """Spokes whose mpls access lines share one risk."""
    peer_tunnels: int = 200
    peer_s: int = 20

    def text(self) -> str:
        """Return the scenario file."""
        lines = [f"access:spoke{n}:mpls" for n in range(1, self.cut_sites + 1)]
        groups = f"groups:\n  cut: [{', '.join(lines)}]\n" if lines else ""
        return _SCENARIO.format(**self._asdict(), groups=groups)


CASES = (
    Case(
        "mesh-50", 120, "{mesh: full-mesh, sites: 50}",
        "{name: cut, kind: blackhole, at: 30s, for: 30s, on: {site: site1, transport: mpls}}",
        bar_s=3,
    ),
    Case(
        "hubs-1000", 60, "{mesh: hub-and-spoke, sites: 1000, hubs: 4}",
        "{name: hub, kind: site-crash, at: 30s, on: {site: hub1}}",
        bar_s=10, bar_mb=1024, sources="spokes", targets="hubs",
    ),
    Case(
        "mesh-1000", 60, "{mesh: full-mesh, sites: 1000, hubs: 4}",
        "{name: cut, kind: shared-risk-cut, at: 30s, on: {group: cut}}",
        bar_s=120, bar_mb=3072, cut_sites=20,
    ),
)  # fmt: skip


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


def run(case: Case, folder: Path) -> Result:
    """Run the whole command once; its folder is left behind.

    Raises:
        RuntimeError: it ended with neither "pass" nor "fail", or wrote no report.
    """
    file, out = folder / f"{case.name}.patronus.yml", folder / f"{case.name}.run"
    file.write_text(case.text(), encoding="utf-8")
    words = [sys.executable, "-c", _COMMAND, "run", str(file), "--out", str(out)]
    log = (folder / f"{case.name}.log").open("w", encoding="utf-8")
    # An installed package has its modules compiled; one from a checkout does after a first run.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = perf_counter()
    with log, subprocess.Popen(words, stdout=log, stderr=log, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1) or not (out / "report.html").stat().st_size:
        raise RuntimeError(f"{' '.join(words[3:])} ended with {process.returncode}")
    summary = json.loads((out / "summary.json").read_bytes())
    cpu_s = usage.ru_utime + usage.ru_stime
    return Result(wall_s, cpu_s, usage.ru_maxrss // _MB, summary)


def peer(case: Case, folder: Path, seed: int) -> Pace:
    """Let the peer run its part of a case whose file :func:`run` has left."""
    scenario = load(str(folder / f"{case.name}.patronus.yml"))
    return pace(scenario, seed, tunnels=case.peer_tunnels, simulated_s=case.peer_s)


def ratio(result: Result, plain: Pace) -> float | None:
    """Return how many times longer the peer would take; None where nothing can be compared."""
    if result.missing() or not plain.lost:
        return None
    counts, simulated_s = result.summary["counts"], result.summary["simulated_s"]
    return plain.extrapolated_s(counts["tunnels"], simulated_s) / result.wall_s


def told(case: Case, results: Sequence[Result], plain: Pace) -> str:
    """Return the lines about a case; of several runs the quickest counts."""
    best = min(results, key=lambda r: r.wall_s)
    counts, simulated_s = best.summary["counts"], best.summary["simulated_s"]
    whole_s = plain.extrapolated_s(counts["tunnels"], simulated_s)
    times = ", ".join(f"{r.wall_s:.1f}" for r in results)
    memory_bar = f" (bar {case.bar_mb})" if case.bar_mb else ""
    compared = ratio(best, plain)
    verdict = (
        f"no ratio: no {', '.join(best.missing()) or 'loss at the peer'}"
        if compared is None
        else f"{compared:,.0f} times as long"
    )
    return (
        f"{case.name}: {counts['sites']:,} sites, {counts['tunnels']:,} tunnels, "
        f"{simulated_s:g} s simulated (warm-up included)\n"
        f"  command    {times} s (bar {case.bar_s:g}), {best.cpu_s:.1f} s of CPU, "
        f"{best.peak_mb:,} MB{memory_bar}\n"
        f"  it had     {counts['probes']:,} probes, {counts['probes_lost']:,} lost, "
        f"{counts['decisions']:,} decisions, {counts['exposures']:,} exposures\n"
        f"  plain      {plain.wall_s:.1f} s for {plain.tunnels} tunnels and "
        f"{plain.simulated_s:g} s: {plain.sent:,} probes, {plain.lost:,} lost\n"
        f"             extrapolated to all: {whole_s:,.0f} s; {verdict}"
    )


def main() -> None:
    """Measure the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--case", choices=[c.name for c in CASES], action="append")
    parser.add_argument("--runs", type=int, default=1, help="of each command; the best counts")
    parser.add_argument("--keep", type=Path, help="leave scenarios and run folders there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            if chosen.case and case.name not in chosen.case:
                continue
            results = []
            for turn in range(max(1, chosen.runs)):
                folder = (chosen.keep or Path(scratch)) / f"{case.name}-{turn + 1}"
                folder.mkdir(parents=True)
                results.append(run(case, folder))
            seed = int(results[0].summary["seed"])
            print(told(case, results, peer(case, folder, seed)), flush=True)


if __name__ == "__main__":
    main()
