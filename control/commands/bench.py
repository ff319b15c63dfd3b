"""``patronus bench``: how fast this machine simulates and chooses, beside other tools."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from patronus.control.progress import Progress

SMALL: Final = (
    "mesh-10", "mesh-50-short", "path-choice-direct-200", "path-choice-hubs-200", "path-search-200",
)  # fmt: skip
FULL: Final = (
    "mesh-50", "hubs-1000", "mesh-1000",
    "path-choice-direct-1000", "path-choice-hubs-1000", "path-search-1000",
)  # fmt: skip


@click.command()
@click.option("--full", is_flag=True,
              help="Measure the bars of scale: 3.2 GB of memory, and half an hour for five "
                   "runs of the smaller ones, hours for the largest.")  # fmt: skip
@click.option("--only", type=click.Choice(SMALL + FULL), multiple=True, metavar="NAME",
              help=f"Measure this alone: {', '.join(SMALL + FULL)}. Repeatable.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1, 100), metavar="N", default=5, show_default=True,
              help="How often each thing is measured.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything as one line of JSON.")
def command(*, full: bool, only: Sequence[str], runs: int, as_json: bool) -> int:
    """Measure simulation and path choice on this machine, beside other tools.

    Scenarios run as whole commands; plain SimPy and ns.py simulate a part of the same
    tunnels, networkx searches the same graph. Figures are medians, with the least and the
    greatest. Nothing is judged by them.
    """
    from patronus.control.benchmarks import lines_of, machine_lines
    from patronus.control.endings import INVALID, Failure
    from patronus.control.progress import Progress
    from patronus.sim.benchmarks.machine import machine
    from patronus.sim.benchmarks.whole import CommandError

    wanted = [n for n in SMALL + FULL if n in only] if only else list(FULL if full else SMALL)
    facts, records = machine(), list[dict[str, Any]]()
    if not as_json:
        click.echo("\n".join([*machine_lines(facts), f"runs       {runs}", ""]))
    try:
        with Progress("measuring") as progress:
            for record in _measured(wanted, runs, progress):
                records.append(record)
                if not as_json:
                    with progress.hidden():
                        click.echo("\n".join([*lines_of(record), ""]))
    except CommandError as error:
        raise Failure(f"{error}\nnothing is concluded of it", INVALID) from error
    finally:
        if as_json:
            whole = {
                "machine": facts, "runs": runs, "measures": records,
                "finished": len(records) == len(wanted),
            }  # fmt: skip
            click.echo(json.dumps(whole, sort_keys=True, allow_nan=False, ensure_ascii=False))
    return 0


def _measured(wanted: Sequence[str], runs: int, progress: "Progress") -> "Iterator[dict[str, Any]]":
    from patronus.sim.benchmarks import cases
    from patronus.sim.benchmarks.measures import case_record, choice_record, search_record

    scenarios = {case.name: case for case in cases.SMALL + cases.FULL}
    for number, name in enumerate(wanted):
        progress.at(f"measuring {name}", number / len(wanted))
        if name in scenarios:
            yield case_record(scenarios[name], runs)
            continue
        kind, size = name.rsplit("-", 1)
        if kind == "path-search":
            yield search_record(int(size), runs)
        else:
            yield choice_record(kind.removeprefix("path-choice-"), int(size), runs)
