"""The command ``patronus``: finds the command, runs it, and says how it ended.

Commands return their exit code. Whatever they raise ends here: what a user can
mend becomes one message, what nobody foresaw a traceback, and both are followed by
the command that shows it again. ``docs/cli.md`` lists the exit codes.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from patronus.control import progress
from patronus.control.endings import PASS, ReaderGone, end
from patronus.control.groups import LazyGroup

COMMANDS: Final = (
    "run", "sweep", "check", "whatif", "fuzz", "golden", "why", "compare", "report",
    "scenarios", "topologies", "schema", "agent", "replay", "bench",
)  # fmt: skip
"""In the order in which one needs them."""


class Patronus(LazyGroup):
    """The group of all commands, and the end of each."""

    def suggest(self, word: str) -> str:
        """Return what somebody may have meant: a command, or to run a scenario."""
        return super().suggest(word) or _scenario(word)

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


def _scenario(word: str) -> str:
    """Return the command that runs a scenario, if somebody wrote the name of one alone."""
    from patronus.control.options import again, scenario_file

    return again("run", word) if Path(scenario_file(word)).is_file() else ""


@click.group(
    cls=Patronus,
    package="patronus.control.commands",
    names=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="patronus", message="%(prog)s %(version)s")
def cli() -> None:
    """Rehearse network failures, and run the rehearsed engine on a site's router."""


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
