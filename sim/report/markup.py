"""HTML and SVG that cannot forget to escape.

``tag`` escapes every child that is a plain ``str``; only what ``tag`` itself has
built (:class:`Markup`) passes unchanged. So a site called ``<script>`` is text
wherever it appears.
"""

from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Markup | Iterable[Child] | None"
"""What may stand inside an element; ``None`` is nothing."""

Value: TypeAlias = str | int | float | None

VOID = frozenset({"meta", "br", "hr", "wbr"})
"""Elements that have no end tag in HTML."""


def tag(name: str, /, *children: Child, **attributes: Value) -> Markup:
    """Return one element.

    A trailing underscore of an attribute is dropped (``class_``), the others become hyphens;
    an attribute that is ``None`` is left out.
    """
    opening = name + "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Return the children one after the other, escaped where they are not markup."""
    return Markup("".join(map(_text, children)))


def short(value: str | float) -> str:
    """Return a number in few characters (a figure holds thousands), a text as it is."""
    if isinstance(value, float):
        text = f"{value:.2f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return str(value)


def breakable(name: str) -> Markup:
    """Return a long name that may continue on a new line after each colon."""
    parts = name.split(":")
    return join([join(part, ":", tag("wbr")) for part in parts[:-1]], parts[-1])


def percent(share: float) -> str:
    """Return a place in a figure as a percentage of its width or height."""
    return f"{short(100.0 * float(share))}%"


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, (str, int, float)):
        return escape(short(child))
    return join(*child)
