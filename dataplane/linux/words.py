"""Entries as the kernel keeps them: one word of 64 bits, stored and read whole.

Bits 0 to 47 hold three rows of 16 bits, as row + 1 so that a word of zero is an entry
without candidates; the top 16 hold :class:`~patronus.dataplane.linux.records.EntryFlag` and
the two shares in sixteenths.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.records import ENTRY_SHARE_1, ENTRY_SHARE_2, EntryFlag
from patronus.engine.forwarding import CANDIDATES, Bool
from patronus.engine.overlay import I32, I64

U64 = npt.NDArray[np.uint64]

_FLAGS: Final = 48
_SHIFTS: Final = np.arange(CANDIDATES, dtype=np.uint64) * np.uint64(16)
_DIRECT: Final = (_FLAGS + 2) + np.arange(CANDIDATES, dtype=np.uint64)
_ROW: Final = np.uint64(0xFFFF)
_SHARE: Final = np.array([_FLAGS + ENTRY_SHARE_1, _FLAGS + ENTRY_SHARE_2], dtype=np.uint64)


class Entries(NamedTuple):
    """What entry words mean; arrays of equal length."""

    rows: I32
    """Shape (n, 3)."""
    drop: Bool
    shared_fate: Bool
    direct: Bool
    """Shape (n, 3): the candidate ends at the destination."""
    shares: I64
    """Shape (n, 2): sixteenths of the flows that prefer the first and second backup."""


def pack(entries: Entries) -> U64:
    """Return the words of entries."""
    assert entries.rows.max(initial=0) < 0xFFFF
    assert ((entries.shares >= 0) & (entries.shares < 16)).all()
    word: U64 = ((entries.rows + 1).astype(np.uint64) << _SHIFTS).sum(axis=1, dtype=np.uint64)
    word |= _bit(entries.drop, EntryFlag.DROP) | _bit(entries.shared_fate, EntryFlag.SHARED_FATE)
    word |= (entries.direct.astype(np.uint64) << _DIRECT).sum(axis=1, dtype=np.uint64)
    word |= (entries.shares.astype(np.uint64) << _SHARE).sum(axis=1, dtype=np.uint64)
    return word


def unpack(words: U64) -> Entries:
    """Return what words mean; the inverse of :func:`pack`."""
    column = words[:, None]
    return Entries(
        rows=((column >> _SHIFTS) & _ROW).astype(np.int32) - np.int32(1),
        drop=_is_set(words, EntryFlag.DROP),
        shared_fate=_is_set(words, EntryFlag.SHARED_FATE),
        direct=((column >> _DIRECT) & np.uint64(1)).astype(np.bool_),
        shares=((column >> _SHARE) & np.uint64(15)).astype(np.int64),
    )


def _bit(flags: Bool, flag: EntryFlag) -> U64:
    return flags.astype(np.uint64) * np.uint64(int(flag) << _FLAGS)


def _is_set(words: U64, flag: EntryFlag) -> Bool:
    found: Bool = (words & np.uint64(int(flag) << _FLAGS)) != 0
    return found
