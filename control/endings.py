"""How a command ends: exit codes, messages, and the command that shows it again."""

import errno
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

PASS: Final = 0
FAIL: Final = 1
BAD_INPUT: Final = 2
UNDECIDED: Final = 3
INVALID: Final = 4
"""Nothing is concluded, and the scenario is not to blame: no space, no memory."""
BUG: Final = 70
"""As EX_SOFTWARE of sysexits.h."""
INTERRUPTED: Final = 130
READER_GONE: Final = 141
"""These two as shells report SIGINT and SIGPIPE."""

BY_VERDICT: Final = {
    "pass": PASS, "none": PASS, "fail": FAIL, "undecided": UNDECIDED, "invalid": INTERRUPTED,
}  # fmt: skip

_WORST_FIRST: Final = (INTERRUPTED, INVALID, FAIL, UNDECIDED, PASS)

_ABOUT_THE_MACHINE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})


class Failure(Exception):
    """An end that the program foresees; the message is for the user."""

    def __init__(self, message: str, code: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code


class ReaderGone(Exception):
    """Whoever read our output does not any more."""


def worst(codes: Sequence[int]) -> int:
    """Return the exit code of several scenarios together."""
    return next((code for code in _WORST_FIRST if code in codes), PASS)


def reproduce(command: str) -> None:
    """Print the command that shows a failure again."""
    click.echo(f"Reproduce: {command}", err=True)


def typed(words: Sequence[str]) -> str:
    """Return the command line as it was given."""
    return shlex.join(["patronus", *words])


def end(error: BaseException, words: Sequence[str]) -> int:
    """Explain an error and return the exit code.

    Raises:
        SystemExit: it was one already.
    """
    if isinstance(error, SystemExit):
        raise error
    try:
        code = _explain(error)
        reproduce(typed(words))
    except OSError:  # not even the standard error can be written to
        code = INVALID
    if isinstance(error, ReaderGone):
        _let_go_of_output()
    return code


def _explain(error: BaseException) -> int:
    if isinstance(error, click.UsageError):
        error.show()
        return BAD_INPUT
    foreseen = _foreseen(error)
    if foreseen is None:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        click.echo("patronus: this is a bug; please report it with the lines above.", err=True)
        return BUG
    message, code = foreseen
    click.echo(f"patronus: {message}", err=True)
    return code


def _foreseen(error: BaseException) -> tuple[str, int] | None:
    """Return the message and the exit code of an error that is no bug."""
    match error:
        case Failure():
            return str(error), error.code
        case click.ClickException():
            return error.format_message(), BAD_INPUT
        case ReaderGone():
            return "whoever read this output went away before its end", READER_GONE
        case click.Abort() | KeyboardInterrupt():
            return "interrupted before it was finished", INTERRUPTED
        case MemoryError():
            return "there is not enough memory for this; nothing is concluded", INVALID
        case OSError() if error.errno in _ABOUT_THE_MACHINE:
            return f"cannot write: {error.strerror}", INVALID
    return _of_the_simulator(error)


def _of_the_simulator(error: BaseException) -> tuple[str, int] | None:
    # Imported now: they bring libraries that most commands can do without.
    from patronus.sim.language.mistakes import MistakesError

    if isinstance(error, MistakesError):
        count = len(error.mistakes)
        what = "a mistake" if count == 1 else f"{count} mistakes"
        return f"{what} in what was given; {error.outcome}\n\n{error}\n", BAD_INPUT
    home = type(error).__module__.removeprefix("patronus.sim.")
    if home in _OUTCOMES:
        what, code = _OUTCOMES[home]
        return f"{error}; {what}", code
    return (str(error), code_of(error)) if home in ("folder", "golden") else None


_OUTCOMES: Final = {
    "crew": ("nothing is concluded", INVALID),
    "footprint": ("nothing was run", INVALID),
    "sweep.places": ("nothing was run", BAD_INPUT),
}
"""By the module that defines an error: what follows from it."""


def code_of(error: BaseException) -> int:
    """Return the exit code of a folder that cannot be written or read: it may be the machine's."""
    cause = error.__cause__
    full = isinstance(cause, OSError) and cause.errno in _ABOUT_THE_MACHINE
    return INVALID if full else BAD_INPUT


def _let_go_of_output() -> None:
    # What is still buffered goes nowhere; else the interpreter would complain at its end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
