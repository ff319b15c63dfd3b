"""``patronus fuzz``: look for a bad day that breaks the engine."""

import json
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.sim.fuzzing.ledger import Ledger

_SCHEDULES: Final = 100
"""Where neither a number nor a time is given."""


@click.command()
@click.option("--seed", type=click.IntRange(0, options.SEED_MOST), default=1, show_default=True,
              help="Seed of all schedules.")  # fmt: skip
@click.option("--schedules", type=click.IntRange(1), metavar="N",
              help=f"Try so many (default: {_SCHEDULES}, or with --minutes no limit).")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="M",
              help="Begin no schedule after so long.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Schedules at a time.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True,
              help="Folder of the search; one that is there goes on where it was.")  # fmt: skip
@click.option("--sites", type=click.IntRange(2, 1_000), metavar="N",
              help="Full meshes of so many sites instead of small networks.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON.")
def command(
    *,
    seed: int,
    schedules: int | None,
    minutes: float | None,
    jobs: int,
    out: Path,
    sites: int | None,
    as_json: bool,
) -> int:
    """Draw networks, policies and swarms of faults, and shrink what breaks.

    Invariants are watched while faults last and when they are over. Each finding becomes
    a scenario file that `patronus run` shows again. The exit code is 0 if nothing was
    found, 1 if something was, 2 for bad input.
    """
    from patronus.control.endings import FAIL, PASS, Failure
    from patronus.control.progress import Progress
    from patronus.sim.fuzzing.campaign import Campaign, Wanted
    from patronus.sim.fuzzing.ledger import Ledger, LedgerError, Search

    if schedules is None and minutes is None:
        schedules = _SCHEDULES
    seconds = None if minutes is None else minutes * 60
    wanted = Wanted(seed, sites, schedules, seconds, jobs)
    try:
        ledger = Ledger(out, Search(seed, sites, version("patronus")))
    except (LedgerError, FileExistsError, NotADirectoryError, PermissionError) as error:
        raise Failure(f"--out: {error}") from error
    try:
        with Progress("drawing") as progress:
            campaign = Campaign(wanted, ledger, progress.at)
            campaign.search()
            campaign.shrink()
    finally:
        # Also after Ctrl-C: what was found until then is on disk, and worth knowing.
        ledger.close()
        click.echo(_as_json(ledger) if as_json else "\n".join(_lines(ledger)))
    return FAIL if ledger.findings else PASS


def summary(ledger: "Ledger") -> dict[str, Any]:
    """Return what a search came to."""
    records, findings = list(ledger.tried.values()), ledger.findings
    return {
        "schedules": len(records),
        "simulated_s": round(sum(r["simulated_s"] for r in records), 3),
        "wall_s": round(sum(r["wall_s"] for r in records), 3),
        "in_two_modes": sum(r["again"] for r in records),
        "findings": dict(Counter(r["check"] for r in findings)),
        "shrunk": [
            ledger.outcome(r["number"], r["check"])
            for r in findings
            if ledger.shrunk(r["number"], r["check"])
        ],
        "folder": str(ledger.folder),
    }


def _as_json(ledger: "Ledger") -> str:
    return json.dumps(summary(ledger), sort_keys=True, allow_nan=False)


def _lines(ledger: "Ledger") -> list[str]:
    from patronus.control.tables import counted

    told = summary(ledger)
    times = told["simulated_s"] / (told["wall_s"] or 1.0)
    work = f"{told['simulated_s']:,.0f} simulated seconds in {told['wall_s']:,.0f} s of work"
    lines = [
        f"{counted(told['schedules'], 'schedule')}, {told['in_two_modes']} of them in two modes",
        f"{work}: {times:.0f} times real time",
    ]
    for check, number in sorted(told["findings"].items()):
        lines.append(f"{check}: broken by {counted(number, 'schedule')}")
    for found in told["shrunk"]:
        lines.append(
            f"  {ledger.folder / found['file']}: {counted(found['faults'], 'fault')} of "
            f"{found['faults_before']}, {counted(found['sites'], 'site')}\n    {found['told']}"
        )
    return [*lines, "Nothing was found." if not told["findings"] else "Something was found."]
