"""Measure what-if studies against their bar, and tell what one failure costs.

    python -m tests.bench.whatif [--case NAME]… [--sample N] [--jobs N]

Each case is a study of every single failure. With ``--sample N`` only N of each sort, by luck
that names key, are simulated, and the rest is extrapolated from them, sort by sort; a sort is
a kind, hubs and spokes apart. That is said wherever it is done.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from patronus.engine.units import SECOND
from patronus.sim.benchmarks.cases import FULL, Case
from patronus.sim.language import load
from patronus.sim.luck import word
from patronus.sim.topology import build
from patronus.sim.whatif.failures import Failure, singles
from patronus.sim.whatif.nursery import Finished, Plan
from patronus.sim.whatif.orders import T0_NS, Orders, prepare
from patronus.sim.whatif.outcome import Died, Outcome
from patronus.sim.whatif.study import Study

_WATCHED_NS = 10 * SECOND


class Bar(NamedTuple):
    """A case and how quick it should be."""

    case: Case
    bar_s: float | None = None


_MESH, _HUBS = FULL[0], FULL[1]

CASES = (
    Bar(_MESH._replace(name="mesh-50")),
    Bar(_HUBS._replace(name="hubs-200", topology="{mesh: hub-and-spoke, sites: 200, hubs: 4}")),
    Bar(_HUBS._replace(name="hubs-1000"), bar_s=60),
)


class Sort(NamedTuple):
    """Failures of a sort: how many there are, and what those that were simulated took."""

    name: str
    number: int
    wall_s: Sequence[float]
    cpu_s: Sequence[float]
    watched_s: Sequence[float]

    @property
    def all_cpu_s(self) -> float:
        """Of all of this sort, extrapolated where not all were simulated."""
        return sum(self.cpu_s) * self.number / max(1, len(self.cpu_s))


def sort_of(failure: Failure) -> str:
    """Return which failures cost alike."""
    return f"{failure.kind} {'hub' if 'hub' in failure.id else ''}".strip()


def chosen(failures: Sequence[Failure], sample: int) -> list[Failure]:
    """Return so many failures of each sort, all if ``sample`` is 0."""
    by_luck = sorted(failures, key=lambda f: word(1, "bench", f.id))
    kept: dict[str, list[Failure]] = {}
    for failure in by_luck:
        kept.setdefault(sort_of(failure), []).append(failure)
    return [f for of in kept.values() for f in (of[:sample] if sample else of)]


def measure(bar: Bar, sample: int, jobs: int, folder: Path) -> str:
    """Study a case; return the lines about it."""
    path = folder / f"{bar.case.name}.patronus.yml"
    path.write_text(bar.case.text(), encoding="utf-8")
    scenario = load(path)
    studied, _ = prepare(scenario, _WATCHED_NS)
    every = singles(studied, build(studied, studied.seed), T0_NS)
    some = chosen(every, sample)
    orders = Orders(studied, studied.seed, jobs=jobs, picked=tuple(f.id for f in some))
    began = perf_counter()
    with Study(orders) as asking:
        heard = list(asking.messages())
    wall_s = perf_counter() - began
    (plan,) = (m for m in heard if isinstance(m, Plan))
    (end,) = (m for m in heard if isinstance(m, Finished))
    outcomes = {m.id: m for m in heard if isinstance(m, Outcome)}
    died = [m for m in heard if isinstance(m, Died)]
    sorts = [_sort(name, every, outcomes) for name in dict.fromkeys(map(sort_of, every))]
    cpu_s = sum(sort.all_cpu_s for sort in sorts)
    whole = len(some) == len(every)
    share = (wall_s - plan.ready_s) / max(1e-9, sum(o.cpu_s for o in outcomes.values()))
    said = "" if whole else f" (extrapolated to all: {plan.ready_s + cpu_s * share:,.0f} s)"
    bar_s = f", bar {bar.bar_s:g} s" if bar.bar_s else ""
    size = f"{plan.sites:,} sites, {plan.tunnels:,} tunnels, {plan.flows:,} flows"
    tried = f"{len(every):,} failures, {len(outcomes):,} simulated, {len(died)} died"
    cpu = f"children {cpu_s:,.0f} s of CPU{'' if whole else ', extrapolated'}"
    ready = f"{plan.ready_s:.1f} s until the first failure"
    memory = f"the overlay {end.peak_mb:,} MB, the largest child {end.child_mb:,} MB"
    lines = [
        f"{bar.case.name}: {size}, {tried}",
        f"  wall {wall_s:,.1f} s{said}{bar_s}; {ready}; {cpu}",
        f"  memory: {memory} with what it shares",
        "  sort | failures | simulated | CPU of one, median and most | watched, median",
    ]
    lines += [_line(sort) for sort in sorts]
    return "\n".join(lines)


def _sort(name: str, every: Sequence[Failure], outcomes: dict[str, Outcome]) -> Sort:
    mine = [f for f in every if sort_of(f) == name]
    done = [outcomes[f.id] for f in mine if f.id in outcomes]
    return Sort(
        name,
        len(mine),
        [o.wall_s for o in done],
        [o.cpu_s for o in done],
        [o.until_ns / SECOND for o in done],
    )


def _line(sort: Sort) -> str:
    if not sort.cpu_s:
        return f"  {sort.name} | {sort.number:,} | 0 | - | -"
    cost = f"{median(sort.cpu_s):.2f} s, {max(sort.cpu_s):.2f} s"
    watched = f"{median(sort.watched_s):g} s"
    return f"  {sort.name} | {sort.number:,} | {len(sort.cpu_s):,} | {cost} | {watched}"


def main() -> None:
    """Measure the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--case", choices=[b.case.name for b in CASES], action="append")
    parser.add_argument("--sample", type=int, default=0, help="of each sort; 0: all")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for bar in CASES:
            if not asked.case or bar.case.name in asked.case:
                print(measure(bar, asked.sample, asked.jobs, Path(scratch)), flush=True)


if __name__ == "__main__":
    main()
