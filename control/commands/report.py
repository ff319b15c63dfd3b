"""``patronus report``: make the report of a run anew from what is in its folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def command(folder: Path) -> int:
    """Rebuild report.html of a run folder, and of each seed in it."""
    from patronus.control.progress import Progress
    from patronus.control.results import replace_file

    with Progress("reading") as progress:
        for path, page in _pages(folder):
            replace_file(path, page.encode())
            with progress.hidden():
                click.echo(str(path))
    return 0


def _pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the reports by their places, the one over all seeds last."""
    from patronus.sim.folder import load_runs
    from patronus.sim.report import recorded, render_run, render_runs

    runs = load_runs(folder)
    summary = json.loads((folder / "summary.json").read_bytes())
    if "runs" not in summary:
        yield folder / "report.html", render_run(runs[0], recorded(summary))
        return
    for run, entry in zip(runs, summary["runs"], strict=True):
        place = folder / Path(entry["folder"]).name / "report.html"
        yield place, render_run(run, recorded(run.summary))
    yield folder / "report.html", render_runs(runs, recorded(summary), summary)
