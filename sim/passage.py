"""What packets meet between two sites."""

from dataclasses import dataclass
from typing import NamedTuple

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools


@dataclass(frozen=True, eq=False)
class Passage:
    """What some packets meet on their whole way; arrays of one length."""

    delay_ns: I64
    jitter_ns: I64
    loss_ppm: I64
    """Corrupted packets included; 1,000,000 where any link is black."""
    mtu: I64
    duplicate_ppm: I64
    reorder_ppm: I64
    reorder_ns: I64
    """What is added to the delay of packets that are held back."""


class Sky(NamedTuple):
    """The luck and the ways of all rows, as ``sim.compiled.fly`` takes them."""

    keys: U64
    out: tuple[I64, I64, U64]
    """Delay, bound of jitter, limit of loss."""
    home: tuple[I64, I64, U64]
    lively: Bools
    """These rows must be looked up packet by packet."""
