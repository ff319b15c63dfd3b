"""Where results go: a folder for each scenario, chosen before anything is run."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from patronus.control.endings import INVALID, Failure
from patronus.control.rehearsal import Rehearsal
from patronus.sim.folder import FolderError, check_free
from patronus.sim.junit import Suite, junit
from patronus.sim.scenario import Scenario
from patronus.sim.whole import put

DEFAULT: Final = Path("runs")

_TRIES: Final = 100_000


class Results:
    """Keeps what came of scenarios; what was prepared for those that never ran is removed."""

    def __init__(
        self, scenarios: Sequence[Scenario], out: Path | None, junit_file: Path | None
    ) -> None:
        """Choose the folders and see that they can be written.

        Args:
            scenarios: as many folders as there are of these.
            out: the folder of the only scenario, or the one above those of several.
            junit_file: where the verdicts of all go; replaced if it is there.

        Raises:
            FolderError: a folder is in use or cannot be written.
        """
        names = [file_name(scenario.name) for scenario in scenarios]
        self._junit_file = junit_file
        self._suites: list[Suite] = []
        self._reserved = Reserved()
        if junit_file is not None:
            _check_file(junit_file)
        if out is None:
            self._folders = [self._reserved.folder(name) for name in names]
        else:
            self._folders = [out] if len(names) == 1 else _beneath(out, names)
        for folder in self._folders:
            check_free(folder)

    def keep(self, number: int, done: Rehearsal) -> Path:
        """Write what came of one scenario and return its folder.

        Raises:
            FolderError: it cannot be written.
        """
        self._suites.append(done.suite)
        done.write(self._folders[number])
        return self._folders[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reserved.free()
        if self._junit_file is not None and self._suites:
            replace_file(self._junit_file, junit(self._suites))


class Reserved:
    """Folders under :data:`DEFAULT` that are ours; a context manager removes the empty ones."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def folder(self, name: str) -> Path:
        """Take the first free number; making the folder keeps others from taking it too.

        Raises:
            FolderError: it cannot be made.
        """
        try:
            DEFAULT.mkdir(exist_ok=True)
            for number in range(1, _TRIES):
                folder = DEFAULT / f"{name}-{number}"
                with suppress(FileExistsError):
                    folder.mkdir()
                    self._folders.append(folder)
                    return folder
        except OSError as error:
            raise FolderError(
                f"cannot write {DEFAULT.absolute()}: {error.strerror}; --out names another place"
            ) from error
        raise FolderError(f"{DEFAULT} is full of {name}")

    def free(self) -> None:
        """Remove what nothing was put into."""
        for folder in (*self._folders, *([DEFAULT] if self._folders else [])):
            with suppress(OSError):  # it holds something now
                folder.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()


def file_name(name: str) -> str:
    """Return a scenario's name as a folder can be called."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "scenario"


def _beneath(out: Path, names: Sequence[str]) -> list[Path]:
    """Return a folder for each name; equal ones get a number."""
    taken: dict[str, int] = {}
    folders = []
    for name in names:
        taken[name] = taken.get(name, 0) + 1
        folders.append(out / (name if taken[name] == 1 else f"{name}-{taken[name]}"))
    return folders


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise Failure(f"cannot write {path}: it is a folder")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise Failure(f"cannot write {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Failure(f"cannot write {path}: no permission to write in {folder}")


def replace_file(path: Path, document: bytes) -> None:
    """Put a whole file in the place of one that may be there.

    Raises:
        Failure: it cannot be written; the old one is still there.
    """
    try:
        put(path, document)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", INVALID) from error
