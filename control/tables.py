"""Plain tables for the terminal: columns of text, no frames."""

from collections.abc import Iterable, Sequence
from typing import Final

import click

GAP: Final = "  "

_COLOURS: Final = {
    "pass": "green", "fail": "red", "undecided": "yellow", "invalid": "yellow", "none": "cyan",
}  # fmt: skip


def table(rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Return the rows as lines in aligned columns.

    Args:
        rows: cells as text; colours do not count as width.
        right: the columns whose text stands at the right.
    """
    cells = [list(row) for row in rows]
    widths = [
        max(len(click.unstyle(row[column])) for row in cells if column < len(row))
        for column in range(max(map(len, cells), default=0))
    ]
    return [_line(row, widths, right) for row in cells]


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    parts = []
    for column, cell in enumerate(row):
        room = " " * (widths[column] - len(click.unstyle(cell)))
        parts.append(room + cell if column in right else cell + room)
    return GAP.join(parts).rstrip()


def stamp(verdict: str) -> str:
    """Return a verdict as it stands in a table."""
    return click.style(verdict.upper(), fg=_COLOURS.get(verdict), bold=True)


def indented(lines: Iterable[str]) -> list[str]:
    """Return the lines two columns to the right."""
    return [f"  {line}" for line in lines]


def counted(number: int, noun: str) -> str:
    """Return "1 seed" or "1,200 seeds"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, on one line."""
    head, stop, _ = " ".join(text.split()).partition(". ")
    return head + stop.strip()
