"""What fuzzing costs and finds: ``make bench-fuzz``.

    speed     counted schedules (50 sites, full mesh x 2, 72 s and more) and small ones
    bugs      schedules until each planted bug is found, under fresh seeds
    shrink    each planted bug from a hundred faults and more

Times are processor times of one process, since a search runs one on each core.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from statistics import median
from time import process_time
from typing import Any, Final

from patronus.engine.units import SECOND
from patronus.sim.fuzzing.attempts import shrink
from patronus.sim.fuzzing.drawing import draw
from patronus.sim.fuzzing.felt import felt
from patronus.sim.fuzzing.trial import judge
from patronus.sim.scenario import Scenario
from patronus.sim.world import World
from tests.mutants.planted import BUGS, Bug, planted

CORES: Final = 2
HOUR_S: Final = 3600
MANY: Final = 130
"""Faults asked for where a hundred are wanted: some do not fit into the storm."""

HUNDRED: Final = 100

Row = dict[str, Any]


def speed(name: str, schedules: Sequence[Scenario], *, lazy: bool) -> Row:
    """Return what schedules of one sort cost; ``felt`` is the least number of sure faults."""
    times, built, sure, found = [], [], [], 0
    simulated = sum(s.duration_ns + s.warmup_ns for s in schedules) / SECOND
    for scenario in schedules:
        start = process_time()
        sure.append(felt(World(scenario, scenario.seed, reported=False)))
        built.append(process_time() - start)
        start = process_time()
        found += bool(judge(scenario, lazy=lazy, whole=True))
        times.append(process_time() - start)
    return {
        "what": name,
        "mode": "lazy" if lazy else "event",
        "schedules": len(schedules),
        "cpu_s": round(median(times), 3),
        "build_s": round(median(built), 3),
        "felt_least": min(sure),
        "times_real": round(simulated / sum(times), 1),
        "per_hour_2_cores": round(CORES * HOUR_S * len(times) / sum(times)),
        "findings": found,
    }


def hunt(bug: Bug, seed: int, most: int) -> Row:
    """Return how many schedules it takes to find a bug that the sound engine does not show."""
    start = process_time()
    for number in range(most):
        drawn = draw(seed, number)
        with planted(bug):
            verdict = judge(drawn)
        if verdict and not judge(drawn):
            break
    else:
        return {"bug": bug.name, "seed": seed, "found": None, "cpu_s": process_time() - start}
    return {
        "bug": bug.name,
        "seed": seed,
        "found": number + 1,
        "check": verdict.check,
        "cpu_s": round(process_time() - start, 1),
    }


def shrinking(bug: Bug, seed: int, most: int) -> Row:
    """Return what it takes to shrink a finding from a hundred faults and more."""
    for number in range(most):
        drawn = draw(seed, number, faults=MANY)
        with planted(bug):
            verdict = judge(drawn)
        if len(drawn.faults) >= HUNDRED and verdict and not judge(drawn):
            break
    else:
        return {"bug": bug.name, "from": 0, "to": None}
    with planted(bug):
        start = process_time()
        small = shrink(drawn, number, verdict)
        cpu_s = process_time() - start
    return {
        "bug": bug.name,
        "schedule": number,
        "check": verdict.check,
        "from": len(drawn.faults),
        "to": len(small.scenario.faults),
        "sites": len(small.scenario.topology.sites),
        "runs": small.trials,
        "cpu_s": round(cpu_s, 1),
        "sound_passes": not judge(small.scenario),
    }


def rows(asked: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows that were asked for, each as soon as it is known."""
    bugs = [b for b in BUGS if not asked.bug or b.name in asked.bug]
    if "speed" in asked.parts:
        numbers = range(asked.schedules)
        counted = [draw(asked.seed, n, 50) for n in numbers]
        small = [draw(asked.seed, n) for n in range(5 * asked.schedules)]
        for lazy in (False, True):
            yield speed("counted: 50 sites", counted, lazy=lazy)
            yield speed("small", small, lazy=lazy)
    if "bugs" in asked.parts:
        for bug in bugs:
            for seed in range(asked.seed, asked.seed + asked.seeds):
                yield hunt(bug, seed, asked.most)
    if "shrink" in asked.parts:
        for bug in bugs:
            yield shrinking(bug, asked.seed, asked.most)


def main() -> None:
    """Measure and print one line of JSON a row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["speed", "bugs", "shrink"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--schedules", type=int, default=4)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--bug", action="append")
    for row in rows(parser.parse_args()):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
