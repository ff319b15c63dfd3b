"""The command ``patronus``: finds the command, runs it, and says how it ended.

Commands return their exit code. Whatever they raise ends here: what a user can
mend becomes one message, what nobody foresaw a traceback, and both are followed by
the command that shows it again. ``docs/cli.md`` lists the exit codes.
"""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from patronus.control.endings import PASS, ReaderGone, end

COMMANDS: Final = (
    "run", "check", "golden", "why", "compare", "report", "scenarios", "topologies", "schema",
)  # fmt: skip
"""In the order in which one needs them."""


class Patronus(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in our order, not by the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"patronus.control.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant, or say which one was perhaps."""
        near = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and near:
            ctx.fail(f"no such command {args[0]!r}; did you mean `{near[0]}`?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would take a reader that went away for a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # as click has it; ours is always off
        **extra: Any,
    ) -> Any:
        """Run ``patronus`` and leave with its exit code."""
        words = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(
                words, prog_name or "patronus", complete_var, standalone_mode=False, **extra
            )
            sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001  # the last place that can explain it
            code = end(error, words)
        sys.exit(PASS if code is None else code)


@click.group(cls=Patronus, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="patronus", message="%(prog)s %(version)s")
def cli() -> None:
    """Rehearse network failures: one scenario file in, a failover report out."""


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    # Threads of BLAS have nothing to do here, and cost time and memory to start.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    cli.main()
