"""The trees of ranges in the kernel's memory: built in the idle bank, then one word is stored."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.linux.rangetree import (
    FAMILIES,
    Family,
    Range,
    flatten,
    levels_of,
    nodes_before,
    room,
)


def write_ranges(pins: Pins, ranges: Sequence[Iterable[Range]]) -> int:
    """Let packets find what these ranges lead to, of each of :data:`FAMILIES`, and nothing else.

    Returns:
        In how many families something else stood.

    Raises:
        ValueError: there are more than the maps have room for.
    """
    standing = pins.array("settings")["ranges"]
    changed = 0
    for number, (family, wanted) in enumerate(zip(FAMILIES, ranges, strict=True)):
        starts, words = flatten(wanted, family.highest)
        levels, bank = levels_of(starts, family), int(standing[0, number]) & 1
        with _memory(pins, family) as (nodes, places):
            if len(starts) > len(places) // 2:
                raise ValueError(f"no room for so many prefixes of IPv{family.version}")
            parts = [(places, 0, np.array(words, dtype=np.uint32))]
            parts += [(nodes, nodes_before(n, family.keys), made) for n, made in enumerate(levels)]
            if int(standing[0, number]) >> 1 == len(levels) and all(
                np.array_equal(_part(memory, bank, at, len(made)), made)
                for memory, at, made in parts
            ):
                continue
            for memory, at, made in parts:
                _part(memory, bank ^ 1, at, len(made))[:] = made
        standing[0, number] = len(levels) << 1 | bank ^ 1
        changed += 1
    return changed


def digest(pins: Pins, prefixes: int) -> int:
    """Return a number that changes when somebody writes into trees of so many prefixes."""
    found = zlib.crc32(pins.array("settings")["ranges"].tobytes())
    for family in FAMILIES:
        with _memory(pins, family) as parts:
            for part, used in zip(parts, room(prefixes, family.keys), strict=True):
                found = zlib.crc32(part[: 2 * used].data, found)
    return found


@contextmanager
def _memory(pins: Pins, family: Family) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Lend the nodes and places of a family."""
    with (
        pins.glance(f"ranges{family.version}") as nodes,
        pins.glance(f"places{family.version}") as places,
    ):
        yield nodes["key"], places["bank"].reshape(-1)


def _part(memory: npt.NDArray[Any], bank: int, at: int, count: int) -> npt.NDArray[Any]:
    """Return some rows of a bank; those of the two banks alternate."""
    return memory[bank::2][at : at + count]
