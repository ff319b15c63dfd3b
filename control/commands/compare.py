"""``patronus compare``: two runs, or one scenario under two policies, side by side."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.control.progress import Progress
    from patronus.sim.comparison import Comparison, Pairs
    from patronus.sim.crew import Orders
    from patronus.sim.scenario import Scenario

_SEEDS: Final = 20
"""How many are run where nobody says: enough for an interval, and soon done."""

_OF_EXPERIMENTS: Final = {
    "seed": "--seed", "repeat": "--repeat", "jobs": "--jobs", "independent": "--independent",
    "settings": "--set", "stop_ns": "--stop-at",
}  # fmt: skip


@click.command()
@click.argument("places", metavar="RUN_A RUN_B | SCENARIO", nargs=-1, required=True)
@click.option("--policy", "policies", multiple=True, metavar="FILE",
              help="Run the scenario under this policy; twice for A and B, "
                   "once to compare its own policy with it.")  # fmt: skip
@options.seed
@click.option("--repeat", type=click.IntRange(1, 1_000_000), metavar="N",
              help=f"How many seeds both policies are run under (default: {_SEEDS}).")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), metavar="N",
              help="Runs at a time (default: up to the processors).")  # fmt: skip
@click.option("--independent", is_flag=True,
              help="Run B under N seeds of its own, too: simulate what common luck is worth "
                   "instead of computing it.")  # fmt: skip
@options.settings
@click.option("--stop-at", "stop_ns", callback=options.duration, metavar="TIME",
              help="End each run at this time, for instance 30s.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything as one line of JSON.")
def command(places: Sequence[str], *, policies: Sequence[str], as_json: bool, **asked: Any) -> int:
    """Show where two runs, or two sets of runs, part, and by how much.

    Runs of one seed share their luck and are compared in pairs. Differences are B - A;
    over several seeds their median comes with an interval that holds it with 95 %
    confidence, and with the factor by which the common luck narrowed it.

    With --policy a scenario is run under two policies, both under the same seeds.
    """
    if policies:
        return _experiment(places, policies, Wish(**asked), as_json=as_json)
    given = [word for name, word in _OF_EXPERIMENTS.items() if asked[name]]
    if given:
        raise click.UsageError(f"`{given[0]}` belongs to a scenario and `--policy FILE`")
    if len(places) != 2:
        raise click.UsageError(
            "either two folders of runs, or a scenario and `--policy FILE` once or twice"
        )
    return _folders(Path(places[0]), Path(places[1]), as_json=as_json)


def _folders(a: Path, b: Path, *, as_json: bool) -> int:
    from patronus.control.endings import Failure
    from patronus.control.progress import Progress
    from patronus.sim.comparison import compare
    from patronus.sim.folder import load_runs

    with Progress("reading") as progress:
        left, right = load_runs(a), load_runs(b)
        progress.at("comparing", 0.5)
        try:
            comparison = compare(left, right)
        except ValueError as error:
            raise Failure(str(error)) from error
    _show({"a": str(a), "b": str(b)}, comparison, as_json=as_json)
    return 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for of an experiment."""

    seed: int | None
    repeat: int | None
    jobs: int | None
    independent: bool
    settings: Sequence[str]
    stop_ns: int | None

    def seeds(self, scenario: "Scenario") -> range:
        """Return the seeds of both policies."""
        first = scenario.seed if self.seed is None else self.seed
        count = self.repeat or _SEEDS
        if first + 2 * count > options.SEED_MOST:
            raise click.BadParameter(
                f"{count} seeds from {first} on are too large; the last is {options.SEED_MOST}",
                param_hint="--seed",
            )
        return range(first, first + count)


def _experiment(
    places: Sequence[str], policies: Sequence[str], wish: Wish, *, as_json: bool
) -> int:
    from patronus.control.scenarios import plan_all
    from patronus.sim.comparison import Pairs
    from patronus.sim.crew import CrewError

    if len(places) != 1 or len(policies) > 2:
        raise click.UsageError("`--policy` is given once or twice, with one scenario")
    sides = _sides(options.scenario_file(places[0]), policies, wish.settings)
    seeds = wish.seeds(sides[0])
    plan_all(sides, seeds[0])
    a, b = [sides[0].path, *policies][-2:]
    told = {"scenario": sides[0].path, "a": a, "b": b, "finished": True}
    pairs = Pairs()
    try:
        _run(sides, seeds, pairs, wish)
    except (KeyboardInterrupt, CrewError):
        if pairs.seeds:
            click.echo(f"not finished: {len(pairs.seeds)} of {len(seeds)} pairs", err=True)
            _show({**told, "finished": False}, pairs.comparison(), as_json=as_json)
        raise
    _show(told, pairs.comparison(), as_json=as_json)
    return 0


def _run(sides: "Sequence[Scenario]", seeds: range, pairs: "Pairs", wish: Wish) -> None:
    from patronus.control.progress import Progress
    from patronus.sim.crew import Crew, Orders
    from patronus.sim.experiment import further, gather

    alone = further(seeds) if wish.independent else ()
    total = 2 * len(seeds) + len(alone)
    orders, jobs = [Orders(side, wish.stop_ns) for side in sides], options.worth(wish.jobs, total)
    with (
        Progress("preparing") as progress,
        Crew(orders, jobs=jobs, progress=_meter(progress, total)) as crew,
    ):
        gather(pairs, crew, seeds, alone)


def _sides(file: str, policies: Sequence[str], settings: Sequence[str]) -> "list[Scenario]":
    """Return the scenario under both policies; the mistakes of both are told together."""
    from patronus.sim.language import Mistake, ScenarioError, load

    found: list[Scenario] = []
    mistakes: list[Mistake] = []
    for policy in [None, *policies][-2:]:
        try:
            found.append(load(file, settings, policy))
        except ScenarioError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return found


def _meter(progress: "Progress", total: int) -> "Callable[[Orders, int], None]":
    finished = 0

    def reached(orders: "Orders", at_ns: int) -> None:
        nonlocal finished
        finished += at_ns >= orders.end_ns
        progress.at(f"{finished} of {total} runs done", finished / total)

    return reached


def _show(told: dict[str, Any], comparison: "Comparison", *, as_json: bool) -> None:
    if as_json:
        from patronus.sim.comparison_record import comparison_record

        whole = {**told, "confidence": 0.95, **comparison_record(comparison)}
        click.echo(json.dumps(whole, sort_keys=True, allow_nan=False, ensure_ascii=False))
        return
    from patronus.control.contrast import contrast

    lines = [f"A: {told['a']}", f"B: {told['b']}", *contrast(comparison)]
    click.echo("\n".join(lines))
