"""Groups of commands that are imported when they are used."""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Commands of the modules of one package, each called ``command`` there."""

    def __init__(self, *, package: str, names: Sequence[str], **rest: Any) -> None:
        """Create the group.

        Args:
            package: that holds the modules; ``-`` in a name is ``_`` there.
            names: in the order in which one needs them.
            rest: as ``click.Group`` has it.
        """
        super().__init__(**rest)
        self.package, self.names = package, tuple(names)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in our order, not by the alphabet."""
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        if cmd_name not in self.names:
            return None
        module = import_module(f"{self.package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant, or say which one was perhaps."""
        if args[0] not in self.names and (meant := self.suggest(args[0])):
            ctx.fail(f"no such command {args[0]!r}; did you mean `{meant}`?")
        return super().resolve_command(ctx, args)

    def suggest(self, word: str) -> str:
        """Return the command that somebody may have meant by another word, "" if none."""
        near = get_close_matches(word, self.names, n=1)
        return near[0] if near else ""
