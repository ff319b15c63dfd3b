"""pyroute2 in a thread of its own: it runs an event loop, and there is one here already.

Callers wait for what they ask for; that takes a few milliseconds, and the kernel forwards.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pyroute2 import IPRoute

T = TypeVar("T")

PATIENCE_S: Final = 30.0


class Netlink:
    """One socket, used by one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="netlink")
        self.ip: IPRoute = self.do(IPRoute)
        """For jobs that run in :meth:`do`."""

    def do(self, job: Callable[[], T]) -> T:
        """Do a job and return what comes of it, errors included."""
        return self._thread.submit(job).result(PATIENCE_S)

    def close(self) -> None:
        """Let go of the socket."""
        self.do(self.ip.close)
        self._thread.shutdown()
