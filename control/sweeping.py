"""What came of a sweep, for the terminal, and how one that was stopped goes on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from patronus.control.endings import BY_VERDICT, INTERRUPTED, INVALID, Failure, code_of, worst
from patronus.control.options import again
from patronus.control.outcome import duration
from patronus.control.tables import counted, indented, stamp, table
from patronus.sim.folder import FolderError
from patronus.sim.language.quantities import shown
from patronus.sim.sweep.grid import Grid
from patronus.sim.sweep.places import SweepError
from patronus.sim.sweep.study import Study

if TYPE_CHECKING:
    import pandas as pd

CASES: Final = 30
"""Cases that are told one by one; the table has all."""

FAILURES: Final = 5

_VERDICTS: Final = ("pass", "fail", "undecided", "none")

_FIGURE: Final = "failover.p99_ms"


@contextmanager
def going_on(study: Study, folder: Path) -> Iterator[None]:
    """Say of whatever stops a sweep how much is kept, and how to go on.

    Raises:
        Failure: with the exit code of what stopped it.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise Failure(f"interrupted; {_kept(study, folder)}", INTERRUPTED) from error
    except SweepError as error:
        raise Failure(f"{error}; {_kept(study, folder)}", INVALID) from error
    except FolderError as error:
        raise Failure(f"{error}; {_kept(study, folder)}", code_of(error)) from error


def _kept(study: Study, folder: Path) -> str:
    if not study.done:
        return "no point was finished"
    points = f"{study.done:,} of {counted(len(study.grid), 'point')}"
    return f"{points} are kept, and the same command goes on with `--out {folder}`"


def exit_code(summary: Mapping[str, Any]) -> int:
    """Return the exit code of the gravest point."""
    codes = [BY_VERDICT[verdict] for verdict in summary["verdicts"]]
    return worst([*codes, INVALID] if summary["failed"] else codes)


def outcome(grid: Grid, summary: Mapping[str, Any]) -> str:
    """Return what ``patronus sweep`` prints.

    Args:
        grid: of the sweep.
        summary: of :func:`patronus.sim.sweep.study.finish`, and its ``folder``.
    """
    import pandas as pd

    file = Path(summary["folder"]) / summary["table"]
    frame = pd.read_parquet(file, columns=["point", "status", "verdict", _FIGURE])
    lines = [_headline(grid, summary), "", *indented(_cases(grid, frame))]
    if summary["failed"]:
        lines += ["", f"{counted(summary['failed'], 'point')} failed:", *_failures(grid, summary)]
    return "\n".join([*lines, "", f"  table             {file}"])


def _headline(grid: Grid, summary: Mapping[str, Any]) -> str:
    parts = [
        f"{counted(summary['points'], 'point')}: {counted(len(grid.drafts), 'scenario')}",
        *(f"{len(axis.values):,} × {axis.key}" for axis in grid.axes),
        counted(max(1, len(grid.seeds)), "seed"),
        f"{summary['wall_s']:.1f} s",
    ]
    kept = f" ({summary['kept']:,} kept from before)" if summary["kept"] else ""
    return ", ".join(parts) + kept


def _cases(grid: Grid, frame: "pd.DataFrame") -> list[str]:
    seeds = max(1, len(grid.seeds))
    several = len(grid.drafts) > 1
    head = [*(["scenario"] if several else []), *(axis.key for axis in grid.axes)]
    rows = [[*head, "points", *_VERDICTS[:3], "failed", "failover p99"]]
    for case in range(min(grid.cases, CASES)):
        part = frame.iloc[case * seeds : (case + 1) * seeds]
        name = [Path(grid.drafts[grid.case(case).draft].name).name] if several else []
        verdicts = [f"{(part['verdict'] == verdict).sum():,}" for verdict in _VERDICTS[:3]]
        failed = f"{(part['status'] == 'failed').sum():,}"
        rows.append([*name, *grid.values(case), f"{len(part):,}", *verdicts, failed, _p99(part)])
    lines = table(rows, right=range(len(head), len(rows[0])))
    more = grid.cases - CASES
    return [*lines, f"… and {counted(more, 'more case')}"] if more > 0 else lines


def _p99(part: "pd.DataFrame") -> str:
    """Return the median over the seeds."""
    values = part[_FIGURE].to_numpy(np.float64, na_value=np.nan)
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        return "-"
    middle = float(values[(len(values) - 1) // 2])
    return "never" if np.isinf(middle) else duration(middle)


def _failures(grid: Grid, summary: Mapping[str, Any]) -> Iterator[str]:
    for told in summary["failures"][:FAILURES]:
        words = ["run", told["file"]]
        words += ["--seed", str(told["seed"])] if told["seed"] >= 0 else []
        for setting in told["settings"]:
            words += ["--set", setting]
        yield f"  {stamp('invalid')} point {told['point']}: {told['error']}"
        words += ["--stop-at", shown(grid.until_ns)] if grid.until_ns else []
        yield f"    {again(*words)}"
    if summary["failed"] > FAILURES:
        yield f"  … and {summary['failed'] - FAILURES:,} more in the table"
