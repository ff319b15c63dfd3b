"""The side of a study that asks: starts the nursery, listens, and ends it.

with Study(orders) as study:
    for message in study.messages():
        ...
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from patronus.sim.crew import CrewError
from patronus.sim.whatif.nursery import Broken, Finished, Message, nursery
from patronus.sim.whatif.orders import Orders


class Study:
    """A nursery at work; leaving it early ends the nursery and its children."""

    def __init__(self, orders: Orders) -> None:
        """Start.

        A script needs the usual ``if __name__ == "__main__":``, since the nursery is
        started afresh.
        """
        context = multiprocessing.get_context("spawn")
        self._told, theirs = context.Pipe()
        self._process = context.Process(target=nursery, args=(theirs, orders), name="whatif")
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The process of the nursery, which also names the group of its children."""
        assert self._process.pid is not None, "it has been started"
        return self._process.pid

    def messages(self) -> Iterator[Message]:
        """Yield what the nursery tells, ``Finished`` last.

        Raises:
            ScenarioError: the scenario cannot be run.
            WhatIfError: there is nothing to study.
            NotConverged: the warm-up was too short.
            CrewError: the nursery died.
        """
        while True:
            try:
                message: Message = self._told.recv()
            except (EOFError, ConnectionResetError) as error:
                why = "the process that held the overlay died; perhaps there is not enough memory"
                raise CrewError(why) from error
            if isinstance(message, Broken):
                message.error.add_note(message.trace)
                raise message.error
            yield message
            if isinstance(message, Finished):
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._told.close()
        pid = self._process.pid
        if kind is not None and pid is not None and self._process.is_alive():
            # Its children are in its group; before it has one there are none.
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            self._process.kill()
        self._process.join()
        self._process.close()
