"""Ranges of addresses as trees that packets are looked up in, see ``bpf/ranges.h``."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.records import RANGE_KEYS4, RANGE_KEYS6, RANGE_LEVELS


class Family(NamedTuple):
    """How the addresses of one version of IP are searched."""

    version: int
    bits: int
    """Of an address that count."""
    keys: int
    """Of a node."""

    @property
    def highest(self) -> int:
        """Return the highest address, as far as it counts."""
        return (1 << self.bits) - 1


FAMILIES: Final = (Family(4, 32, RANGE_KEYS4), Family(6, 64, RANGE_KEYS6))


class Range(NamedTuple):
    """Addresses that one prefix covers."""

    low: int
    length: int
    """Of the prefix: of two ranges that begin together, the shorter prefix is the wider one."""
    high: int
    word: int
    """What they lead to."""


def flatten(ranges: Iterable[Range], highest: int) -> tuple[list[int], list[int]]:
    """Return where what begins: addresses in order, from 0, and what each leads to until the next.

    Ranges lie within each other or apart, as prefixes do; of several the narrowest counts.
    """
    starts, words = [0], [0]
    open_ranges: list[Range] = []

    def begin(at: int, word: int) -> None:
        if starts[-1] == at:
            words[-1] = word
        elif words[-1] != word and at <= highest:
            starts.append(at)
            words.append(word)

    def end_before(at: int) -> None:
        while open_ranges and open_ranges[-1].high < at:
            ended = open_ranges.pop()
            begin(ended.high + 1, open_ranges[-1].word if open_ranges else 0)

    for each in sorted(ranges):
        end_before(each.low)
        begin(each.low, each.word)
        open_ranges.append(each)
    end_before(highest + 1)
    return starts, words


def levels_of(starts: list[int], family: Family) -> list[npt.NDArray[Any]]:
    """Return the nodes of a tree over some addresses, level by level from its root."""
    keys = np.array(starts, dtype=f"u{family.bits // 8}")
    levels: list[npt.NDArray[Any]] = []
    while not levels or len(levels[0]) > 1:
        nodes = np.full((-(-len(keys) // family.keys), family.keys), family.highest, keys.dtype)
        nodes.reshape(-1)[: len(keys)] = keys
        levels.insert(0, nodes)
        keys = nodes[:, 0]
    assert len(levels) <= RANGE_LEVELS, "the maps are not so large"
    return levels


def nodes_before(level: int, keys: int) -> int:
    """Return how many nodes lie before those of a level."""
    return int((keys**level - 1) // (keys - 1))


def room(prefixes: int, keys: int) -> tuple[int, int]:
    """Return how many nodes and places of a bank so many prefixes may need."""
    places = -(-(2 * prefixes + 1) // keys) * keys
    level, nodes = 0, places // keys
    while keys**level < nodes:
        level += 1
    return nodes_before(level, keys) + nodes, places
