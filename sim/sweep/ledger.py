"""The folder of a sweep: what it is, and every finished point, whatever happens next.

    sweep.json          what is swept, by which Patronus
    points/*.json.gz    records of finished points, each file written whole or not at all
    sweep.parquet       the table (docs/sweep.md), once every point is there
    summary.json        counts, failures, times

A process that is killed leaves what it had finished; the same sweep goes on from there. A
file that is damaged, as after a power cut, is as good as none: its points run again.
"""

import fcntl
import gzip
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

from patronus.sim.folder import FolderError, Where, check_free
from patronus.sim.sweep.identity import Identity
from patronus.sim.sweep.points import Record
from patronus.sim.whole import put

MANIFEST: Final = "sweep.json"
TABLE: Final = "sweep.parquet"
SUMMARY: Final = "summary.json"
POINTS: Final = "points"

FORMAT: Final = 1
"""Of the folder; another number is another version's."""

BLOCK: Final = 10_000
"""Points whose records are held in memory at a time when the table is made."""

_NEVER: Final = "never"
"""Stands for an infinite figure: JSON has none."""

_SUFFIX: Final = ".json.gz"

_QUICK: Final = 1
"""Level of compression: records are much alike, so this makes them small enough."""


class Ledger:
    """Keeps records in a folder; a context manager, since one sweep at a time may."""

    def __init__(self, folder: Where, grid: Mapping[str, Any], identity: Identity) -> None:
        """Begin a sweep's folder, or open the one in which the same sweep was begun.

        Args:
            folder: new, empty, or of this sweep.
            grid: ``Grid.record``.
            identity: who runs it.

        Raises:
            FolderError: it belongs to something else, or cannot be written; nothing in it
                was changed.
        """
        self.folder = Path(folder)
        self.damaged = 0
        """Files that could not be read; their points count as not finished."""
        wanted = {"format": FORMAT, **identity._asdict(), "grid": dict(grid)}
        self._new = not self.folder.exists()
        with _writing(self.folder):
            if (self.folder / MANIFEST).exists():
                _compare(self.folder, _manifest(self.folder), wanted)
            else:
                self._begin(wanted)
            self._lock = _alone(self.folder)
            (self.folder / POINTS).mkdir(exist_ok=True)

    def _begin(self, manifest: Mapping[str, Any]) -> None:
        check_free(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
        put(self.folder / MANIFEST, f"{text}\n".encode())

    def keep(self, records: Sequence[Record]) -> None:
        """Write the records of some finished points of one block.

        Raises:
            FolderError: they cannot be written; those kept before are safe.
        """
        first = records[0].number
        name = f"{first // BLOCK:06}-{first:08}-{uuid4().hex[:8]}{_SUFFIX}"
        text = json.dumps([_plain(record) for record in records], allow_nan=False)
        with _writing(self.folder):
            put(self.folder / POINTS / name, gzip.compress(text.encode(), _QUICK, mtime=0))

    def blocks(self) -> Iterator[list[Record]]:
        """Yield what is kept, block by block, in the order of the points.

        Of a point that was tried more than once the finished record counts.
        """
        self.damaged = 0
        files = sorted((self.folder / POINTS).glob(f"*{_SUFFIX}"))
        by_block: dict[str, list[Path]] = {}
        for file in files:
            by_block.setdefault(file.name.partition("-")[0], []).append(file)
        for together in by_block.values():
            best: dict[int, Record] = {}
            for file in together:
                for record in self._read(file):
                    if record.number not in best or not record.failed:
                        best[record.number] = record
            yield [best[number] for number in sorted(best)]

    def _read(self, file: Path) -> list[Record]:
        try:
            return [_record(entry) for entry in json.loads(gzip.decompress(file.read_bytes()))]
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            self.damaged += 1
            return []

    def write(self, name: str, content: bytes) -> Path:
        """Write one file of the folder whole.

        Raises:
            FolderError: it cannot be written; what was there before still is.
        """
        with _writing(self.folder):
            put(self.folder / name, content)
        return self.folder / name

    @contextmanager
    def filling(self, name: str) -> Iterator[Path]:
        """Give a place to write to, which takes its name when all went well.

        Raises:
            FolderError: as :meth:`write`.
        """
        partial = self.folder / f".{name}.{uuid4().hex[:8]}.partial"
        try:
            with _writing(self.folder):
                yield partial
                partial.replace(self.folder / name)
        finally:
            partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)
        self._leave()

    def _leave(self) -> None:
        """Remove a folder in which nothing was kept: a sweep that never began is not there."""
        with suppress(OSError):  # points are kept, or somebody has removed the folder
            (self.folder / POINTS).rmdir()
            (self.folder / MANIFEST).unlink()
            if self._new:
                self.folder.rmdir()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise FolderError(f"cannot write {folder}: {why}") from error


def _alone(folder: Path) -> int:
    """Return what holds the folder for this process, until it is closed or the process ends."""
    lock = os.open(folder / MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise FolderError(f"another process is at work on the sweep in {folder}") from error
    return lock


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
    except ValueError as error:
        raise FolderError(f"{folder / MANIFEST} is damaged: {error}") from error
    if not isinstance(told, dict) or "format" not in told:
        raise FolderError(f"{folder / MANIFEST} does not say what is swept there")
    return told


def _compare(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a folder that holds anything else than what is wanted."""
    if found["format"] != wanted["format"] or found.get("version") != wanted["version"]:
        theirs = found.get("version", "of an unknown version")
        raise FolderError(
            f"{folder} was begun by Patronus {theirs}, this is {wanted['version']}; go on with "
            "that one, or choose a new folder"
        )
    if found.get("code_sha256") != wanted["code_sha256"]:
        raise FolderError(
            f"{folder} was begun by another state of Patronus {wanted['version']}, which may "
            "give other figures; choose a new folder"
        )
    theirs, ours = found.get("grid"), wanted["grid"]
    if theirs != ours:
        which = _differing(theirs if isinstance(theirs, dict) else {}, ours)
        raise FolderError(f"{folder} holds another sweep: {which}; choose a new folder")


_WORDS: Final = {
    "scenarios": "its scenarios are {}", "settings": "its settings are {}",
    "parameters": "its parameters are {}", "seeds": "its seeds are {}",
    "until_ns": "its runs end elsewhere", "sha256": "its scenarios said something else",
}  # fmt: skip


def _differing(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    for key, words in _WORDS.items():
        if theirs.get(key) != ours[key]:
            return words.format(_short(theirs.get(key)))
    return "it says more than this one"


def _short(value: object) -> str:
    """Return a list for a message, cut to its ends."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        value = [f"{v.get('key')}={','.join(map(str, v.get('values', ())))}" for v in value]
    words = [str(v) for v in value] if isinstance(value, list) else [str(value)]
    if len(words) > 4:
        words = [*words[:2], "…", words[-1]]
    return ", ".join(words) or "none"


def _plain(record: Record) -> dict[str, Any]:
    whole = asdict(record)
    if record.figures is not None:
        whole["figures"] = {k: _NEVER if v == math.inf else v for k, v in record.figures.items()}
    return whole


def _record(entry: dict[str, Any]) -> Record:
    told = entry["figures"]
    if told is not None:
        # A verdict or a fingerprint is never called like that.
        told = {k: math.inf if v == _NEVER else v for k, v in told.items()}
    return Record(**{**entry, "figures": told})
