"""Our BFD driver in a thread of its own, which lives in a network namespace."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import TypeVar

from patronus.dataplane.bfd.driver import Driver
from patronus.dataplane.bfd.machine import State
from patronus.dataplane.bfd.session import StateChanged
from patronus.dataplane.bfd.sockets import Peer
from tests.interop.namespaces import enter

Answer = TypeVar("Answer")


class Speaker:
    """Drives BFD in a namespace; :meth:`ask` runs a function in its event loop."""

    def __init__(self, namespace: str, port: int) -> None:
        self.events: Queue[tuple[Peer, StateChanged]] = Queue()
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._port = port
        self._thread = Thread(target=self._live, args=(namespace,), name=f"bfd in {namespace}")
        self._thread.start()
        self._loop, self._stop = self._ready.result(10)

    def ask(self, question: Callable[[], Answer]) -> Answer:
        async def answer() -> Answer:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def wait_for(self, state: State, within_s: float = 15.0) -> StateChanged:
        """Return the next change to a state; others on the way are passed over."""
        until = monotonic() + within_s
        while True:
            _, event = self.events.get(timeout=max(0.0, until - monotonic()))
            if event.after is state:
                return event

    @property
    def quiet(self) -> bool:
        """Whether nothing has happened since the last event that was waited for."""
        try:
            self.events.get_nowait()
        except Empty:
            return True
        return False

    def _live(self, namespace: str) -> None:
        try:
            enter(namespace)
            asyncio.run(self._main())
        except BaseException as problem:  # told to the thread that waits
            if self._ready.done():
                raise
            self._ready.set_exception(problem)

    async def _main(self) -> None:
        self.driver = Driver(lambda *event: self.events.put(event), port=self._port)
        stop = asyncio.Event()
        self._ready.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        self.driver.close()


@contextmanager
def speaker(namespace: str, port: int = 3784) -> Iterator[Speaker]:
    """Yield a speaker in a namespace; it is stopped afterwards."""
    made = Speaker(namespace, port)
    try:
        yield made
    finally:
        made.stop()
