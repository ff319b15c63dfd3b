"""Run folders: what a run leaves on disk, written whole or not at all.

A folder is filled under a temporary name beside its place and renamed when it
is complete, so whatever carries the asked-for name can be trusted. Durations that
were never reached stay ``NEVER`` in the tables; JSON has no infinity, so figures
that are not finite are null there. ``docs/report.md`` lists the files.
"""

import errno
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from patronus.sim.report import render_run, render_runs
from patronus.sim.report.verdicts import Judged, overall, recorded
from patronus.sim.run import DECISIONS, DETECTIONS, FAILOVERS, FAULTS, HEALTH, SERIES, Run

_TEXT: Final = frozenset(
    {
        "site", "destination", "class", "from", "to", "reason", "fault", "peer", "transport",
        "layer", "kind", "path_before", "path_after", "moved_by", "path", "state", "label",
        "quantity", "verified",
    }
)  # fmt: skip
"""The columns of text; every other one is an int64, but for the map ``numbers``."""

_ROWS_AT_ONCE: Final = 2**18

Where = str | os.PathLike[str]
"""A place in the file system."""

_MAP: Final = pa.map_(pa.string(), pa.int64())


def _schema(columns: tuple[str, ...]) -> pa.Schema:
    kinds = {c: pa.string() if c in _TEXT else pa.int64() for c in columns}
    if "numbers" in kinds:
        kinds["numbers"] = _MAP
    return pa.schema([pa.field(name, kind) for name, kind in kinds.items()])


SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    "decisions": _schema(DECISIONS),
    "detections": _schema(DETECTIONS),
    "failovers": _schema(FAILOVERS),
    "series": _schema(SERIES),
    "health": _schema(HEALTH),
    "faults": _schema(FAULTS),
}
"""The Parquet tables by name; the types do not depend on what a run holds."""


class FolderError(Exception):
    """A run folder cannot be written or read; the message says which and why."""


def check_free(directory: Where) -> None:
    """Raise :class:`FolderError` now if :func:`write_run` could not write there later."""
    try:
        _check_free(Path(directory))
    except OSError as error:
        raise FolderError(f"cannot write {directory}: {error.strerror or error}") from error


def _check_free(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()):
        raise FolderError(f"{directory} already holds files; choose a new folder")
    if directory.exists() and not directory.is_dir():
        raise FolderError(f"{directory} is a file; choose a new folder")
    nearest = next(p for p in directory.absolute().parents if p.exists())
    if not nearest.is_dir():
        raise FolderError(f"cannot write {directory}: {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise FolderError(f"cannot write {directory}: no permission to write in {nearest}")


def write_run(
    run: Run, judgements: Iterable[Judged], directory: Where, *, junit: bytes | None = None
) -> None:
    """Write one run with its report; an existing folder that holds files is left alone.

    Raises:
        FolderError: it cannot be written; nothing is left behind under that name.
    """
    with complete(Path(directory)) as partial:
        _fill(run, tuple(judgements) or recorded(run.summary), partial)
        _write_junit(junit, partial)


def write_runs(
    runs: Sequence[Run],
    judgements: Iterable[Judged],
    directory: Where,
    *,
    summary: Mapping[str, Any] | None = None,
    junit: bytes | None = None,
) -> None:
    """Write the runs of several seeds: a folder each, and a summary and report over all.

    ``judgements`` are those over all seeds; ``summary`` adds to, or replaces, keys of the
    summary over all.

    Raises:
        FolderError: as :func:`write_run`; also when there is no run or a seed comes twice.
    """
    if not runs or len({run.seed for run in runs}) != len(runs):
        raise FolderError("a folder of runs needs at least one run and each seed once")
    judged = tuple(judgements)
    whole = {**_over_all(runs, judged), **(summary or {})}
    with complete(Path(directory)) as partial:
        for run in runs:
            (partial / _seed_folder(run)).mkdir()
            _fill(run, recorded(run.summary), partial / _seed_folder(run))
        write_json(partial / "summary.json", whole)
        page = render_runs(runs, judged, whole)
        (partial / "report.html").write_text(page, encoding="utf-8")
        _write_junit(junit, partial)


def load_run(directory: Where) -> Run:
    """Read one run back.

    Raises:
        FolderError: it is no run folder, is damaged, or holds the runs of several seeds.
    """
    directory = Path(directory)
    summary = _read_summary(directory)
    if "runs" in summary:
        first = directory / Path(summary["runs"][0]["folder"]).name
        raise FolderError(
            f"{directory} holds the runs of {len(summary['runs'])} seeds; name one of them, "
            f"such as {first} (in Python, load_runs reads all)"
        )
    for key, kind in _NEEDED.items():
        if not isinstance(summary.get(key), kind):
            raise _damaged(directory / "summary.json", f"it does not say what `{key}` is")
    return Run(
        name=summary["name"],
        seed=summary["seed"],
        summary=summary,
        topology=_read_topology(directory / "topology.json"),
        journal=_read_journal(directory / "journal.jsonl", summary["journal_sha256"]),
        trace=_read_trace(directory),
        **{name: _read_table(directory / f"{name}.parquet") for name in SCHEMAS},
    )


def load_runs(directory: Where) -> tuple[Run, ...]:
    """Read the runs of all seeds in order; a folder of one run gives that one.

    Raises:
        FolderError: as :func:`load_run`.
    """
    directory = Path(directory)
    summary = _read_summary(directory)
    if "runs" not in summary:
        return (load_run(directory),)
    return tuple(load_run(directory / Path(entry["folder"]).name) for entry in summary["runs"])


@contextmanager
def complete(directory: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes its name only when all went well."""
    check_free(directory)
    partial = directory.parent / f".{directory.name}.{uuid4().hex[:8]}.partial"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        _take_name(partial, directory)
    except OSError as error:
        why = error.strerror or str(error)
        raise FolderError(f"cannot write {directory}: {why}; nothing was left there") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


_RIVALS: Final = 100


def _take_name(partial: Path, directory: Path) -> None:
    """Rename a finished folder; what somebody else has filled meanwhile is left alone."""
    others = (directory.with_name(f"{directory.name}-{n}") for n in range(2, _RIVALS))
    place = next((p for p in (directory, *others) if _renamed(partial, p)), None)
    if place is None:
        raise FolderError(
            f"{directory} and {_RIVALS} names like it were filled by others meanwhile"
        )
    if place != directory:
        raise FolderError(
            f"{directory} was filled by another run meanwhile; this one is in {place}"
        )


def _renamed(partial: Path, place: Path) -> bool:
    # rename(2) replaces an empty folder and refuses any other, so two writers cannot mix.
    try:
        partial.rename(place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def _fill(run: Run, judgements: tuple[Judged, ...], folder: Path) -> None:
    summary = {"interrupted": False, **run.summary, "name": run.name, "seed": run.seed}
    if judgements:
        summary["expectations"] = [j.record() for j in judgements]
        summary.setdefault("verdict", overall(judgements))
    write_json(folder / "summary.json", summary)
    write_json(folder / "topology.json", run.topology)
    (folder / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in run.journal))
    for name, schema in SCHEMAS.items():
        frame: pd.DataFrame = getattr(run, name)
        with pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd") as out:
            # In parts, so that a million rows of text are not all there at once.
            for start in range(0, max(1, len(frame)), _ROWS_AT_ONCE):
                out.write_table(to_table(name, frame.iloc[start : start + _ROWS_AT_ONCE]))
    if run.trace:
        (folder / "trace.txt").write_text("\n".join(run.trace) + "\n", encoding="utf-8")
    page = render_run(run, judgements)
    (folder / "report.html").write_text(page, encoding="utf-8")


def to_table(name: str, frame: pd.DataFrame) -> pa.Table:
    """Return a frame of :class:`Run` as the Arrow table of that name, types fixed.

    Raises:
        KeyError: a column is missing.
        pyarrow.ArrowInvalid: a value does not fit its column.
    """
    schema = SCHEMAS[name]
    columns = [
        _pack_numbers(frame[field.name])
        if field.name == "numbers"
        else _packed(frame[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _packed(column: "pd.Series[Any]", kind: pa.DataType) -> pa.Array:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return pa.Array.from_pandas(column, type=kind)
    # Names by their numbers: Arrow would go through a Python string for each row.
    return pa.array(column.cat.categories, type=kind).take(pa.array(column.cat.codes.to_numpy()))


def _pack_numbers(numbers: Iterable[Mapping[str, int]]) -> pa.Array:
    # Three flat arrays: some ten times quicker than handing Arrow a dict a row.
    rows = list(numbers)
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    keys = pa.array(chain.from_iterable(rows), type=pa.string())
    values = pa.array(chain.from_iterable(row.values() for row in rows), type=pa.int64())
    return pa.MapArray.from_arrays(pa.array(offsets, type=pa.int32()), keys, values)


_NUMBER: Final = (int, float)

_NEEDED: Final[Mapping[str, type | tuple[type, ...]]] = {
    "name": str, "seed": int, "verdict": str, "expectations": list, "counts": dict,
    "checks": dict, "false_alarms": int, "warmup_s": _NUMBER, "simulated_s": _NUMBER,
    "wall_s": _NUMBER, "decisions_sha256": str, "journal_sha256": str,
}  # fmt: skip
"""What a summary has, or the folder was not written by us."""


def _damaged(path: Path, why: str) -> FolderError:
    return FolderError(f"{path.parent} is not a complete run folder: {path.name}: {why}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file in whatever goes wrong with reading it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FolderError(
            f"{path.parent} is not a complete run folder: it has no {path.name}"
        ) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _damaged(path, why) from error


def _read_journal(path: Path, fingerprint: object) -> tuple[bytes, ...]:
    with _reading(path):
        journal = path.read_bytes()
    if sha256(journal).hexdigest() != fingerprint:
        raise _damaged(path, "it is not the one that this run wrote (journal_sha256 differs)")
    return tuple(journal.splitlines())


def _read_topology(path: Path) -> Any:
    with _reading(path):
        loaded = json.loads(path.read_bytes())
    parts = ("sites", "nodes", "links", "failed", "failed_sites")
    if not isinstance(loaded, dict) or any(not isinstance(loaded.get(p), list) for p in parts):
        raise _damaged(path, "it does not hold a network")
    return loaded


def _read_table(path: Path) -> pd.DataFrame:
    with _reading(path):
        table = pq.ParquetFile(path).read()
    if not table.schema.equals(SCHEMAS[path.stem]):
        raise _damaged(path, "its columns are not those of this table")
    packed = [name for name in table.column_names if name == "numbers"]
    frame: pd.DataFrame = table.drop_columns(packed).to_pandas()
    for name in packed:
        rows = [dict(row) for row in table.column(name).to_pylist()]
        frame.insert(table.column_names.index(name), name, pd.Series(rows, dtype=object))
    return frame


def _read_summary(directory: Path) -> dict[str, Any]:
    try:
        loaded = json.loads((directory / "summary.json").read_bytes())
    except FileNotFoundError as error:
        raise FolderError(f"{directory} is not a run folder: it has no summary.json") from error
    except NotADirectoryError as error:
        raise FolderError(f"{directory} is a file; a run is a folder") from error
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot read {directory / 'summary.json'}: {error}") from error
    if not isinstance(loaded, dict):
        raise FolderError(f"{directory / 'summary.json'} does not hold a summary")
    return loaded


def _read_trace(directory: Path) -> tuple[str, ...]:
    path = directory / "trace.txt"
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()


def _write_junit(junit: bytes | None, folder: Path) -> None:
    if junit is not None:
        (folder / "junit.xml").write_bytes(junit)


def write_json(path: Path, value: object) -> None:
    """Write a value in the one way in which all our JSON is written."""
    text = json.dumps(_plain(value), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    """Return the value as JSON can say it; what is not finite is null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _seed_folder(run: Run) -> str:
    return f"seed-{run.seed}"


def _over_all(runs: Sequence[Run], judgements: tuple[Judged, ...]) -> dict[str, Any]:
    first = runs[0].summary
    same = ("backend", "mode", "versions", "about", "path", "command")
    return {
        "name": runs[0].name,
        **{key: first[key] for key in same if key in first},
        "seeds": [run.seed for run in runs],
        "interrupted": any(run.summary.get("interrupted", False) for run in runs),
        "verdict": overall(judgements),
        "expectations": [j.record() for j in judgements],
        "runs": [{"seed": r.seed, "folder": _seed_folder(r), **_brief(r.summary)} for r in runs],
    }


def _brief(summary: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("verdict", "decisions_sha256", "journal_sha256", "failover_ms", "outage_ms", "wall_s")
    return {key: summary[key] for key in keys if key in summary}
