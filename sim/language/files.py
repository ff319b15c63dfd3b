"""Reads files: bounded, as UTF-8, each failure one clear mistake."""

import os
from pathlib import Path
from typing import Final

from patronus.sim.language.mistakes import Mark, Mistake, Source, did_you_mean
from patronus.sim.language.tree import lines_of

YAML_BYTES: Final = 1 << 20
"""A scenario of a thousand sites needs 60 kB; long tables are CSV files."""

CSV_BYTES: Final = 16 << 20
"""Delays of some 500 sites in full mesh; beyond that a generated topology is meant."""


def read_source(
    path: str,
    limit: int,
    found: list[Mistake],
    named_at: Mark | None = None,
    noun: str = "a scenario",
) -> tuple[Source, str] | None:
    """Return a file's text, or None and a mistake at the place that named the file.

    ``noun`` says what such a file holds.
    """
    try:
        with Path(path).open("rb") as file:
            # One byte more than allowed tells a full file from one that is too large.
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        found.append(_unreadable(path, error, named_at))
        return None
    what, expected = _refusal(data, limit, noun)
    if what:
        found.append(Mark(Source(path)).mistake(what, expected))
        return None
    text = data.decode("utf-8-sig")
    return Source(path, lines_of(text)), text


def beside(path: str, other: str) -> str:
    """Return a file name as seen from the file that names it."""
    return os.path.normpath(Path(path).parent / other)


def _unreadable(path: str, error: OSError | ValueError, named_at: Mark | None) -> Mistake:
    if isinstance(error, IsADirectoryError):
        what, expected = "this is a directory", "a file"
    elif isinstance(error, FileNotFoundError):
        what, expected = "no such file", "a file that exists"
    else:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        what, expected = f"cannot be read: {reason}", "a readable file"
    if named_at is None:
        return Mark(Source(path)).mistake(what, expected, _neighbour(path))
    return named_at.mistake(f"{path}: {what}", expected, _neighbour(path))


def _neighbour(path: str) -> str:
    try:
        beside_it = [p.name for p in Path(path).parent.iterdir() if p.suffix in _SUFFIXES]
    except (OSError, ValueError):
        return ""
    name = Path(path).name
    return did_you_mean(name, beside_it) if name not in beside_it else ""


_SUFFIXES: Final = (".yml", ".yaml", ".csv")


def _refusal(data: bytes, limit: int, noun: str) -> tuple[str, str]:
    if len(data) > limit:
        return f"larger than {limit >> 20} MiB", "a smaller file; long tables can be CSV files"
    if not data.strip():
        return "the file is empty", f"{noun}, which begins with `version: 1`"
    if b"\0" in data:
        return "this is a binary file, not text", "text in UTF-8"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8 (byte {error.start})", "text in UTF-8"
    return "", ""
