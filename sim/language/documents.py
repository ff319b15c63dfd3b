"""Puts the files of a scenario together into one tree.

``extends`` lays a file over its base, ``policy: FILE`` and the CSV files take the
place of the values that name them, and each key and value keeps the place it came
from. Mappings merge, lists replace (``faults+:`` appends), anything else replaces.
File names are relative to the file that holds them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeGuard

from patronus.sim.language import tables
from patronus.sim.language.files import CSV_BYTES, YAML_BYTES, beside, read_source
from patronus.sim.language.grammar import APPENDED
from patronus.sim.language.mistakes import Mark, Mistake, Source
from patronus.sim.language.tree import Entry, Kind, ListNode, MapNode, Node, Scalar, parse

CHAIN: Final = 16
"""Files that may extend one another in a row."""

Table = Callable[[Source, list[Mistake]], Node]


@dataclass(slots=True)
class Library:
    """Reads documents; every mistake goes into ``found``."""

    noun: ClassVar[str] = "a scenario"
    """What the files hold, in words."""

    found: list[Mistake]
    chain: list[str] = field(default_factory=list)
    """The files being read, outermost first."""

    def document(self, path: str, named_at: Mark | None = None) -> MapNode | None:
        """Return a file with its base and its included files, None if it cannot be read."""
        if path in self.chain or len(self.chain) >= CHAIN:
            self._refuse_chain(path, named_at or Mark(Source(path)))
            return None
        read = read_source(path, YAML_BYTES, self.found, named_at, self.noun)
        if read is None:
            return None
        self.chain.append(path)
        try:
            return self.compose(*read)
        finally:
            self.chain.pop()

    def compose(self, source: Source, text: str) -> MapNode | None:
        """Return the tree of a text, with its base and included files."""
        known = len(self.found)
        tree = parse(text, source, self.found)
        if isinstance(tree, MapNode):
            return self.complete(tree, source.name)
        if len(self.found) == known:
            mark = tree.mark if tree else Mark(source)
            what = "this is not a mapping" if tree else "there is nothing but comments here"
            self.found.append(mark.mistake(what, "`key: value` lines, first `version: 1`"))
        return None

    def complete(self, tree: MapNode, path: str) -> MapNode:
        """Return a tree with all that it names in other files put in."""
        return self.include(self.extended(tree, path), path)

    def extended(self, tree: MapNode, path: str) -> MapNode:
        """Return a tree laid over the file that its ``extends`` names."""
        name = tree.get("extends")
        if name is None:
            return merge(MapNode(tree.mark), tree, APPENDED)
        rest = MapNode(tree.mark, {k: e for k, e in tree.entries.items() if k != "extends"})
        if not _is_text(name):
            expected = "the name of a file"
            self.found.append(name.mark.mistake("`extends` names no file", expected))
            return rest
        base = self.document(beside(path, name.text), name.mark)
        return merge(base or MapNode(tree.mark), rest, APPENDED)

    def include(self, tree: MapNode, path: str) -> MapNode:
        """Return a tree in which file names that ``path`` holds are replaced by the files.

        Those that other files hold were tried when they were read.
        """
        tree = self.policy(tree, path)
        topology = tree.get("topology")
        if isinstance(topology, MapNode):
            topology = self._table(topology, "sites", tables.sites, path)
            topology = self._table(topology, "delays", tables.delays, path)
            tree = tree.put("topology", topology)
        faults = tree.get("faults")
        if isinstance(faults, ListNode):
            items = (self.policy(f, path) if isinstance(f, MapNode) else f for f in faults.items)
            tree = tree.put("faults", ListNode(faults.mark, tuple(items)))
        return tree

    def policy(self, tree: MapNode, path: str) -> MapNode:
        """Return a tree whose policy is no file name any more."""
        policy = tree.get("policy")
        if isinstance(policy, MapNode) and "extends" in policy.entries:
            return tree.put("policy", self.extended(policy, path))
        if not _names_file(policy, path, ".yml", ".yaml"):
            return tree
        document = self.document(beside(path, policy.text), policy.mark)
        return tree.put("policy", document) if document else tree

    def _table(self, tree: MapNode, key: str, table: Table, path: str) -> MapNode:
        name = tree.get(key)
        if not _names_file(name, path, ".csv"):
            return tree
        read = read_source(beside(path, name.text), CSV_BYTES, self.found, name.mark)
        return tree.put(key, table(read[0], self.found)) if read else tree

    def _refuse_chain(self, path: str, mark: Mark) -> None:
        if path in self.chain:
            ring = " → ".join([*self.chain[self.chain.index(path) :], path])
            self.found.append(mark.mistake(f"files extend one another in a ring: {ring}", "a base"))
        else:
            self.found.append(mark.mistake(f"more than {CHAIN} files extend one another", "fewer"))


def merge(base: MapNode, over: MapNode, appended: tuple[str, ...] = ()) -> MapNode:
    """Return one mapping laid over another; ``KEY+`` of the appended keys lengthens a list."""
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        plain = key.removesuffix("+")
        old = entries.get(plain)
        if key != plain and plain in appended and isinstance(entry.node, ListNode):
            before = old.node.items if old and isinstance(old.node, ListNode) else ()
            entries[plain] = Entry(entry.key, ListNode(entry.node.mark, before + entry.node.items))
        else:
            entries[key] = Entry(entry.key, _laid_over(old.node if old else None, entry.node))
    return MapNode(over.mark, entries)


def _laid_over(old: Node | None, new: Node) -> Node:
    if not isinstance(new, MapNode) or old is None:
        return new
    below = as_mapping(old)
    return merge(below, new) if isinstance(below, MapNode) else new


def as_mapping(node: Node) -> Node:
    """Return a list of words as a mapping from the words to nothing; else the node itself.

    ``transports: [mpls, lte]`` says the same as ``transports: {mpls: , lte: }``, and
    only the second can be changed in part.
    """
    if not isinstance(node, ListNode) or not all(_is_text(item) for item in node.items):
        return node
    words = (item for item in node.items if isinstance(item, Scalar))
    return MapNode(node.mark, {w.text: Entry(w.mark, Scalar("", w.mark)) for w in words})


def share_policy(tree: MapNode) -> MapNode:
    """Return the tree with the classes inside the policy, and the policy under each fault's own.

    Classes of the scenario are laid over those of a shared policy file, and a
    half-applied configuration changes what everybody else runs.
    """
    policy, classes = tree.get("policy"), tree.get("classes")
    if policy is not None and not isinstance(policy, MapNode):
        return tree
    if isinstance(classes, MapNode):
        holder = MapNode(classes.mark, {"classes": tree.entries["classes"]})
        policy = merge(policy, holder) if policy else holder
        rest = {key: entry for key, entry in tree.entries.items() if key != "classes"}
        tree = MapNode(tree.mark, rest).put("policy", policy)
    faults = tree.get("faults")
    if policy and isinstance(faults, ListNode):
        items = tuple(_over_policy(fault, policy) for fault in faults.items)
        tree = tree.put("faults", ListNode(faults.mark, items))
    return tree


def _over_policy(fault: Node, policy: MapNode) -> Node:
    own = fault.get("policy") if isinstance(fault, MapNode) else None
    if not isinstance(fault, MapNode) or not isinstance(own, MapNode):
        return fault
    return fault.put("policy", merge(policy, own))


def _names_file(node: Node | None, holder: str, *suffixes: str) -> TypeGuard[Scalar]:
    if not _is_text(node):
        return False
    return node.text.endswith(suffixes) and node.mark.source.name == holder


def _is_text(node: Node | None) -> TypeGuard[Scalar]:
    return isinstance(node, Scalar) and node.kind is Kind.TEXT
