"""``patronus sweep``: scenarios under many parameters and seeds, one table out."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.sim.sweep.grid import Grid

Read = TypeVar("Read")


@click.command()
@options.files
@click.option("--param", "params", multiple=True, metavar="KEY=VALUES",
              help="Vary a key: policy.hold=1s,2s; ranges as 10..50/10. Repeatable.")  # fmt: skip
@click.option("--seeds", "seeds_text", metavar="SEEDS",
              help="Seeds of each, such as 1..20 or 3,5,9 (default: the scenario's).")  # fmt: skip
@options.settings
@click.option("--jobs", type=click.IntRange(1), metavar="N",
              help="Worker processes of our own (default: one for two points, up to the "
                   "processors); 1 is this process.")  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", default="",
              help="Run on the workers of this Dask scheduler: tcp://10.0.0.1:8786.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the sweep; one that was interrupted goes on there (default: "
                   "runs/NAME-sweep-1, -2 and so on).")  # fmt: skip
@click.option("--stop-at", "until_ns", callback=options.duration, metavar="TIME",
              help="End each run at this time, for instance 30s.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON.")
def command(
    files: Sequence[str],
    *,
    params: Sequence[str],
    seeds_text: str | None,
    jobs: int | None,
    scheduler: str,
    out: Path | None,
    as_json: bool,
    **same: Any,
) -> int:
    """Run scenarios under each combination of parameters and each seed.

    The folder holds sweep.parquet, a row a point. Repeat the command with the same --out
    to go on after an interruption. The exit code is that of the gravest point: 4 if one
    could not be run, then as of `patronus run`.
    """
    from patronus.sim.sweep.axes import axis, seeds
    from patronus.sim.sweep.grid import Grid
    from patronus.sim.sweep.verb import read

    if scheduler and jobs is not None:
        raise click.UsageError("`--jobs` are workers of our own, `--scheduler` has others")
    axes = [_read(axis, text, "--param") for text in params]
    numbers = () if seeds_text is None else _read(seeds, seeds_text, "--seeds")
    grid = _read(
        lambda drafts: Grid(drafts, axes, numbers, **same),
        read(files),
        "--param",
    )
    workers = scheduler or options.worth(jobs, len(grid))
    return _swept(grid, workers, out, as_json=as_json)


def _read(reader: "Callable[[Any], Read]", given: object, option: str) -> Read:
    from patronus.sim.sweep.axes import GridError

    try:
        return reader(given)
    except GridError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _swept(grid: "Grid", workers: int | str, out: Path | None, *, as_json: bool) -> int:
    from patronus.control.progress import Progress
    from patronus.control.results import Reserved, file_name
    from patronus.control.sweeping import exit_code, going_on, outcome
    from patronus.control.tables import counted
    from patronus.sim.sweep.identity import identity
    from patronus.sim.sweep.ledger import Ledger
    from patronus.sim.sweep.study import Study, finish, place

    with Progress("preparing") as progress, Reserved() as reserved:
        witnesses = grid.witnesses()
        folder = out or reserved.folder(f"{file_name(witnesses[0].name)}-sweep")
        with Ledger(folder, grid.record(witnesses), identity()) as ledger:
            study = Study(grid, ledger)
            if ledger.damaged:
                files = counted(ledger.damaged, "file")
                click.echo(f"warning: {files} of finished points damaged; they run again", err=True)
            if study.left:
                with place(workers) as where, going_on(study, folder):
                    study.run(where, witnesses, lambda done, total: progress.at(
                        f"{done:,} of {total:,} points", done / total))  # fmt: skip
            progress.at("writing the table", 1.0)
            with going_on(study, folder):
                summary = {**finish(study, ledger), "folder": str(folder)}
    click.echo(json.dumps(summary, sort_keys=True) if as_json else outcome(grid, summary))
    return exit_code(summary)
