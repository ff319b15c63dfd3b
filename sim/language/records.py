"""Records: mappings with known keys, and what was read from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from patronus.sim.language.mistakes import Mark, did_you_mean, one_of, quoted
from patronus.sim.language.shapes import BROKEN, Json, Reading, Shape
from patronus.sim.language.tree import MapNode, Node


@dataclass(frozen=True, eq=False)
class Field:
    """One key of a record."""

    name: str
    shape: Shape
    doc: str
    into: str = ""
    """Attribute of the scenario's record that takes the value; "" when a builder does."""
    required: bool = False
    default: str = ""
    """What leaving it out means, as it would be written."""

    def schema(self, defs: Json) -> Json:
        """Return the schema of the value with its description."""
        default = int(self.default) if self.default.isdecimal() else self.default
        extra = {"default": default} if self.default else {}
        return {**self.shape.schema(defs), "description": self.doc, **extra}


@dataclass(slots=True, eq=False)
class Rec:
    """A record that was read: the sound values, and the place of everything."""

    fields: Mapping[str, Field]
    node: MapNode
    values: dict[str, Any] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.node.entries

    def get(self, key: str, default: Any = None) -> Any:
        """Return a sound value, or the default when it is absent or broken."""
        return self.values.get(key, default)

    def broken(self, key: str) -> bool:
        """Whether a value was given that could not be read."""
        return key in self.node.entries and key not in self.values

    def mark(self, key: str) -> Mark:
        """Return the place of a value, of the record when the key is absent."""
        node = self.node.get(key)
        return node.mark if node else self.node.mark

    def key_mark(self, key: str) -> Mark:
        """Return the place of a key that was given."""
        return self.node.entries[key].key

    def attributes(self) -> dict[str, Any]:
        """Return the values that go straight into the scenario's record."""
        named = ((self.fields[key].into, value) for key, value in self.values.items())
        return {into: value for into, value in named if into}


Check = Callable[[Rec, Reading], None]


class Record(Shape):
    """A mapping with known keys; ``check`` looks at the record as a whole."""

    form = MapNode

    def __init__(self, name: str, doc: str, *fields: Field, check: Check | None = None) -> None:
        self.name, self.doc, self.check = name, doc, check
        self.fields = {key.name: key for key in fields}
        self.about = f"a mapping with {one_of(tuple(self.fields))}"

    def read(self, node: Node, reading: Reading) -> Any:
        """Return what was read, complete or not, as a ``Rec``."""
        if not isinstance(node, MapNode):
            return self.misfit(node, reading)
        rec = Rec(self.fields, node)
        for key, (mark, value) in node.entries.items():
            if key not in self.fields:
                known = tuple(self.fields)
                reading.wrong(
                    mark, f"unknown key {quoted(key)}", one_of(known), did_you_mean(key, known)
                )
            elif (read := self.fields[key].shape.read(value, reading)) is not BROKEN:
                rec.values[key] = read
        self._missing(node, reading)
        if self.check:
            self.check(rec, reading)
        return rec

    def _missing(self, node: MapNode, reading: Reading) -> None:
        for key in self.fields.values():
            if key.required and key.name not in node.entries:
                what, advice = f"`{key.name}` is missing", f"add `{key.name}: …`: {key.doc}"
                reading.wrong(node.mark, what, key.shape.about, advice)

    def schema(self, defs: Json) -> Json:
        """Return a reference to the definition of this record."""
        if self.name not in defs:
            defs[self.name] = {}  # reserves the place, and ends a record that holds itself
            defs[self.name] = self.definition(defs)
        return {"$ref": f"#/$defs/{self.name}"}

    def definition(self, defs: Json) -> Json:
        """Return the schema of the record itself."""
        required = [key.name for key in self.fields.values() if key.required]
        return {
            "type": "object",
            "description": self.doc,
            "properties": {name: key.schema(defs) for name, key in self.fields.items()},
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }


def schema_of(root: Record, title: str) -> Json:
    """Return the JSON Schema (2020-12) of files that hold such a record."""
    defs: Json = {}
    definition = root.definition(defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **definition,
        "$defs": dict(sorted(defs.items())),
    }
