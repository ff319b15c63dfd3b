"""Looking things up the other way round: where in an array stands a value?"""

import numpy as np

from patronus.engine.overlay import I32, I64


class Inverse:
    """Positions by value: ``of(values)`` gives where an array holds any of them."""

    def __init__(self, values: I32) -> None:
        self._order = np.argsort(values, kind="stable").astype(np.int32)
        self._sorted = values[self._order]

    def of(self, values: I64) -> I64:
        """Return the positions of all given values, unsorted."""
        low = np.searchsorted(self._sorted, values, side="left")
        high = np.searchsorted(self._sorted, values, side="right")
        parts = [self._order[a:b] for a, b in zip(low, high, strict=True)]
        return np.concatenate(parts, dtype=np.int64) if parts else np.zeros(0, dtype=np.int64)
