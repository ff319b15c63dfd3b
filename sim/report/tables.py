"""Tables that a wide screen shows as such and a telephone as cards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patronus.sim.report import words
from patronus.sim.report.markup import Child, Markup, tag


@dataclass(frozen=True, slots=True)
class Column:
    """The heading of a column; numbers stand at its right edge."""

    title: str
    number: bool = False


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[Child]], *, caption: str, class_: str = ""
) -> Markup:
    """Return a table; the first cell of a row is its heading.

    ``caption`` is read by screen readers only: the heading above says it to everybody else.
    """
    heads = [
        tag("th", c.title, scope="col", class_="number" if c.number else None) for c in columns
    ]
    body = [tag("tr", _cells(columns, row)) for row in rows]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", heads)),
        tag("tbody", body),
        class_=class_ or None,
    )


def left_out(number: int, what: str) -> Markup | None:
    """Return the line that says how many rows a list does not show."""
    if number <= 0:
        return None
    return tag("p", f"{words.count(number)} {what}", class_="more")


def _cells(columns: Sequence[Column], row: Sequence[Child]) -> list[Markup]:
    cells = []
    for i, (column, value) in enumerate(zip(columns, row, strict=True)):
        name = "td" if i else "th"
        cells.append(
            tag(
                name,
                tag("div", value),
                scope=None if i else "row",
                class_="blank" if not value else "number" if column.number else None,
                data_label=column.title,
            )
        )
    return cells
