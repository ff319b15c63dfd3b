"""The page about the command line says what the command line does."""

import re

import click
import pytest

from patronus.control import endings
from patronus.control.cli import COMMANDS, cli
from tests.rules.tree import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text()


def found(name: str) -> click.Command:
    """Return a command by its name, or by those of its group and its own."""
    command: click.Command = cli
    for word in name.split():
        assert isinstance(command, click.Group)
        with click.Context(command) as context:
            inner = command.get_command(context, word)
        assert inner is not None
        command = inner
    return command


def every() -> list[str]:
    """Return all commands that do something, those in groups among them."""
    names = []
    for name in COMMANDS:
        command = found(name)
        if isinstance(command, click.Group):
            with click.Context(command) as context:
                names += [f"{name} {inner}" for inner in command.list_commands(context)]
        else:
            names.append(name)
    return names


def options(name: str) -> set[str]:
    """Return the long options of a command."""
    command = found(name)
    return {word for p in command.params for word in p.opts if word.startswith("--")}


@pytest.mark.parametrize("name", every())
def test_every_command_is_told(name: str) -> None:
    """Each command stands in the table, and its synopsis has exactly its options."""
    assert f"| [`{name.split(maxsplit=1)[0]}`]" in PAGE
    synopsis = re.search(rf"^    patronus {name} ((?:.+\n)+)", PAGE, flags=re.MULTILINE)
    assert synopsis or " " not in name
    told = set(re.findall(r"--[a-z-]+", synopsis[1])) if synopsis else set()
    assert told == options(name)


def test_the_options_of_run_are_explained() -> None:
    """Each option of ``run`` has a line that says what it means."""
    part = PAGE.partition("\n## run")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| `(--[a-z-]+)", part, flags=re.MULTILINE))
    assert explained == options("run") - {"--max"}


def test_every_exit_code_is_told() -> None:
    """The table of exit codes is complete, in order, and in the order of gravity."""
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)]
    names = ("PASS", "FAIL", "BAD_INPUT", "UNDECIDED", "INVALID", "BUG", "INTERRUPTED")
    assert told == sorted([*(getattr(endings, name) for name in names), endings.READER_GONE])
    gravity = re.search(r"the gravest end counts: ([\d, ]+)", PAGE)
    assert gravity is not None
    order = [int(code) for code in gravity[1].split(",") if code.strip()]
    assert [endings.worst(order[i:]) for i in range(len(order))] == order
