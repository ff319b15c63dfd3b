"""Timers by key, and the earliest of them; setting one again moves it."""

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from patronus.engine.units import NEVER

Key = TypeVar("Key", bound=Hashable)


class Timers(Generic[Key]):
    """A heap whose entries are left behind when they no longer stand."""

    def __init__(self) -> None:
        self._at_ns: dict[Key, int] = {}
        self._heap: list[tuple[int, int, Key]] = []
        self._count = 0

    def __contains__(self, key: Key) -> bool:
        """Return whether a timer is set."""
        return key in self._at_ns

    def set(self, key: Key, at_ns: int) -> None:
        """Set a timer, or move it."""
        self._at_ns[key] = at_ns
        self._count += 1  # keys need not be comparable, and equal times keep their order
        heapq.heappush(self._heap, (at_ns, self._count, key))
        if len(self._heap) > 2 * len(self._at_ns) + 16:
            self._compact()

    def clear(self, key: Key) -> None:
        """Unset a timer."""
        self._at_ns.pop(key, None)

    def clear_all(self) -> None:
        """Unset all timers."""
        self._at_ns.clear()
        self._heap.clear()

    def next(self) -> int:
        """Return when the earliest timer is due, ``NEVER`` if none is set."""
        while self._heap:
            at_ns, _, key = self._heap[0]
            if self._at_ns.get(key) == at_ns:
                return at_ns
            heapq.heappop(self._heap)
        return NEVER

    def due(self, now_ns: int) -> Iterator[Key]:
        """Unset and yield the timers that are due one by one, the earliest first.

        What is done about one may unset the others: those are not due any more. One that is
        set meanwhile waits for the next call.
        """
        before = self._count
        while self.next() <= now_ns and self._heap[0][1] <= before:
            _, _, key = heapq.heappop(self._heap)
            del self._at_ns[key]
            yield key

    def _compact(self) -> None:
        seen = set()
        kept = []
        for at_ns, count, key in sorted(self._heap, key=lambda entry: entry[:2]):
            if self._at_ns.get(key) == at_ns and key not in seen:
                seen.add(key)
                kept.append((at_ns, count, key))
        self._heap = kept  # sorted: a heap already
