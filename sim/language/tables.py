"""CSV tables as trees, so that they are read and reported like what stands in YAML.

Cells are separated by commas, semicolons or tabs (whichever the header has most
of) and may be quoted as in RFC 4180, but a cell ends with its line. Empty lines and lines
that begin with ``#`` are skipped.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from patronus.sim.language.mistakes import Mark, Mistake, Source, did_you_mean, one_of, quoted
from patronus.sim.language.tree import Entry, ListNode, MapNode, Node, Scalar

Cells = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns a table may have, and those it must have."""

    known: tuple[str, ...]
    required: tuple[str, ...]
    also: Mapping[str, str]
    """Other names of columns."""


SITES: Final = Columns(
    ("name", "lat", "lon", "hub", "region", "transports"),
    ("name",),
    {"site": "name", "latitude": "lat", "longitude": "lon"},
)
DELAYS: Final = Columns(
    ("from", "to", "transport", "ms", "delay"), ("from", "to"), {"delay_ms": "ms"}
)


def sites(source: Source, found: list[Mistake]) -> Node:
    """Return a table of sites as a list of site records."""
    return ListNode(
        Mark(source, 1, 1), tuple(_site(row, found) for row in _rows(source, SITES, found))
    )


def delays(source: Source, found: list[Mistake]) -> Node:
    """Return a table of one-way delays as a list of delay records."""
    rows = _rows(source, DELAYS, found)
    return ListNode(Mark(source, 1, 1), tuple(_delay(row, found) for row in rows))


def _site(row: Cells, found: list[Mistake]) -> Node:
    entries = _entries(row, "name", "region")
    if "lat" in row and "lon" in row:
        at = ListNode(row["lat"].mark, (row["lat"], row["lon"]))
        entries["at"] = Entry(row["lat"].mark, at)
    elif half := row.get("lat") or row.get("lon"):
        found.append(half.mark.mistake("only half a position", "both lat and lon, or neither"))
    if hub := row.get("hub"):
        word = {"1": "true", "yes": "true", "0": "false", "no": "false"}.get(
            hub.text.casefold(), hub.text
        )
        entries["hub"] = Entry(hub.mark, Scalar(word, hub.mark))
    if cell := row.get("transports"):
        words = re.split(r"[\s|;,]+", cell.text)
        names = tuple(Scalar(word, cell.mark, plain=False) for word in words if word)
        entries["transports"] = Entry(cell.mark, ListNode(cell.mark, names))
    return MapNode(_start(row), entries)


def _delay(row: Cells, found: list[Mistake]) -> Node:
    entries = _entries(row, "from", "to", "transport", "delay")
    if cell := row.get("ms"):
        if not re.fullmatch(r"-?[0-9.]+", cell.text):
            found.append(cell.mark.mistake(
                f"{quoted(cell.text)} is not a number of milliseconds", "a number such as 12.5",
                "for other units name the column `delay` and write `12.5ms`"))  # fmt: skip
            return MapNode(_start(row), {**entries, "delay": Entry(cell.mark, _ZERO)})
        entries["delay"] = Entry(cell.mark, Scalar(f"{cell.text}ms", cell.mark))
    return MapNode(_start(row), entries)


_ZERO: Final = Scalar("0ns", Mark(Source("")))
"""Stands for a delay whose mistake has been noted."""


def _entries(row: Cells, *keys: str) -> dict[str, Entry]:
    # Quoted, as it were: a site may be called 12 here, since a column holds names only.
    cells = ((key, row[key]) for key in keys if key in row)
    return {key: Entry(c.mark, Scalar(c.text, c.mark, plain=False)) for key, c in cells}


def _start(row: Cells) -> Mark:
    first = next(iter(row.values())).mark
    return Mark(first.source, first.line, 1)


def _rows(source: Source, columns: Columns, found: list[Mistake]) -> Iterator[Cells]:
    header: list[str] = []
    separator = ","
    for number, line in enumerate(source.lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not header:
            separator = max(",;\t", key=line.count)
            header = _header(list(_cells(line, separator, source, number)), columns, found)
            if not set(columns.required) <= set(header):
                return
            continue
        cells = list(_cells(line, separator, source, number))
        if len(cells) > len(header):
            expected = f"{len(header)} cells, as in the header"
            mark = cells[len(header)].mark
            found.append(mark.mistake(f"{len(cells)} cells in this line", expected))
        filled = {key: cell for key, cell in zip(header, cells, strict=False) if cell.text}
        if filled:
            yield filled


def _header(cells: list[Scalar], columns: Columns, found: list[Mistake]) -> list[str]:
    names: list[str] = []
    for cell in cells:
        word = cell.text.casefold()
        name = columns.also.get(word, word)
        if name not in columns.known:
            found.append(cell.mark.mistake(
                f"unknown column {quoted(cell.text)}", one_of(columns.known),
                did_you_mean(word, columns.known)))  # fmt: skip
        elif name in names:
            found.append(cell.mark.mistake(f"column `{name}` is given twice", "each column once"))
        names.append(name)
    for name in columns.required:
        if name not in names:
            found.append(cells[0].mark.mistake(
                f"there is no column `{name}`", one_of(columns.known),
                "the first line names the columns"))  # fmt: skip
    return names


def _cells(line: str, separator: str, source: Source, number: int) -> Iterator[Scalar]:
    column = 1
    for raw in _split(line, separator):
        text = raw.strip()
        start = column + len(raw) - len(raw.lstrip())
        yield Scalar(_unquoted(text), Mark(source, number, start, max(len(text), 1)))
        column += len(raw) + 1


def _split(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    quoted_or_not = rf'((?:\s*"(?:[^"]|"")*")?[^{separator}]*){separator}'
    return re.findall(quoted_or_not, line + separator)


def _unquoted(text: str) -> str:
    quotes = len(text) > 1 and text.startswith('"') and text.endswith('"')
    return text[1:-1].replace('""', '"') if quotes else text
