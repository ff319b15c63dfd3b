"""Measure what the shipped scenarios take, one after the other in one process.

    python -m tests.bench.scenarios [NAME …]

For each: its size, what happened, the time from the file to the judged run, and where that
time went (a second run under the profiler, whose shares alone are used). The bar is a
minute for all of them together, without the start of the process and the reports.
"""

import cProfile
import pstats
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import patronus
from patronus.sim import api
from tests.scenarios.catalogue import NAMES, shipped

BAR_S = 60

PARTS = {
    "probes": ("prober", "reflections", "wire", "passage", "flight", "bursts", "luck", "fates"),
    "engine": ("engine/",),
    "packets": ("comb", "tally", "measurement", "harm", "outlook", "exposures", "pointers"),
    "checkers": ("checkers", "checks/"),
    "gauges": ("gauges", "gauging/"),
    "set-up": ("language/", "topology/", "faults/", "api"),
}
"""Who works for what, by how paths begin beneath the packages; the rest is ``other``."""


class Taken(NamedTuple):
    """What one scenario took."""

    name: str
    wall_s: float
    cpu_s: float
    summary: dict[str, Any]
    shares: dict[str, float]
    """Of its time, by part."""


def measure(name: str) -> Taken:
    """Run a scenario twice: once with a clock, once under the profiler."""
    wall, cpu = perf_counter(), process_time()
    done = api.run(shipped(name))
    wall_s, cpu_s = perf_counter() - wall, process_time() - cpu
    profile = cProfile.Profile()
    profile.runcall(lambda: api.run(shipped(name)))
    return Taken(name, wall_s, cpu_s, dict(done.summary), _shares(profile))


def _shares(profile: cProfile.Profile) -> dict[str, float]:
    """Return how the time is shared out; a library's time is its caller's."""
    own = dict.fromkeys([*PARTS, "other"], 0.0)
    found: dict[Any, Any] = vars(pstats.Stats(profile))["stats"]
    for (file, _, _), (_, _, tottime, _, callers) in found.items():
        if _part(file) != "other" or not callers:
            own[_part(file)] += tottime
            continue
        for (caller, _, _), (_, _, time, _) in callers.items():
            own[_part(caller)] += time
    total = sum(own.values())
    return {part: time / total for part, time in own.items()}


def _part(file: str) -> str:
    roots = [Path(patronus.__file__).parent, Path(patronus.__file__).parents[2]]
    for root in roots:
        if file.startswith(str(root)):
            place = Path(file).relative_to(root).as_posix().removeprefix("sim/")
            return next((p for p, names in PARTS.items() if place.startswith(names)), "other")
    return "other"


def told(taken: Sequence[Taken]) -> list[str]:
    """Return the table, the dearest first."""
    parts = [*PARTS, "other"]
    head = f"{'scenario':26}{'wall':>7}{'cpu':>7}{'simulated':>11}{'tunnels':>9}{'probes':>9}"
    lines = [head + f"{'decisions':>11}   " + "".join(f"{p:>10}" for p in parts)]
    for t in sorted(taken, key=lambda t: -t.cpu_s):
        counts = t.summary["counts"]
        line = f"{t.name:26}{t.wall_s:6.2f}s{t.cpu_s:6.2f}s{t.summary['simulated_s']:10.1f}s"
        line += f"{counts['tunnels']:9,}{counts['probes']:9,}{counts['decisions']:11,}   "
        lines.append(line + "".join(f"{100 * t.shares[p]:8.0f} %" for p in parts))
    wall, cpu = sum(t.wall_s for t in taken), sum(t.cpu_s for t in taken)
    lines.append(f"{len(taken)} scenarios: {wall:.1f} s, {cpu:.1f} s of CPU (bar {BAR_S} s)")
    return lines


def main(names: Sequence[str]) -> None:
    """Print the table."""
    print("\n".join(told([measure(name) for name in names or NAMES])))


if __name__ == "__main__":
    main(sys.argv[1:])
