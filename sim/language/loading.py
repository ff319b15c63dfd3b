"""Loads a scenario: the steps in order, and every mistake in one error."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from patronus.sim.language import build
from patronus.sim.language.consistency import check
from patronus.sim.language.documents import Library, share_policy
from patronus.sim.language.grammar import SCENARIO
from patronus.sim.language.mistakes import Mark, Mistake, ScenarioError, Source
from patronus.sim.language.records import Rec
from patronus.sim.language.settings import NAME, apply_settings
from patronus.sim.language.shapes import Reading
from patronus.sim.language.tree import MapNode, Scalar, lines_of
from patronus.sim.scenario import Scenario

SUFFIX: Final = ".patronus.yml"

POLICY: Final = "--policy"
"""Stands where mistakes name a file, of a policy file's name that was given beside a scenario."""


def load(
    path: str | os.PathLike[str],
    settings: Iterable[str] = (),
    policy: str | os.PathLike[str] | None = None,
) -> Scenario:
    """Return the scenario of a file.

    Args:
        path: the file; other files that it names are looked for beside it.
        settings: changes as ``key.path=value``, applied in order.
        policy: a policy file to put in the place of the scenario's own policy.

    Raises:
        ScenarioError: with every mistake that was found.
    """
    return draft(path).scenario(settings, None if policy is None else os.fspath(policy))


@dataclass(frozen=True, eq=False, slots=True)
class Draft:
    """A file as it was read, with what it names; settings make scenarios of it."""

    name: str
    tree: MapNode
    mistakes: tuple[Mistake, ...]
    """What is wrong with the files themselves."""

    def scenario(self, settings: Iterable[str] = (), policy: str | None = None) -> Scenario:
        """Return the scenario under some settings, and a policy file in place of its own policy.

        Raises:
            ScenarioError: with every mistake, those of the files among them.
        """
        found = list(self.mistakes)
        return _scenario(self.tree, self.name, tuple(settings), found, policy)


def draft(path: str | os.PathLike[str]) -> Draft:
    """Read a file once, however many scenarios are made of it.

    Raises:
        ScenarioError: it cannot be read at all.
    """
    name = os.fspath(path)
    found: list[Mistake] = []
    tree = Library(found).document(name)
    if tree is None:
        raise ScenarioError(found)
    return Draft(name, tree, tuple(found))


def parse(text: str, name: str = "scenario", settings: Iterable[str] = ()) -> Scenario:
    """Return the scenario of a text; files that it names are looked for beside ``name``.

    Raises:
        ScenarioError: with every mistake that was found.
    """
    found: list[Mistake] = []
    library = Library(found, [name])
    tree = library.compose(Source(name, lines_of(text)), text)
    if tree is None:
        raise ScenarioError(found)
    return _scenario(tree, name, tuple(settings), found)


def _scenario(
    tree: MapNode,
    name: str,
    settings: tuple[str, ...],
    found: list[Mistake],
    policy: str | None = None,
) -> Scenario:
    if settings:
        # A setting may name a file too; it is looked for from where the command runs.
        tree = Library(found).complete(apply_settings(tree, settings, found), NAME)
    if policy is not None:
        place = Mark(Source(POLICY, (policy,)), 1, 1, max(1, len(policy)))
        named = tree.put("policy", Scalar(policy, place, plain=False))
        tree = Library(found).complete(named, POLICY)
    reading = Reading(found)
    rec = SCENARIO.read(share_policy(tree), reading)
    assert isinstance(rec, Rec)  # the root is a mapping
    check(rec, reading)
    if found:
        raise ScenarioError(found)
    return build.scenario(rec, name, stem(name))


def stem(path: str) -> str:
    """Return a scenario's name from its file's."""
    file = Path(path)
    return file.name.removesuffix(SUFFIX) if file.name.endswith(SUFFIX) else file.stem
