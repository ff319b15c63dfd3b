"""Which Patronus this is: results of two of them do not belong into one table."""

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import patronus


class Identity(NamedTuple):
    """A version and what its simulator is made of, so that two states of a checkout differ."""

    version: str
    code_sha256: str

    def __str__(self) -> str:
        return f"Patronus {self.version} (code {self.code_sha256[:12]})"


@cache
def identity() -> Identity:
    """Return that of this process."""
    whole = hashlib.sha256()
    root = Path(patronus.__file__).parent
    for name, file in sorted(_files(root)):
        whole.update(name.encode() + b"\0")
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return Identity(version("patronus"), whole.hexdigest())


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield all files of the simulator and what it is built on, by their names."""
    for part in ("engine", "dataplane", "sim"):
        for file in (root / part).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(root).as_posix(), file
