"""What a search has tried and found, on disk as soon as it is known.

    search.json              what is searched: seed, size, version
    tried.jsonl              one line a schedule, in the order in which they ended
    NUMBER-CHECK.patronus.yml          a finding as it was drawn
    NUMBER-CHECK.small.patronus.yml    the same, as small as it is by now

A finding is written before its line, and a line that was cut off by a kill is taken for
not written: its schedule runs again. So nothing that was found is lost, and a search
goes on where it was.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from patronus.sim.fuzzing.attempts import Attempt
from patronus.sim.whole import put

FORMAT: Final = 1
SUFFIX: Final = ".patronus.yml"


class LedgerError(ValueError):
    """A folder that cannot hold this search; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Search:
    """What makes two searches the same."""

    seed: int
    sites: int | None
    version: str
    """Of Patronus: another one may draw other schedules."""


class Ledger:
    """The folder of a search."""

    def __init__(self, folder: Path, search: Search) -> None:
        """Open the folder of a search, or begin one.

        Raises:
            LedgerError: it holds something else, or another search.
            OSError: it cannot be written.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        head = folder / "search.json"
        if head.exists():
            _check_same(head, search)
        elif any(folder.iterdir()):
            raise LedgerError(f"{folder} holds other files; choose a new folder")
        else:
            put(head, (json.dumps({"format": FORMAT, **asdict(search)}) + "\n").encode())
        self._path = folder / "tried.jsonl"
        self.tried: dict[int, dict[str, Any]] = {r["number"]: r for r in self._records()}
        """Records by number."""
        self._file = self._path.open("ab")

    def _records(self) -> Iterator[dict[str, Any]]:
        """Yield the whole lines; what a kill left of one is taken away."""
        if not self._path.exists():
            return
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise LedgerError(f"{self._path}:{number} is no record: {error}") from error

    def note(self, attempt: Attempt) -> None:
        """Write down what came of a schedule; it is on disk afterwards if it is a finding."""
        record = {
            "number": attempt.number,
            "check": attempt.verdict.check,
            "count": attempt.verdict.count,
            "told": attempt.verdict.told,
            "journal": attempt.verdict.journal,
            "at_ns": attempt.verdict.at_ns,
            "faults": attempt.faults,
            "again": attempt.again,
            "simulated_s": attempt.simulated_s,
            "wall_s": round(attempt.wall_s, 3),
        }
        self.tried[attempt.number] = record
        self._file.write((json.dumps(record) + "\n").encode())
        self._file.flush()
        if attempt.verdict:
            os.fsync(self._file.fileno())

    def keep(self, number: int, check: str, text: str, *, small: bool) -> Path:
        """Write a finding's scenario and return its file."""
        path = self.path(number, check, small=small)
        put(path, text.encode())
        return path

    def path(self, number: int, check: str, *, small: bool) -> Path:
        """Return the file of a finding."""
        return self.folder / f"{number}-{check}{'.small' if small else ''}{SUFFIX}"

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Records of findings by number."""
        return [r for _, r in sorted(self.tried.items()) if r["check"]]

    def shrunk(self, number: int, check: str) -> bool:
        """Tell whether a finding has been shrunk to its end."""
        return self._done(number, check).exists()

    def finish(self, number: int, check: str, record: dict[str, Any]) -> None:
        """Note that a finding is as small as it gets."""
        put(self._done(number, check), (json.dumps(record) + "\n").encode())

    def outcome(self, number: int, check: str) -> dict[str, Any]:
        """Return what :meth:`finish` was given."""
        loaded: dict[str, Any] = json.loads(self._done(number, check).read_bytes())
        return loaded

    def _done(self, number: int, check: str) -> Path:
        return self.folder / f"{number}-{check}.shrunk.json"

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _check_same(head: Path, search: Search) -> None:
    try:
        there = json.loads(head.read_bytes())
    except ValueError as error:
        raise LedgerError(f"{head} is not the head of a search: {error}") from error
    if not isinstance(there, dict) or there.pop("format", None) != FORMAT:
        raise LedgerError(f"{head} is not the head of a search of this format")
    wanted = asdict(search)
    other = [key for key in wanted if there.get(key) != wanted[key]]
    if other:
        key = other[0]
        raise LedgerError(
            f"{head.parent} holds a search with {key} {there.get(key)}, not {wanted[key]}; "
            "choose a new folder"
        )
