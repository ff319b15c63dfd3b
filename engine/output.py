"""What an engine hands to its driver."""

from dataclasses import dataclass, field

from patronus.engine.announcement import Announcement
from patronus.engine.forwarding import ForwardingDelta
from patronus.engine.overlay import I64


@dataclass(slots=True)
class Output:
    """What the driver has to do; empty after it was taken."""

    deltas: list[ForwardingDelta] = field(default_factory=list)
    unlatch: list[int] = field(default_factory=list)
    """Rows whose down latch the dataplane clears."""
    detect: list[tuple[I64, I64]] = field(default_factory=list)
    """(rows, new detect times)."""
    announcements: list[Announcement] = field(default_factory=list)
    detections: list[tuple[int, int, str]] = field(default_factory=list)
    """(row, time, layer) of each liveness-Down and brownout alarm."""
