"""What packets meet between two sites."""

from dataclasses import dataclass

from patronus.engine.overlay import I64


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
