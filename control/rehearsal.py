"""One scenario under its seeds: run, judged over all of them, and put into a folder."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import pandas as pd

from patronus.engine.units import SECOND
from patronus.sim.api import expectations, left_open, verdict_of
from patronus.sim.crew import Crew, CrewError, Orders
from patronus.sim.expectation import Expectation
from patronus.sim.folder import write_run, write_runs
from patronus.sim.judgement import Judgement, Sequential, judge
from patronus.sim.junit import Suite, junit
from patronus.sim.language.quantities import shown
from patronus.sim.run import Run
from patronus.sim.scenario import Scenario
from patronus.sim.summary import summarise


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, the same for every scenario."""

    seed: int | None = None
    repeat: int = 1
    growing: bool = False
    """``--repeat auto``: at most ``repeat`` seeds, fewer if the verdicts are clear before."""
    settings: tuple[str, ...] = ()
    stop_ns: int | None = None
    trace: str = ""
    mode: str = "auto"

    def seeds(self, scenario: Scenario) -> list[int]:
        """Return the seeds of a scenario; all that may be needed."""
        first = scenario.seed if self.seed is None else self.seed
        return list(range(first, first + self.repeat))

    def orders(self, scenario: Scenario) -> Orders:
        """Return what to run of a scenario."""
        lazy = None if self.mode == "auto" else self.mode == "lazy"
        return Orders(scenario, self.stop_ns, self.trace or None, lazy)

    def command(self, scenario: Scenario, seed: int | None = None) -> str:
        """Return the command that runs the same again, or one seed of it."""
        words = ["patronus", "run", scenario.path]
        words += ["--seed", str(self.seeds(scenario)[0] if seed is None else seed)]
        if seed is None and self.growing:
            words += ["--repeat", "auto", "--max", str(self.repeat)]
        elif seed is None and self.repeat > 1:
            words += ["--repeat", str(self.repeat)]
        for setting in self.settings:
            words += ["--set", setting]
        words += ["--stop-at", shown(self.stop_ns)] if self.stop_ns else []
        words += ["--trace", self.trace] if self.trace else []
        words += ["--mode", self.mode] if self.mode != "auto" else []
        return shlex.join(words)


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What came of one scenario."""

    scenario: Scenario
    runs: tuple[Run, ...]
    judgements: tuple[Judgement, ...]
    summary: dict[str, Any]
    """Of the run, or over the runs of all seeds."""
    command: str
    stopped: BaseException | None = None
    """What kept it from being finished."""

    @property
    def verdict(self) -> str:
        """``pass``, ``fail``, ``undecided``, ``invalid`` or ``none``."""
        return str(self.summary["verdict"])

    @property
    def suite(self) -> Suite:
        """The verdicts for JUnit."""
        wall_s = float(self.summary["wall_s"])
        return Suite(self.scenario.name, self.judgements, self.command, wall_s)

    def write(self, folder: Path) -> None:
        """Write the folder.

        Raises:
            FolderError: it cannot be written; nothing is left behind.
        """
        document = junit([self.suite])
        if "seeds" in self.summary:
            write_runs(self.runs, self.judgements, folder, summary=self.summary, junit=document)
        else:
            write_run(self.runs[0], self.judgements, folder, junit=document)


def rehearse(scenario: Scenario, request: Request, crew: Crew, number: int) -> Rehearsal:
    """Run a scenario as often as asked for; an interruption keeps what is finished.

    Args:
        scenario: the same as the crew's order of that number.
        request: what was asked for.
        crew: who runs it.
        number: of the crew's order.

    Raises:
        KeyboardInterrupt: nothing was finished.
        CrewError: the same, since a worker died.
    """
    began = perf_counter()
    lines = expectations(scenario)
    seeds = request.seeds(scenario)
    if request.growing:
        runs, judgements, stopped = _grow(lines, seeds, crew, number)
    else:
        runs, stopped = _gather([], crew, number, seeds)
        judgements = judge(lines, runs)
    if stopped is not None:
        judgements = left_open(judgements)
    told = [_told(run, scenario, request) for run in runs]
    command = request.command(scenario)
    summary = dict(told[0].summary)
    if request.repeat > 1:
        summary = _together(told, judgements, interrupted=stopped is not None)
        summary |= {"command": command, "wall_s": round(perf_counter() - began, 3)}
    return Rehearsal(scenario, tuple(told), tuple(judgements), summary, command, stopped)


Stopped = KeyboardInterrupt | CrewError | None


def _gather(
    before: Sequence[Run], crew: Crew, number: int, seeds: Sequence[int]
) -> tuple[list[Run], Stopped]:
    """Return the runs so far with those of more seeds, and what stopped them if anything did."""
    runs = list(before)
    try:
        for run in crew.runs(number, seeds):
            if run.summary["interrupted"]:
                # Half a run beside whole ones would only confuse their figures.
                return runs or [run], KeyboardInterrupt()
            runs.append(run)
    except (KeyboardInterrupt, CrewError) as stopped:
        if not runs:
            raise
        return runs, stopped
    return runs, None


def _grow(
    lines: Sequence[Expectation], seeds: Sequence[int], crew: Crew, number: int
) -> tuple[list[Run], list[Judgement], Stopped]:
    looks, runs = Sequential(lines, len(seeds)), list[Run]()
    judgements: list[Judgement] = []
    while wanted := looks.wanted:
        runs, stopped = _gather(runs, crew, number, seeds[len(runs) : wanted])
        if stopped is not None:
            return runs, judge(lines, runs), stopped
        judgements = looks.judge(runs)
    return runs, judgements, None


def _told(run: Run, scenario: Scenario, request: Request) -> Run:
    """Return the run with what only the command line knows: how to run it again, and how."""
    known = {
        "command": request.command(scenario, run.seed),
        "settings": list(request.settings),
        "stop_at_s": None if request.stop_ns is None else request.stop_ns / SECOND,
    }
    return replace(run, summary={**run.summary, **known})


_FIRST: Final = ("name", "about", "path", "duration_s", "settings", "stop_at_s")
_ALIKE: Final = ("sites", "tunnels", "flows", "bound_ns")
"""What is the same in every run, or means nothing added up."""


def _together(
    runs: Sequence[Run], judgements: Sequence[Judgement], *, interrupted: bool
) -> dict[str, Any]:
    """Return the summary over the runs of all seeds."""
    each = [dict(run.summary) for run in runs]
    if interrupted:
        each[0]["interrupted"] = True
    first = each[0]
    figures = summarise(
        failovers=_joined(run.failovers for run in runs),
        detections=_joined(run.detections for run in runs),
        series=_joined(run.series for run in runs),
    )
    return {
        **{key: first[key] for key in _FIRST if key in first},
        "seeds": [run.seed for run in runs],
        "interrupted": any(s["interrupted"] for s in each),
        "converged": all(s.get("converged", True) for s in each),
        "verdict": verdict_of(judgements, each),
        "expectations": [judgement.record() for judgement in judgements],
        "counts": _added(s["counts"] for s in each),
        **figures,
        "checks": _added(s["checks"] for s in each),
        "warnings": list(dict.fromkeys(w for s in each for w in s.get("warnings", ()))),
        "simulated_s": sum(s["simulated_s"] for s in each),
        "peak_rss_mb": max(s["peak_rss_mb"] for s in each),
    }


def _added(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    whole: dict[str, int] = {}
    for part in parts:
        for key, value in part.items():
            whole[key] = value if key in _ALIKE else whole.get(key, 0) + value
    return whole


def _joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    # Empty frames have no types of their own, and pandas warns when they meet others.
    several = list(frames)
    return pd.concat([f for f in several if len(f)] or several[:1], ignore_index=True)
