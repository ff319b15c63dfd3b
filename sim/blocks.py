"""Work over many rows or sites in blocks, on two threads where there are many.

NumPy and compiled passes let go of the interpreter in their loops. Blocks share no row, so
it does not matter which thread is ahead; results come in the order of blocks.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from patronus.sim.flight import BLOCK

T = TypeVar("T")

_THREADED: Final = 3
"""So many blocks make a second thread worth its start."""


class Blocks:
    """The threads, started when there is work for them."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, count: int, work: Callable[[slice], T], /, block: int = BLOCK) -> list[T]:
        """Work through ``range(count)``; return what ``work`` returned for each block."""
        parts = [slice(at, min(at + block, count)) for at in range(0, count, block)]
        if len(parts) < _THREADED:
            return [work(part) for part in parts]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2)
        return list(self._pool.map(work, parts))

    def rest(self) -> None:
        """End the threads, as before a fork, which would not take them along."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
