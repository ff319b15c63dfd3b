"""``patronus golden``: does a scenario still do what it did when it was last agreed to?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.sim.golden import Difference, Golden
    from patronus.sim.run import Run
    from patronus.sim.scenario import Scenario


@click.command()
@options.files
@click.option("--accept", is_flag=True, help="Take what scenarios do now as what they should do.")
def command(files: Sequence[str], *, accept: bool) -> int:
    """Compare scenarios with their goldens, NAME.golden.json beside each file.

    Prints the first decision that differs and every figure that changed. With
    --accept goldens are written anew, unless an expectation or a checker fails.
    """
    from patronus.control.endings import worst
    from patronus.control.progress import Progress
    from patronus.control.scenarios import load_all
    from patronus.sim.api import run

    scenarios = load_all(files)
    codes = []
    with Progress("preparing") as progress:
        for number, scenario in enumerate(scenarios):
            progress.at(scenario.name, number / len(scenarios))
            done = run(scenario)
            if done.summary["interrupted"]:
                raise KeyboardInterrupt
            with progress.hidden():
                codes.append(_accept(scenario, done) if accept else _compare(scenario, done))
    return worst(codes)


def _compare(scenario: "Scenario", run: "Run") -> int:
    from patronus.control.endings import FAIL, PASS, reproduce
    from patronus.control.tables import stamp
    from patronus.sim import golden

    then = golden.read_golden(golden.golden_path(scenario.path))
    now = golden.golden_of(run)
    difference = None if then is None else golden.compare(then, now)
    if difference is not None and not difference:
        click.echo(f"{stamp('pass')}  {scenario.name}: {now.decisions:,} decisions as agreed")
        return PASS
    click.echo(f"{stamp('fail')}  {scenario.name}: {_what(then)}")
    if difference:
        _show(difference)
    reproduce(options.again("golden", scenario.path))
    return FAIL


def _what(then: "Golden | None") -> str:
    return "it does something else than agreed" if then else "nothing was agreed yet (--accept)"


def _accept(scenario: "Scenario", run: "Run") -> int:
    from patronus.control.endings import FAIL, PASS, reproduce
    from patronus.control.tables import stamp
    from patronus.sim import golden

    objections = _objections(scenario, run.summary)
    if objections:
        click.echo(f"{stamp('fail')}  {scenario.name}: not accepted")
        click.echo("\n".join(f"  {objection}" for objection in objections))
        reproduce(options.again("run", scenario.path))
        return FAIL
    path = golden.golden_path(scenario.path)
    then, now = golden.read_golden(path), golden.golden_of(run)
    difference = None if then is None else golden.compare(then, now)
    golden.write_golden(now, path)
    changed = "unchanged" if difference is not None and not difference else f"written to {path}"
    click.echo(f"{stamp('pass')}  {scenario.name}: {now.decisions:,} decisions, {changed}")
    if difference:
        _show(difference)
    return PASS


def _objections(scenario: "Scenario", summary: Any) -> list[str]:
    """Return why what a run did cannot be what it should do."""
    from patronus.sim.api import expectations

    failed = [e for e in summary["expectations"] if e["verdict"] == "fail"]
    found = [f"{e['text']} is not met: {e['measured_text']}" for e in failed]
    if not summary.get("converged", True):
        found.append("the overlay had not converged when the scenario began")
    # A scenario that expects some loops or black holes has said how many are right.
    spoken_of = {e.query.metric for e in expectations(scenario)}
    checks = {k: summary["checks"].get(k, 0) for k in ("loops", "black_holes")}
    return found + [
        f"a checker found {number} {name.replace('_', ' ')}"
        for name, number in checks.items()
        if number and name not in spoken_of
    ]


def _show(difference: "Difference") -> None:
    from patronus.control.tables import indented, table

    lines = list(difference.where)
    if difference.figures:
        rows = [("figure", "was", "is"), *difference.figures]
        lines += table(rows, right=(1, 2))
    click.echo("\n".join(indented(lines)))
