"""Dice whose throws depend on their own name and number alone.

Each part of a schedule has dice of its own name, so a further question about the
policy does not change the faults. Draws are exact: words of :mod:`luck`, cut to size
by the remainder; with ranges far below 2^32 no outcome is favoured by 1 in 10^9.
"""

from collections.abc import Sequence
from itertools import count
from typing import Final, TypeVar

import numpy as np

from patronus.engine.fingerprint import name_key
from patronus.sim.luck import object_keys, words

Item = TypeVar("Item")

PERCENT: Final = 100
_AT_ONCE: Final = 64


class Dice:
    """Throws in order; two of one seed and name throw the same."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed, self._name = seed, name
        self._key = object_keys(seed, "fuzz", np.array([name_key(name)], dtype=np.uint64))
        self._ahead: list[int] = []
        self._ordinals = count(step=_AT_ONCE)

    def _throw(self) -> int:
        if not self._ahead:
            first = next(self._ordinals)
            keys = np.repeat(self._key, _AT_ONCE)
            found = words(keys, np.arange(first, first + _AT_ONCE, dtype=np.int64))
            self._ahead = found.tolist()[::-1]
        return self._ahead.pop()

    def apart(self, name: str) -> "Dice":
        """Return dice of a further name, which these do not influence."""
        return Dice(self._seed, f"{self._name}/{name}")

    def between(self, least: int, most: int) -> int:
        """Return a whole number from ``least`` to ``most``."""
        return least + self._throw() % (most - least + 1)

    def scale(self, least: int, most: int) -> int:
        """Return a whole number, each doubling as likely as the next; ``least`` is above 0."""
        doublings = max(0, (most // least).bit_length() - 1)
        low = least << self.between(0, doublings)
        return min(most, self.between(low, 2 * low - 1))

    def percent(self, share: int) -> bool:
        """Tell whether something of this many per cent happens."""
        return self.between(1, PERCENT) <= share

    def one(self, items: Sequence[Item]) -> Item:
        """Return one of some items."""
        return items[self.between(0, len(items) - 1)]

    def some(self, items: Sequence[Item], number: int) -> tuple[Item, ...]:
        """Return so many different ones (all if there are fewer), in their own order."""
        left = [*range(len(items))]
        taken = [left.pop(self.between(0, len(left) - 1)) for _ in range(min(number, len(items)))]
        return tuple(items[place] for place in sorted(taken))
