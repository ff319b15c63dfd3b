"""``patronus run``: rehearse scenarios and judge what came of them."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.control.progress import Progress
    from patronus.control.rehearsal import Rehearsal, Request
    from patronus.control.results import Results
    from patronus.sim.crew import Orders
    from patronus.sim.scenario import Scenario


_REPEATS: Final = range(1, 1_000_001)
"""How many seeds can be asked for."""


@click.command()
@options.files
@options.seed
@click.option("--repeat", metavar="N|auto", default="1", show_default=True,
              help="Run N seeds, or with --max as many as the verdicts need.")  # fmt: skip
@click.option("--max", "most", type=click.IntRange(1, _REPEATS[-1]), metavar="N",
              help="With --repeat auto: at most so many seeds.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), metavar="N",
              help="Runs at a time (default: one for two runs, up to the processors).")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="New folder for the results (default: runs/NAME-1, -2 and so on).")  # fmt: skip
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the verdicts of all scenarios as JUnit XML.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True,
              help="Print the summary of each scenario as one line of JSON.")  # fmt: skip
@options.settings
@click.option("--trace", metavar="SITE:DEST", default="",
              help="Write every probe from one site to another to trace.txt.")  # fmt: skip
@click.option("--mode", type=click.Choice(("auto", "event", "lazy")), default="auto",
              show_default=True,
              help="Simulate every probe (event), leave out tunnels on which nothing happens but "
                   "the usual (lazy), or what is quicker; the results are the same.")  # fmt: skip
@click.option("--stop-at", "stop_ns", callback=options.duration, metavar="TIME",
              help="End each run at this time, for instance 30s.")  # fmt: skip
def command(
    files: Sequence[str],
    *,
    repeat: str,
    most: int | None,
    jobs: int | None,
    out: Path | None,
    junit_file: Path | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Run scenarios, judge them, and write a report of each.

    The exit code is 0 if every expectation is met, 1 if one is not, 2 for bad
    input, 3 if something could not be decided, 4 if nothing can be concluded.
    """
    from patronus.control.scenarios import load_all, plan_all
    from patronus.sim.footprint import shared

    request = _request(repeat, most, **asked)
    scenarios = load_all(files, request.settings)
    _check_seeds(scenarios, request)
    at_once = options.worth(jobs, len(scenarios) * request.repeat)
    shared(at_once).check(scenarios)
    if len(scenarios) * request.repeat > 1:
        # A mistake in the last of them should not cost the time of the others.
        plan_all(scenarios, request.seed)
    return _rehearse_all(scenarios, request, at_once, Output(out, junit_file, as_json))


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go."""

    folder: Path | None
    junit_file: Path | None
    as_json: bool


def _request(repeat: str, most: int | None, **asked: Any) -> "Request":
    from patronus.control.rehearsal import Request

    growing = repeat == "auto"
    if growing != (most is not None):
        raise click.UsageError("`--repeat auto` and `--max N` belong together")
    if not growing and not (re.fullmatch(r"[0-9]{1,7}", repeat) and int(repeat) in _REPEATS):
        meant = f"neither `auto` nor a number from 1 to {_REPEATS[-1]:,}"
        raise click.BadParameter(f"{repeat!r} is {meant}", param_hint="--repeat")
    count = most if most is not None else int(repeat)
    return Request(repeat=count, growing=growing, **asked)


def _check_seeds(scenarios: "Sequence[Scenario]", request: "Request") -> None:
    for scenario in scenarios:
        if request.seeds(scenario)[-1] > options.SEED_MOST:
            message = f"{request.repeat} seeds from {request.seeds(scenario)[0]} on are too large"
            raise click.BadParameter(f"{message}; the last is {options.SEED_MOST}",
                                     param_hint="--seed")  # fmt: skip


def _rehearse_all(
    scenarios: "Sequence[Scenario]", request: "Request", jobs: int, output: Output
) -> int:
    from patronus.control.endings import BY_VERDICT, PASS, reproduce, worst
    from patronus.control.progress import Progress
    from patronus.control.rehearsal import rehearse
    from patronus.control.results import Results
    from patronus.sim.crew import Crew, CrewError

    orders = [request.orders(scenario) for scenario in scenarios]
    total = len(orders) * request.repeat
    codes: list[int] = []
    with (
        Results(scenarios, output.folder, output.junit_file) as results,
        Progress("preparing") as progress,
        Crew(orders, jobs=jobs, progress=_meter(progress, total)) as crew,
    ):
        if not request.growing:
            for number, scenario in enumerate(scenarios):
                crew.start(number, request.seeds(scenario))
        for number, scenario in enumerate(scenarios):
            done = rehearse(scenario, request, crew, number)
            codes.append(BY_VERDICT[done.verdict])
            progress.at(f"writing {scenario.name}", (number + 1) / len(scenarios))
            with _kept(results, number, done) as folder, progress.hidden():
                _show(done, folder, as_json=output.as_json)
                if codes[-1] != PASS:
                    reproduce(done.command)
            if isinstance(done.stopped, CrewError):
                raise done.stopped
            if done.stopped is not None:
                break
    return worst(codes)


def _meter(progress: "Progress", total: int) -> "Callable[[Orders, int], None]":
    """Return what turns times reached into a share of all that is to be run."""
    finished = 0

    def reached(orders: "Orders", at_ns: int) -> None:
        nonlocal finished
        scenario, share = orders.scenario, 0.0
        if at_ns >= orders.end_ns:
            finished += 1
        else:
            warmup = scenario.warmup_ns
            share = (at_ns + warmup) / (orders.end_ns + warmup)
        what = f"{scenario.name}, {finished} of {total} runs done" if total > 1 else scenario.name
        progress.at(what, (finished + share) / total)

    return reached


@contextmanager
def _kept(results: "Results", number: int, done: "Rehearsal") -> "Iterator[Path | None]":
    """Write the folder; where that fails, what came of it is shown all the same."""
    try:
        folder = results.keep(number, done)
    except Exception:
        yield None
        raise
    yield folder


def _show(done: "Rehearsal", folder: Path | None, *, as_json: bool) -> None:
    from patronus.control.outcome import conclusion, outcome

    if as_json:
        whole = {**done.summary, "folder": str(folder or "")}
        click.echo(json.dumps(whole, sort_keys=True, allow_nan=False))
        return
    lines = outcome(done.summary, done.judgements)
    lines += [f"  report            {folder / 'report.html'}"] if folder else []
    click.echo("\n".join([*lines, "", conclusion(done.summary), ""]))
