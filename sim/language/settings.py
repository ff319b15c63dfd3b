"""``--set key.path=value``: changes to a scenario from the command line.

A path walks keys, list positions (from 0) and names of list items. It must exist:
in the file, or as a key of the language; only the last key among the user's own
names may be new, else a misspelt class would quietly become another class.
"""

from collections.abc import Iterable
from typing import Final

from patronus.sim.language.documents import as_mapping
from patronus.sim.language.grammar import SCENARIO
from patronus.sim.language.mistakes import Mark, Mistake, Source, did_you_mean, one_of, quoted
from patronus.sim.language.records import Record
from patronus.sim.language.shapes import Either, ListOf, MapOf, Shape, name_of
from patronus.sim.language.tree import Entry, Kind, ListNode, MapNode, Node, Scalar, parse

NAME: Final = "--set"
"""Stands where mistakes name a file; the line is the number of the setting."""


class _NoSuchPath(Exception):
    def __init__(self, what: str, known: Iterable[str] = (), step: str = "") -> None:
        words = tuple(dict.fromkeys(known))
        self.what, self.expected = what, one_of(words)
        self.suggestion = did_you_mean(step, words)


def apply_settings(tree: MapNode, settings: tuple[str, ...], found: list[Mistake]) -> MapNode:
    """Return the tree with the settings applied in order."""
    source = Source(NAME, settings)
    for number, setting in enumerate(settings, 1):
        changed = _apply(tree, setting, Mark(source, number, 1, len(setting)), found)
        tree = changed if isinstance(changed, MapNode) else tree
    return tree


def _apply(tree: MapNode, setting: str, mark: Mark, found: list[Mistake]) -> Node | None:
    path, equals, text = setting.partition("=")
    if not equals or not path:
        found.append(mark.mistake(f"{quoted(setting)} is not a setting", "KEY.PATH=VALUE",
                                  "for instance `faults.0.at=31s`"))  # fmt: skip
        return None
    known = len(found)
    value = parse(text, mark.source, found, mark.line - 1, len(path) + 1)
    if len(found) > known:
        return None
    place = Mark(mark.source, mark.line, 1, len(path))
    empty = Scalar("", Mark(mark.source, mark.line, len(path) + 2))
    try:
        return _changed(tree, SCENARIO, path.split("."), value or empty, place)
    except _NoSuchPath as missing:
        found.append(place.mistake(missing.what, missing.expected, missing.suggestion))
        return None


def _changed(node: Node | None, shape: Shape, path: list[str], value: Node, mark: Mark) -> Node:
    """Return the node with the value put at the path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(node, ListNode) and _maps(shape) and not step.isdecimal():
        node = as_mapping(node)
    if isinstance(node, ListNode):
        return _changed_item(node, shape, path, value, mark)
    if isinstance(node, Scalar) and node.kind is not Kind.EMPTY:
        raise _NoSuchPath(f"nothing lies beneath {name_of(node)}, so no `{step}`")
    entries = node.entries if isinstance(node, MapNode) else {}
    inner = _beneath(shape, step, entries, last=not rest)
    old = entries[step].node if step in entries else None
    new = Entry(mark, _changed(old, inner, rest, value, mark))
    return MapNode(node.mark if node else mark, {**entries, step: new})


def _changed_item(node: ListNode, shape: Shape, path: list[str], value: Node, mark: Mark) -> Node:
    position = _position(node, path[0])
    lists = [option for option in _options(shape) if isinstance(option, ListOf)]
    if position is None or not lists:
        names = [name for name in map(_name, node.items) if name]
        numbers = [str(number) for number in range(len(node.items))]
        raise _NoSuchPath(f"no {quoted(path[0])} in this list of {len(numbers)}", names or numbers,
                          path[0])  # fmt: skip
    new = _changed(node.items[position], lists[0].item, path[1:], value, mark)
    return ListNode(node.mark, (*node.items[:position], new, *node.items[position + 1 :]))


def _beneath(shape: Shape, step: str, entries: dict[str, Entry], *, last: bool) -> Shape:
    """Return the shape under a key of a mapping."""
    known = list(entries)
    for option in _maps(shape):
        if isinstance(option, Record):
            known += option.fields
            if step in option.fields:
                return option.fields[step].shape
        elif step in entries or last:
            return option.value
    raise _NoSuchPath(f"there is no {quoted(step)} to set", known, step)


def _options(shape: Shape) -> list[Shape]:
    if isinstance(shape, Either):
        return [inner for option in shape.options for inner in _options(option)]
    if isinstance(shape, ListOf) and shape.single:
        return [shape, *_options(shape.item)]
    return [shape]


def _maps(shape: Shape) -> list[Record | MapOf]:
    return [option for option in _options(shape) if isinstance(option, Record | MapOf)]


def _position(node: ListNode, step: str) -> int | None:
    if step.isascii() and step.isdecimal() and len(step) < 7:
        return int(step) if int(step) < len(node.items) else None
    names = [_name(item) for item in node.items]
    return names.index(step) if step in names else None


def _name(item: Node) -> str:
    named = item.get("name") if isinstance(item, MapNode) else item
    return named.text if isinstance(named, Scalar) else ""
