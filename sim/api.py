"""The verbs of the Python API: load a scenario, run it, run it under many seeds.

A run judges itself by the scenario's expectations; a statement about many seeds
takes ``judge(expectations, runs)``.
"""

import gc
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from patronus.engine.units import SECOND
from patronus.sim.language import Mistake, ScenarioError
from patronus.sim.language import load as load_file
from patronus.sim.scenario import Scenario

if TYPE_CHECKING:  # they bring pandas and SimPy, which `patronus check` has no use for
    from patronus.sim.expectation import Expectation
    from patronus.sim.judgement import Judgement
    from patronus.sim.run import Run
    from patronus.sim.selection_policy import SelectionPolicy
    from patronus.sim.timeline import Timeline
    from patronus.sim.topology import Network
    from patronus.sim.trace import Trace
    from patronus.sim.world import World

_LARGE: Final = 1_000_000
"""A world of more entries is cleared away before its report is written."""

Progress = Callable[[int], None]
"""Called with the time of the scenario that a run has reached, in ns."""

INVALID: Final = "invalid"
"""The verdict of a run that did not reach its end: nothing is concluded."""

UNJUDGED: Final = "none"
"""The verdict of a scenario that states no expectations."""


def load(
    path: str | os.PathLike[str],
    settings: Iterable[str] = (),
    policy: str | os.PathLike[str] | None = None,
) -> Scenario:
    """Return the scenario of a file.

    Args:
        path: a ``.patronus.yml`` file.
        settings: changes as ``key.path=value``, like ``--set`` on the command line.
        policy: a policy file to put in the place of the scenario's own policy.

    Raises:
        ScenarioError: with every mistake, its file, line and column.
    """
    return load_file(path, settings, policy)


def run(
    scenario: Scenario,
    seed: int | None = None,
    *,
    until_ns: int | None = None,
    trace: str | None = None,
    progress: Progress | None = None,
    policy: "SelectionPolicy | None" = None,
    lazy: bool | None = None,
) -> "Run":
    """Run a scenario once.

    Args:
        scenario: from :func:`load`, or built in code.
        seed: of all luck; the scenario's own by default.
        until_ns: stop at this time of the scenario, as if it ended there.
        trace: ``SITE:DESTINATION``; every probe between the two is written to ``Run.trace``.
        progress: called now and then with the time reached.
        policy: chooses paths in place of the engine's own selection, under the same luck.
        lazy: leave out what cannot change a decision; the result is the same. None: where
            that is quicker.

    Raises:
        ScenarioError: the scenario cannot be run.
    """
    began = perf_counter()
    from patronus.sim.result import to_run

    if until_ns is not None:
        scenario = replace(scenario, duration_ns=min(until_ns, scenario.duration_ns))
    journal: list[bytes] = []
    number = scenario.seed if seed is None else seed
    world = make_world(scenario, number, journal.append, policy, lazy)
    notes = None if trace is None else _trace(world, trace)
    stop = world.run(progress=progress)
    result = to_run(world, stop, journal, perf_counter() - began)
    if notes is not None:
        result = replace(result, trace=notes.lines(result))
    large = world.engine.space.entries > _LARGE
    del world, notes
    if large:
        gc.collect()  # it refers to itself in many places, and nothing else would find it soon
    return _judged(result, scenario)


def run_many(scenario: Scenario, seeds: Iterable[int], jobs: int = 1) -> "list[Run]":
    """Run a scenario under several seeds; the results do not depend on ``jobs``.

    Args:
        scenario: as for :func:`run`.
        seeds: each once; the runs come in this order.
        jobs: worker processes. Above 1, a script needs the usual
            ``if __name__ == "__main__":`` since workers are started afresh.

    Raises:
        ScenarioError: the scenario cannot be run.
        CrewError: a worker process died.
    """
    from patronus.sim.crew import Crew, Orders

    wanted = tuple(seeds)
    with Crew([Orders(scenario)], jobs=min(jobs, len(wanted))) as crew:
        return list(crew.runs(0, wanted))


def expectations(scenario: Scenario) -> "tuple[Expectation, ...]":
    """Return the parsed expectations of a scenario.

    Raises:
        ValueError: a line cannot be understood (only where a scenario was built in code).
    """
    from patronus.sim.expectation import parse

    return tuple(parse(line.text) for line in scenario.expectations)


def verdict_of(judgements: "Sequence[Judgement]", summaries: Iterable[dict[str, Any]]) -> str:
    """Return the verdict over some runs; an interrupted one proves nothing, not even a fault.

    A warm-up that does not converge fails its run, whatever was measured afterwards.
    """
    from patronus.sim.judgement import overall

    whole = list(summaries)
    if any(summary.get("interrupted") for summary in whole):
        return INVALID
    if not all(summary.get("converged", True) for summary in whole):
        return "fail"
    return str(overall(judgements)) if judgements else UNJUDGED


def plan(scenario: Scenario, seed: int) -> "tuple[Network, Timeline]":
    """Return the network and the compiled timeline of faults; nothing is run.

    Raises:
        ScenarioError: there is no network, or a fault or traffic that means nothing.
    """
    from patronus.sim.faults.compile import compile_faults
    from patronus.sim.faults.selectors import FaultError
    from patronus.sim.topology import build
    from patronus.sim.traffic import demands

    try:
        network = build(scenario, seed)
        timeline = compile_faults(scenario, network, seed)
        demands(scenario, network, seed)
    except FaultError as error:
        raise _unusable(error.fault.place or scenario.path, error) from error
    except ValueError as error:
        raise _unusable(scenario.path, error) from error
    return network, timeline


def make_world(
    scenario: Scenario,
    seed: int,
    sink: Callable[[bytes], object] | None = None,
    policy: "SelectionPolicy | None" = None,
    lazy: bool | None = None,
) -> "World":
    """Build a world that has not begun; ``sink`` receives the lines of its journal.

    Raises:
        ScenarioError: as :func:`plan`.
    """
    from patronus.sim.world import World

    try:
        return World(scenario, seed, sink=sink, selection=policy, lazy=lazy)
    except ValueError:
        # Either the scenario is to blame, and then planning it says so, or we are.
        plan(scenario, seed)
        raise


def _trace(world: "World", pair: str) -> "Trace":
    from patronus.sim.trace import Trace

    try:
        return Trace(world, pair)
    except ValueError as error:
        raise _unusable("--trace", error) from error


def left_open(judgements: "Iterable[Judgement]") -> "list[Judgement]":
    """Return the judgements of an interrupted run: figures, but no verdicts."""
    from patronus.sim.judgement import Judgement, Verdict

    class Open(Judgement):
        """Not decided, whatever was measured."""

        @property
        def note(self) -> str:
            """The only thing to say about such a figure."""
            return "interrupted"

    values = [{f.name: getattr(j, f.name) for f in fields(j)} for j in judgements]
    return [Open(**{**v, "verdict": Verdict.UNDECIDED, "needed": None}) for v in values]


def _judged(result: "Run", scenario: Scenario) -> "Run":
    """Return the run with its verdict, and with what the command line knows of the scenario."""
    from patronus.sim.judgement import judge

    judgements = judge(expectations(scenario), [result])
    if result.summary["interrupted"]:
        judgements = left_open(judgements)
    summary = {
        **result.summary,
        "about": scenario.about,
        "path": scenario.path,
        "duration_s": scenario.duration_ns / SECOND,
        "warmup_s": scenario.warmup_ns / SECOND,
        "expectations": [judgement.record() for judgement in judgements],
    }
    return replace(result, summary={**summary, "verdict": verdict_of(judgements, [summary])})


def _unusable(place: str, error: ValueError) -> ScenarioError:
    """Return an error in the terms of the language; ``place`` is FILE or FILE:LINE:COLUMN."""
    file, line, column = place or "scenario", 0, 0
    head, *numbers = place.rsplit(":", 2)
    if len(numbers) == 2 and all(n.isdecimal() for n in numbers):
        file, line, column = head, int(numbers[0]), int(numbers[1])
    return ScenarioError([Mistake(file, line, column, str(error))])
