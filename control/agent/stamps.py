"""Edges of silence, read off the kernel's stamps now and then.

The kernel keeps the time of the last proof and the start of the unbroken confirmation. Between
two looks a tunnel may have gone silent and come back: then it is heard now as before, but the
confirmation began anew, and both edges are told.
"""

import numpy as np

from patronus.engine.forwarding import Bool
from patronus.engine.liveness import Input
from patronus.engine.overlay import I64
from patronus.engine.silence import Edges
from patronus.engine.units import NEVER


class Stamps:
    """What was seen at the last look."""

    def __init__(self, since_ns: I64) -> None:
        """Begin with what the engine was told: silent where no confirmation is under way."""
        self.silent: Bool = since_ns == NEVER
        self._since_ns: I64 = since_ns.copy()

    def look(self, *, confirmed_ns: I64, detect_ns: I64, since_ns: I64, now_ns: int) -> Edges:
        """Return what has happened since the last look, in order of time.

        Args:
            confirmed_ns: last proof of each row.
            detect_ns: of each row.
            since_ns: start of its unbroken confirmation, ``NEVER`` while silent.
            now_ns: not before what any stamp says.
        """
        fresh = now_ns - confirmed_ns <= detect_ns
        gone = np.flatnonzero(~self.silent & ~fresh)
        # ``NEVER`` with a fresh proof: the kernel is between its two stores.
        began = fresh & (since_ns != self._since_ns) & (since_ns != NEVER)
        blinked = np.flatnonzero(~self.silent & began)
        back = np.flatnonzero(self.silent & fresh)
        self.silent = ~fresh
        self._since_ns[began] = since_ns[began]
        at_ns = np.minimum(since_ns, now_ns)
        gone_ns = confirmed_ns[gone] + detect_ns[gone] + 1
        return _in_order(
            (gone, np.minimum(gone_ns, now_ns), Input.EXPIRE),
            (blinked, at_ns[blinked], Input.EXPIRE),
            (blinked, at_ns[blinked], Input.CONFIRM),
            (back, at_ns[back], Input.CONFIRM),
        )

    def cut(self, rows: I64) -> None:
        """Take note that the engine was told that rows are silent."""
        self.silent[rows] = True


def _in_order(*parts: tuple[I64, I64, Input]) -> Edges:
    row = np.concatenate([rows for rows, _, _ in parts])
    at_ns = np.concatenate([times for _, times, _ in parts])
    kind = np.concatenate([np.full(len(r), int(k), dtype=np.int8) for r, _, k in parts])
    order = np.lexsort((-kind, row, at_ns))
    return Edges(at_ns[order], row[order], kind[order])
