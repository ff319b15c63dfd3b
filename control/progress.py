"""A progress bar for whatever takes longer than two seconds, if somebody is looking.

It stands on the standard error and vanishes, so the output is the same with and without.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PATIENCE_S: Final = 2.0


class Progress:
    """A context manager; what happens is told with :meth:`at`."""

    def __init__(self, label: str, *, patience_s: float = PATIENCE_S) -> None:
        self._lock = Lock()
        self._label, self._share = label, 0.0
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._over = False
        self._timer = Timer(patience_s, self._show) if watched() else None

    def at(self, label: str, share: float) -> None:
        """Say what is being done and how much of it is done, from 0 to 1."""
        self._label, self._share = label, share
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=label, completed=share)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away while something else is printed to the terminal."""
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
            try:
                yield
            finally:
                if self._bar is not None:
                    self._bar.start()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        with self._lock:
            if self._over:
                return
            bar = Bar(console=Console(stderr=True), transient=True)
            self._task = bar.add_task(self._label, total=1.0)
            bar.update(self._task, completed=self._share)
            bar.start()
            self._bar = bar

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._over = True
            if self._bar is not None:
                self._bar.stop()


def watched() -> bool:
    """Tell whether the standard error is a terminal that can redraw a line."""
    return sys.stderr is not None and sys.stderr.isatty() and redraws()


def redraws() -> bool:
    """Tell whether the terminal is known to understand more than plain lines."""
    return os.environ.get("TERM", "dumb") not in ("", "dumb")
