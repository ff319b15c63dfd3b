"""A bounded, numbered ring of the moves that a dataplane made by itself."""

import numpy as np

from patronus.dataplane.protocol import KernelMoves
from patronus.engine.overlay import I32, I64


class Ring:
    """Keeps the oldest moves when it is full, and counts and numbers the others.

    This is how the kernel's ring buffer behaves: a record that finds no room is lost,
    and its number is missing afterwards.
    """

    __slots__ = ("_capacity", "_held", "_lost", "_next", "_parts")

    def __init__(self, capacity: int) -> None:
        assert capacity > 0
        self._capacity = capacity
        self._parts: list[tuple[I64, I64, I64, I32, I32]] = []
        self._held = 0
        self._next = 0
        self._lost = 0

    def __len__(self) -> int:
        """Return the number of moves that wait."""
        return self._held

    def push(self, at_ns: int, entries: I64, from_rows: I32, to_rows: I32) -> None:
        """Add moves of one instant."""
        count = len(entries)
        kept = min(count, self._capacity - self._held)
        if kept:
            numbers = np.arange(self._next, self._next + kept, dtype=np.int64)
            times = np.full(kept, at_ns, dtype=np.int64)
            self._parts.append((numbers, times, entries[:kept], from_rows[:kept], to_rows[:kept]))
        self._held += kept
        self._lost += count - kept
        self._next += count

    def drain(self) -> KernelMoves:
        """Take everything out, oldest first."""
        if len(self._parts) == 1:  # nearly always
            (part,), self._parts, self._held = self._parts, [], 0
            return KernelMoves(*part, self._lost)
        empty = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
        parts = [(empty[0], empty[0], empty[0], empty[1], empty[1]), *self._parts]
        self._parts, self._held = [], 0
        numbers, at_ns, entries = (np.concatenate([p[i] for p in parts]) for i in range(3))
        from_rows, to_rows = (np.concatenate([p[i] for p in parts]) for i in (3, 4))
        return KernelMoves(numbers, at_ns, entries, from_rows, to_rows, self._lost)
