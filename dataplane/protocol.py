"""The seam to a kernel: what the engine's driver asks of any dataplane.

Two things live below this line because packets need them when no agent runs: the
tunnels' stamps and the entries. Arrays are shared, as the kernel shares its
mapped memory; everything else is a call with the time in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from patronus.engine.fastpath import Verdict
from patronus.engine.forwarding import Bool, ForwardingDelta
from patronus.engine.overlay import I32, I64


@dataclass(frozen=True, eq=False, slots=True)
class KernelMoves:
    """Moves that the dataplane made by itself: the row of an entry changed without ``apply``.

    They are inputs of the engine's journal, never its decisions.
    """

    numbers: I64
    """Consecutive from 0 for each site; a gap means moves that were lost."""
    at_ns: I64
    entries: I64
    from_rows: I32
    to_rows: I32
    """``NO_ROW``: dropped from now on."""
    lost: int
    """Moves of this site that found the ring full, since the start."""

    def __len__(self) -> int:
        """Return the number of moves."""
        return len(self.numbers)


class Dataplane(Protocol):
    """What a kernel does for us; rows and entries as in the engine."""

    heard_ns: I64
    """Last authenticated packet of each row, ``LONG_AGO`` before the first."""
    confirmed_ns: I64
    """Last proof that the peer hears us, ``LONG_AGO`` before the first."""
    detect_ns: I64
    """Older proofs are stale."""
    latched: Bool
    """Down latch of each row; set by expiry and from the start."""

    def apply(self, delta: ForwardingDelta, now_ns: int) -> int:
        """Install new entries; return the generation that is in force."""

    def where(self, entry: int, now_ns: int) -> Verdict:
        """Tell where a packet of this entry would go."""

    def clear_latch(self, rows: Sequence[int], now_ns: int) -> None:
        """Let tunnels carry traffic again."""

    def set_detect(self, rows: I64, detect_ns: I64, now_ns: int) -> None:
        """Set the detect times of tunnels."""

    def events(self, site: int) -> KernelMoves:
        """Take the moves of one site out of its ring."""
