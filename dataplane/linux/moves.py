"""The ring of moves that the kernel made by itself, read out of mapped memory.

The kernel writes a move into the next place and says so with its last store; we say what we
took with ours, which frees the places. Both counters are pinned with the ring: an agent that
starts reads on where its forerunner ended.
"""

import numpy as np

from patronus.dataplane.linux.pins import Arrays
from patronus.dataplane.protocol import KernelMoves


class MoveReader:
    """Takes moves out of the ring, oldest first."""

    __slots__ = ("_moves", "_ring")

    def __init__(self, pins: Arrays) -> None:
        self._moves = pins.array("moves")
        self._ring = pins.array("ring")

    def take(self) -> KernelMoves:
        """Take out all moves that are written to the end."""
        tail, head = int(self._ring["tail"][0]), int(self._ring["head"][0])
        waiting = np.arange(tail, head, dtype=np.int64)
        found = self._moves[waiting % len(self._moves)]
        # A place that is claimed and not yet written ends what can be read now.
        unready = np.flatnonzero(found["ready"] != (waiting + 1).astype(np.uint64))
        count = int(unready[0]) if len(unready) else len(waiting)
        found = found[:count]
        self._ring["tail"] = tail + count
        return KernelMoves(
            numbers=found["number"].astype(np.int64),
            at_ns=found["at_ns"],
            entries=found["entry"].astype(np.int64),
            from_rows=found["from_row"],
            to_rows=found["to_row"],
            lost=int(self._ring["lost"][0]),
        )
