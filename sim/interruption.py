"""Ctrl-C, noted at once and obeyed between two slots, when all books are balanced."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interruption:
    """While entered, the first Ctrl-C is only noted; a second one is raised as usual.

    Other threads than the main one, and programs that handle the signal themselves, are
    left alone.
    """

    def __init__(self) -> None:
        self.noted = False
        self._mine = False

    def check(self) -> None:
        """Raise what was noted.

        Raises:
            KeyboardInterrupt: there was a Ctrl-C.
        """
        if self.noted:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._mine = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)
