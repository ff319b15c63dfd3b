"""YAML 1.2 as a tree in which every key and value knows its place.

The events of the YAML parser are put together here, without recursion and within
stated bounds. Anchors, aliases and tags are refused: a scenario needs none of
them, and an alias bomb then has nothing to expand. Scalars keep their text; what
kind of value a plain scalar is follows the core schema (YAML 1.2.2 section 10.3),
so ``NO`` is a word and ``010`` is ten.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from patronus.sim.language.mistakes import Mark, Mistake, Source, quoted

DEPTH: Final = 24
"""Nesting beyond this is refused; the language itself needs eight levels."""

NODES: Final = 30_000
"""More values than this are refused; long tables belong into a CSV file."""

_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_HALVES: Final = re.compile("[\ud800-\udfff]")
"""A surrogate, which an escape can make and which no file can hold."""
_NUMBER: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


class Kind(StrEnum):
    """What a scalar is, in the words used to users."""

    EMPTY = "nothing"
    SWITCH = "true or false"
    INTEGER = "a whole number"
    NUMBER = "a number"
    TEXT = "text"


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """One value as it was written."""

    text: str
    mark: Mark
    plain: bool = True
    """Written without quotes."""

    @property
    def kind(self) -> Kind:
        """The kind of value by the core schema."""
        if not self.plain:
            return Kind.TEXT
        if self.text in ("", "~", "null", "Null", "NULL"):
            return Kind.EMPTY
        if self.text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return Kind.SWITCH
        if _INTEGER.fullmatch(self.text):
            return Kind.INTEGER
        return Kind.NUMBER if _NUMBER.fullmatch(self.text) else Kind.TEXT


@dataclass(frozen=True, slots=True, eq=False)
class ListNode:
    """A sequence."""

    mark: Mark
    items: tuple["Node", ...]


class Entry(NamedTuple):
    """A key's place and its value."""

    key: Mark
    node: "Node"


@dataclass(frozen=True, slots=True, eq=False)
class MapNode:
    """A mapping; keys are text in the order written."""

    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)

    def get(self, key: str) -> "Node | None":
        """Return the value of a key, or None."""
        entry = self.entries.get(key)
        return entry.node if entry else None

    def put(self, key: str, node: "Node", mark: Mark | None = None) -> "MapNode":
        """Return a copy in which a key has another value."""
        old = self.entries.get(key)
        place = mark or (old.key if old else node.mark)
        return MapNode(self.mark, {**self.entries, key: Entry(place, node)})


Node = Scalar | ListNode | MapNode


def lines_of(text: str) -> tuple[str, ...]:
    """Return the lines as YAML counts them."""
    return tuple(_BREAK.split(text))


def parse(
    text: str, source: Source, found: list[Mistake], line: int = 0, column: int = 0
) -> Node | None:
    """Return the tree of a YAML text, None (and a mistake in ``found``) if there is none.

    ``line`` and ``column`` shift the places, for a text within a text.
    """
    try:
        return _Composer(source, found, line, column).compose(text)
    except _Refused as refused:
        found.append(refused.mistake)
        return None


class _Refused(Exception):
    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    mark: Mark
    entries: dict[str, Entry] | None = None
    items: list[Node] = field(default_factory=list)
    key: Scalar | None = None


class _Composer:
    """Puts events together into a tree."""

    def __init__(self, source: Source, found: list[Mistake], line: int, column: int) -> None:
        self.source, self.found, self.line, self.column = source, found, line, column
        self.stack: list[_Open] = []
        self.count = 0
        self.root: Node | None = None

    def compose(self, text: str) -> Node | None:
        """Return the tree of the only document, None for an empty one."""
        for event in self._events(text):
            name = type(event).__name__.removesuffix("Event")
            if name in ("MappingStart", "SequenceStart", "Scalar", "Alias"):
                self._node(name, event)
            elif name in ("MappingEnd", "SequenceEnd"):
                self._close()
            elif name == "DocumentStart" and self.root is not None:
                raise _Refused(self._mark(event.start_mark).mistake(
                    "a second document begins here", "one document a file",
                    "put it into a file of its own"))  # fmt: skip
        return self.root

    def _events(self, text: str) -> Iterator[Any]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            yield from YAML(typ="safe", pure=True).parse(text)
        except MarkedYAMLError as error:
            raise _Refused(self._invalid(error)) from None
        except YAMLError as error:
            what = f"not YAML: {str(error).partition(chr(10))[0]}"
            mark = self._position(text, getattr(error, "position", 0))
            raise _Refused(mark.mistake(what, "valid YAML 1.2")) from None
        except (ValueError, OverflowError):
            what = "not YAML: an escape that stands for no character"
            raise _Refused(Mark(self.source).mistake(what, "valid YAML 1.2")) from None

    def _position(self, text: str, position: int) -> Mark:
        before = text[:position]
        line = self.line + before.count("\n") + 1
        return Mark(self.source, line, len(before) - before.rfind("\n"))

    def _invalid(self, error: Any) -> Mistake:
        problem = str(error.problem or error.context or "not YAML").replace("\x00", "end of text")
        mark = error.problem_mark or error.context_mark
        place = self._mark(mark) if mark else Mark(self.source)
        return place.mistake(f"not YAML: {problem}", "valid YAML 1.2", _advice(error))

    def _mark(self, start: Any, end: Any = None) -> Mark:
        shift = self.column if start.line == 0 else 0
        same = end is not None and end.line == start.line
        width = end.column - start.column if same else 1
        return Mark(
            self.source, self.line + start.line + 1, shift + start.column + 1, max(width, 1)
        )

    def _node(self, name: str, event: Any) -> None:
        scalar = name == "Scalar"
        mark = self._mark(event.start_mark, event.end_mark if scalar else None)
        self._guard(name, event, mark)
        if scalar:
            self._place(Scalar(event.value, mark, event.style is None))
        else:
            self.stack.append(_Open(mark, {} if name == "MappingStart" else None))

    def _guard(self, name: str, event: Any, mark: Mark) -> None:
        self.count += 1
        if name == "Alias" or event.anchor is not None:
            raise _Refused(mark.mistake(
                "anchors and aliases (`&`, `*`) are not part of the language", "plain values",
                'write `all` for every site; share parts of files with `extends`'))  # fmt: skip
        if name == "Scalar" and _HALVES.search(event.value):
            raise _Refused(mark.mistake("half of a character", "whole Unicode characters"))
        if event.tag is not None:
            raise _Refused(mark.mistake(
                f"tag {quoted(str(event.tag))}", "a value without a tag",
                "remove the tag; quote text that begins with `!`"))  # fmt: skip
        if len(self.stack) >= DEPTH:
            raise _Refused(mark.mistake(f"nested more than {DEPTH} levels deep", "less nesting"))
        if self.count > NODES:
            raise _Refused(mark.mistake(
                f"more than {NODES} values", "a smaller file",
                "long lists of sites and delays can be CSV files"))  # fmt: skip

    def _close(self) -> None:
        done = self.stack.pop()
        if done.entries is None:
            self._place(ListNode(done.mark, tuple(done.items)))
        else:
            self._place(MapNode(done.mark, done.entries))

    def _place(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if top.entries is None:
            top.items.append(node)
        elif top.key is None:
            top.key = self._key(node)
        else:
            self._enter(top.entries, top.key, node)
            top.key = None

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar) and node.text:
            return node
        raise _Refused(node.mark.mistake("this key is not a word", "a word before the `:`"))

    def _enter(self, entries: dict[str, Entry], key: Scalar, node: Node) -> None:
        if key.text in entries:
            first = entries[key.text].key.line
            self.found.append(key.mark.mistake(
                f"{quoted(key.text)} is given twice", "each key once",
                f"it is first given in line {first}"))  # fmt: skip
        else:
            # The parser places a missing value where the next thing begins.
            missing = isinstance(node, Scalar) and not node.text and node.plain
            entries[key.text] = Entry(key.mark, Scalar("", key.mark) if missing else node)


_ADVICE: Final = (
    ("'\\t'", "indent with spaces, not tabs"),
    ("alias", 'write `all`, or quote the star: `"*"`'),
    ("mapping values are not allowed", 'quote text that holds `: `, as in `"a: b"`'),
    ("cannot start any token", "put the value into quotes"),
    ("expected ',' or", "a bracket or brace is not closed"),
    ("could not find expected ':'", "a key needs a `:` and a space after it"),
    ("<block end>", "check the indentation: keys of one mapping begin in one column"),
)


def _advice(error: Any) -> str:
    words = f"{error.context} {error.problem}"
    return next((advice for sign, advice in _ADVICE if sign in words), "")
