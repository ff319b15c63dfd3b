"""Shapes of single values: text, names, choices, switches and bare numbers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from patronus.sim.language.mistakes import did_you_mean, one_of, quoted
from patronus.sim.language.shapes import BROKEN, Json, Mention, Reading, Shape
from patronus.sim.language.tree import Kind, Node, Scalar

TEXT: Final = frozenset({Kind.TEXT})
NUMBERS: Final = frozenset({Kind.INTEGER, Kind.NUMBER})


class Unfit(Exception):
    """A text that a shape cannot read: what is wrong and what to write instead."""

    def __init__(self, what: str, suggestion: str = "") -> None:
        super().__init__(what)
        self.what, self.suggestion = what, suggestion


@dataclass(frozen=True, eq=False)
class Value(Shape):
    """A scalar of some kinds, converted from its text."""

    about: str
    kinds: frozenset[Kind]
    json: Json
    convert: Callable[[str], Any]
    """Return the value of a text; raises ``Unfit``."""
    mentions: str = ""
    """The kind of name that the text mentions, if it does."""
    ends: tuple[str, ...] = ()
    """Endings of which the text must have one to fit."""

    def fits(self, node: Node) -> bool:
        """Whether the node is a scalar of one of the kinds, with one of the endings."""
        if not isinstance(node, Scalar) or node.kind not in self.kinds:
            return False
        return not self.ends or node.text.endswith(self.ends)

    def read(self, node: Node, reading: Reading) -> Any:
        """Return the converted text."""
        if not isinstance(node, Scalar) or node.kind not in self.kinds:
            return self.misfit(node, reading)
        try:
            value = self.convert(node.text)
        except Unfit as unfit:
            reading.wrong(node.mark, unfit.what, self.about, unfit.suggestion)
            return BROKEN
        if self.mentions:
            reading.mentions.append(Mention(self.mentions, node.text, node.mark))
        return value

    def schema(self, defs: Json) -> Json:
        """Return the schema of the value."""
        return dict(self.json)


def text(about: str, pattern: str, example: str = "") -> Value:
    """Return a text that a pattern matches."""

    def convert(given: str) -> str:
        if not re.search(pattern, given):
            advice = f"for instance `{example}`" if example else ""
            raise Unfit(f"{quoted(given)} cannot stand here", advice)
        return given

    return Value(about, TEXT, {"type": "string", "pattern": pattern}, convert)


def mention(kind: str, of: Value) -> Value:
    """Return a text that names something defined elsewhere."""
    return replace(of, mentions=kind)


def choice(noun: str, words: Mapping[str, Any]) -> Value:
    """Return one of some words, each standing for a value."""

    def convert(given: str) -> Any:
        if given not in words:
            raise Unfit(f"unknown {noun} {quoted(given)}", did_you_mean(given, words))
        return words[given]

    about = f"a {noun}: {one_of(tuple(words), 32)}"
    return Value(about, TEXT, {"enum": list(words)}, convert)


def _switch(given: str) -> bool:
    known = {"on": True, "true": True, "off": False, "false": False}
    if given.lower() not in known:
        raise Unfit(f"{quoted(given)} is neither on nor off")
    return known[given.lower()]


SWITCH: Final = Value(
    "on or off", TEXT | {Kind.SWITCH}, {"enum": [True, False, "on", "off"]}, _switch
)

NOTHING: Final = Value("nothing", frozenset({Kind.EMPTY}), {"type": "null"}, lambda given: None)


def whole(about: str, least: int = 0, most: int = 2**63 - 1) -> Value:
    """Return a whole number without a unit: a count, a seed, a number of bytes."""

    def convert(given: str) -> int:
        number = _integer(given)
        if number < least:
            raise Unfit(f"{number} is too small: at least {least}")
        if number > most:
            raise Unfit(f"{number} is too large: at most {most}")
        return number

    json = {"type": "integer", "minimum": least, "maximum": most}
    return Value(about, frozenset({Kind.INTEGER}), json, convert)


def _integer(given: str) -> int:
    if len(given) > 22:  # also keeps the conversion itself from being long
        raise Unfit(f"{quoted(given, 22)} is too large")
    return int(given, 0 if given[:2] in ("0x", "0o") else 10)


def decimal(about: str, least: int, most: int, scale: int = 0) -> Value:
    """Return a finite number without a unit, as an integer of 1/``scale`` or a float (0)."""

    def convert(given: str) -> int | float:
        if not re.fullmatch(r"[-+]?[0-9]{0,9}\.?[0-9]{0,15}", given):
            raise Unfit(f"{quoted(given)} is not a plain decimal number")
        number = Fraction(given.removesuffix("."))
        if not least <= number <= most:
            raise Unfit(f"{quoted(given)} is out of range: {least} to {most}")
        return int(number * scale) if scale else float(number)

    return Value(about, NUMBERS, {"type": "number", "minimum": least, "maximum": most}, convert)


def file_name(about: str, *suffixes: str) -> Value:
    """Return the name of a file that stands for the value.

    Files are read before any shape sees the tree, so one that is still here could not
    be read, and that has been noted.
    """
    ends = "|".join(suffix.replace(".", r"\.") for suffix in suffixes)
    json = {"type": "string", "pattern": f"^.+({ends})$"}
    return Value(about, TEXT, json, lambda given: BROKEN, ends=suffixes)
