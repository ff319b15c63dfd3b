"""Rows over one time axis: a label on the left (above, on a telephone), a strip on the right."""

from collections.abc import Iterable, Sequence

from patronus.sim.report import words
from patronus.sim.report.markup import Child, Markup, percent, tag
from patronus.sim.report.scale import Scale
from patronus.sim.report.svg import box, drawing, upright

TICKS = 7
"""At most so many labels of the time stand side by side."""

Window = tuple[int, int]
"""From, until, in ns."""


def lane(title: Child, note: Child, strip: Child, *, class_: str = "") -> Markup:
    """Return one row; the note is the small print under its title."""
    label = tag(
        "div",
        tag("span", title, class_="lane-title"),
        tag("span", note, class_="lane-note") if note else None,
        class_="lane-label",
    )
    return tag(
        "div", label, tag("div", strip, class_="lane-strip"), class_=f"lane {class_}".strip()
    )


def lanes(rows: Iterable[Markup], time: Scale) -> Markup:
    """Return rows with the axis of their time below."""
    return tag("div", *rows, lane(None, None, axis(time), class_="lane-axis"), class_="lanes")


def heading(text: str) -> Markup:
    """Return a heading between rows."""
    return tag("p", text, class_="lane-heading")


def strip(
    time: Scale,
    windows: Sequence[Window],
    height: int,
    about: str,
    *marks: Child,
    top: int = 0,
) -> Markup:
    """Return a strip with a line at every tick, and the fault windows shaded below ``top``."""
    shades = [box(time.place(a), time.place(b), top, height - top, "shade") for a, b in windows]
    lines = [upright(time.place(t), 0, height, "grid") for t in time.ticks(TICKS)]
    return drawing(height, about, shades, lines, *marks)


def axis(time: Scale) -> Markup:
    """Return the labels of the time axis."""
    # Every other label gives way where it is narrow.
    texts = [
        tag(
            "text",
            words.moment(round(t)),
            x=percent(time.place(t)),
            y=13,
            text_anchor=_anchor(time.place(t)),
            class_="spare" if i % 2 else None,
        )
        for i, t in enumerate(time.ticks(TICKS))
    ]
    return tag("svg", texts, class_="axis", width="100%", height=18, aria_hidden="true")


def _anchor(share: float) -> str:
    return "start" if share < 0.03 else "end" if share > 0.97 else "middle"
