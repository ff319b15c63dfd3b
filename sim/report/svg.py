"""Figures as fluid SVG: places in percent, text and strokes in pixels.

So one drawing serves a wide screen, a telephone and paper: it stretches, its letters do
not. Curves cannot be given in percent; they sit in an inner drawing that is stretched
over the same area, with strokes that keep their width.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from patronus.sim.report.markup import Child, Markup, percent, short, tag

GRAIN = 1000
"""Units of the inner drawing across and down."""

Points = Sequence[tuple[float, float]] | npt.NDArray[np.float64]
"""Shares of width and height, (0, 0) at the top left."""


def drawing(height: int, about: str, *children: Child, class_: str = "") -> Markup:
    """Return a figure of fixed height and full width; ``about`` is what it shows, in words."""
    return tag(
        "svg",
        tag("title", about),
        *children,
        class_=class_ or None,
        role="img",
        width="100%",
        height=height,
    )


def box(
    left: float, right: float, top: float, height: float, class_: str, about: str = ""
) -> Markup:
    """Return a rectangle: across in shares of the width, down in pixels; never invisibly thin."""
    # A zero-width interval still gets the stroke that the style sheet gives to its class.
    return tag(
        "rect",
        tag("title", about) if about else None,
        x=percent(left),
        y=top,
        width=percent(max(right - left, 0.0)),
        height=height,
        class_=class_,
    )


def upright(at: float, top: float, bottom: float, class_: str) -> Markup:
    """Return a vertical line at a share of the width, from one pixel row to another."""
    x = percent(at)
    return tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def level(y: float, class_: str) -> Markup:
    """Return a horizontal line over the whole width."""
    return tag("line", x1="0", x2="100%", y1=y, y2=y, class_=class_)


def curve(points: Points, class_: str) -> Markup:
    """Return a line through points."""
    return tag("path", d=_path(points), class_=class_, vector_effect="non-scaling-stroke")


def area(points: Points, class_: str) -> Markup:
    """Return the area between points and the lower edge."""
    if not len(points):
        return Markup("")
    first, last = float(points[0][0]), float(points[-1][0])
    closed = f"{_path(points)}V{GRAIN}H{_grain(first)}Z" if last >= first else ""
    return tag("path", d=closed, class_=class_)


def stretched(*curves: Child) -> Markup:
    """Return the inner drawing that holds curves."""
    return tag(
        "svg",
        *curves,
        viewBox=f"0 0 {GRAIN} {GRAIN}",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
        class_="inner",
    )


def _path(points: Points) -> str:
    return "M" + "L".join(f"{_grain(x)} {_grain(y)}" for x, y in points)


def _grain(share: float) -> str:
    return short(round(float(share) * GRAIN, 1))
