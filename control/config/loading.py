"""Loads ``agent.yml``: the steps in order, and every mistake in one error."""

import os
from typing import ClassVar

from patronus.control.config import building, identity
from patronus.control.config.consistency import check
from patronus.control.config.grammar import AGENT
from patronus.control.config.model import AgentConfig
from patronus.sim.language.documents import Library, share_policy
from patronus.sim.language.mistakes import Mistake, MistakesError, Source
from patronus.sim.language.records import Rec
from patronus.sim.language.shapes import Reading
from patronus.sim.language.tree import MapNode, lines_of


class ConfigError(MistakesError):
    """The agent cannot run like this."""

    outcome = "nothing was changed"


class _Library(Library):
    """Reads the files of a configuration: a base, and a policy that may be shared."""

    noun: ClassVar[str] = "an agent's configuration"

    def include(self, tree: MapNode, path: str) -> MapNode:
        """Return a tree in which the policy is no file name any more."""
        return self.policy(tree, path)


def load(path: str | os.PathLike[str]) -> AgentConfig:
    """Return the configuration of a file; what it names is looked for beside it.

    Raises:
        ConfigError: with every mistake that was found.
    """
    name = os.fspath(path)
    found: list[Mistake] = []
    return _config(_Library(found).document(name), name, found)


def parse(text: str, name: str = "agent.yml") -> AgentConfig:
    """Return the configuration of a text; files that it names are looked for beside ``name``.

    Raises:
        ConfigError: with every mistake that was found.
    """
    found: list[Mistake] = []
    tree = _Library(found, [name]).compose(Source(name, lines_of(text)), text)
    return _config(tree, name, found)


def _config(tree: MapNode | None, name: str, found: list[Mistake]) -> AgentConfig:
    if tree is None:
        raise ConfigError(found)
    reading = Reading(found)
    rec = AGENT.read(share_policy(tree), reading)
    assert isinstance(rec, Rec)  # the root is a mapping
    check(rec, reading)
    _own_key(rec, reading)
    if found:
        raise ConfigError(found)
    return building.config(rec, name)


def _own_key(root: Rec, reading: Reading) -> None:
    """Note a key file that cannot serve, and peers that are given our own key."""
    state = building.place(root, "state", "/var/lib/patronus")
    path = building.place(root, "identity", f"{state}/{building.IDENTITY}")
    own = identity.look(path)
    if own.trouble:
        reading.wrong(root.mark("identity"), f"{path}: {own.trouble}",
                      "a private Ed25519 key that only we can read", own.advice)  # fmt: skip
    for name, peer in root.get("peers", {}).items():
        if own.public and peer.get("key") == own.public:
            reading.wrong(peer.mark("key"), f"this is our own key, not that of {name}",
                          f"the public key of {name}",
                          "does another machine run with a copy of our key?")  # fmt: skip
