"""Shapes: one declaration both reads a tree and describes itself as JSON Schema.

A shape answers three questions: does this node look like me (``fits``), what is its
value (``read``), and what may an editor offer (``schema``). Reading never stops at
a mistake: it notes it, returns ``BROKEN`` and lets the neighbours be read too.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from patronus.sim.language.mistakes import Mark, Mistake, quoted
from patronus.sim.language.tree import Kind, ListNode, MapNode, Node, Scalar

Json = dict[str, Any]

BROKEN: Final = object()
"""What reading returns in place of a value when the mistake has been noted."""


@dataclass(frozen=True, slots=True, eq=False)
class Mention:
    """A name that must be defined somewhere in the scenario, and where it was used."""

    kind: str
    """``site``, ``sites`` (patterns too), ``target``, ``transport``, ``class`` …"""
    name: str
    mark: Mark


@dataclass(slots=True)
class Reading:
    """What one reading of a scenario gathers."""

    found: list[Mistake] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)

    def wrong(self, mark: Mark, what: str, expected: str = "", suggestion: str = "") -> None:
        """Note a mistake."""
        self.found.append(mark.mistake(what, expected, suggestion))


class Shape(ABC):
    """What a value may look like."""

    about: str
    """In words, for "expected: …"."""
    form: ClassVar[type] = Scalar
    """The kind of node."""

    def fits(self, node: Node) -> bool:
        """Whether the node is of this kind at all; its content may still be wrong."""
        return isinstance(node, self.form)

    @abstractmethod
    def read(self, node: Node, reading: Reading) -> Any:
        """Return the value, or note the mistakes and return ``BROKEN``."""

    @abstractmethod
    def schema(self, defs: Json) -> Json:
        """Return the JSON Schema; named parts are put into ``defs``."""

    def misfit(self, node: Node, reading: Reading, suggestion: str = "") -> Any:
        """Note that a node is of the wrong kind."""
        if isinstance(node, Scalar) and node.kind is Kind.EMPTY:
            reading.wrong(node.mark, "no value is given", self.about)
            return BROKEN
        if isinstance(node, Scalar) and self.fits(Scalar(node.text, node.mark, plain=False)):
            suggestion = f'quote it to make it text: `"{node.text[:40]}"`'
        reading.wrong(node.mark, f"{name_of(node)} cannot stand here", self.about, suggestion)
        return BROKEN


def name_of(node: Node) -> str:
    """Return what a node is, in words."""
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    return f"{quoted(node.text)} ({node.kind})"


@dataclass(frozen=True, eq=False)
class ListOf(Shape):
    """A list; with ``single`` one item may stand without the brackets."""

    form = ListNode

    item: Shape
    about: str
    least: int = 0
    most: int | None = None
    single: bool = False

    def fits(self, node: Node) -> bool:
        """Whether the node is a list, or an item where one may stand alone."""
        return isinstance(node, ListNode) or (self.single and self.item.fits(node))

    def read(self, node: Node, reading: Reading) -> Any:
        """Return a tuple of the sound items."""
        if isinstance(node, ListNode):
            return self._items(node, reading)
        if self.single and not isinstance(node, self.item.form):
            return self.misfit(node, reading)
        if self.single:
            value = self.item.read(node, reading)
            return BROKEN if value is BROKEN else (value,)
        return self.misfit(node, reading, "write a list: `[a, b]`")

    def _items(self, node: ListNode, reading: Reading) -> Any:
        count = len(node.items)
        if count < self.least or (self.most is not None and count > self.most):
            items = "item" if count == 1 else "items"
            reading.wrong(node.mark, f"a list of {count} {items}", self.about)
            return BROKEN
        values = (self.item.read(item, reading) for item in node.items)
        return tuple(value for value in values if value is not BROKEN)

    def schema(self, defs: Json) -> Json:
        """Return an array, or the item where one may stand alone."""
        item = self.item.schema(defs)
        array: Json = {"type": "array", "items": item}
        if self.least:
            array["minItems"] = self.least
        if self.most is not None:
            array["maxItems"] = self.most
        return {"anyOf": [item, array]} if self.single else array


@dataclass(frozen=True, eq=False)
class MapOf(Shape):
    """A mapping whose keys are the user's own names."""

    form = MapNode

    key: Shape
    value: Shape
    about: str

    def read(self, node: Node, reading: Reading) -> Any:
        """Return a dict of the sound entries."""
        if not isinstance(node, MapNode):
            return self.misfit(node, reading)
        values = {}
        for text, (mark, value) in node.entries.items():
            key = self.key.read(Scalar(text, mark, plain=False), reading)
            item = self.value.read(value, reading)
            if key is not BROKEN and item is not BROKEN:
                values[key] = item
        return values

    def schema(self, defs: Json) -> Json:
        """Return an object with any names."""
        return {
            "type": "object",
            "propertyNames": self.key.schema(defs),
            "additionalProperties": self.value.schema(defs),
        }


class Either(Shape):
    """The first alternative that fits."""

    def __init__(self, *options: Shape) -> None:
        self.options = options
        self.about = ", or ".join(option.about for option in options)

    def fits(self, node: Node) -> bool:
        """Whether any alternative fits."""
        return any(option.fits(node) for option in self.options)

    def read(self, node: Node, reading: Reading) -> Any:
        """Return what the alternative reads."""
        option = next((option for option in self.options if option.fits(node)), None)
        return option.read(node, reading) if option else self.misfit(node, reading)

    def schema(self, defs: Json) -> Json:
        """Return the union."""
        return {"anyOf": [option.schema(defs) for option in self.options]}
