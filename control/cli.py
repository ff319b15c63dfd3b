"""The command ``patronus``: finds the command, runs it, and says how it ended.

Commands return their exit code. Whatever they raise ends here: what a user can
mend becomes one message, what nobody foresaw a traceback, and both are followed by
the command that shows it again. ``docs/cli.md`` lists the exit codes.
"""

import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from patronus.control import progress
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
        if args[0] not in COMMANDS and (meant := _meant(args[0])):
            ctx.fail(f"no such command {args[0]!r}; did you mean `{meant}`?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would take a reader that went away for a failure."""
        if os.environ.get("NO_COLOR") or not progress.redraws():
            ctx.color = False
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
            if sys.stdout is not None:  # closed by whoever started us
                sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001  # the last place that can explain it
            code = end(error, words)
        sys.exit(PASS if code is None else code)


def _meant(word: str) -> str:
    """Return what somebody who wrote another word than a command may have meant, if anything."""
    near = get_close_matches(word, COMMANDS, n=1)
    if near:
        return near[0]
    from patronus.control.options import again, scenario_file

    return again("run", word) if Path(scenario_file(word)).is_file() else ""


@click.group(cls=Patronus, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="patronus", message="%(prog)s %(version)s")
def cli() -> None:
    """Rehearse network failures: one scenario file in, a failover report out."""


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    # Threads of BLAS have nothing to do here, and cost time and memory to start.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    _be_told_to_stop()
    cli.main()


def _be_told_to_stop() -> None:
    """Let a request to end be what Ctrl-C is: what was finished until then is kept."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # A program that is to outlive its terminal (nohup) is left alone.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
