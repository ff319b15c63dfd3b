"""Raw notes of a run, kept small; :mod:`result` makes frames of them."""

from dataclasses import dataclass, field

from patronus.engine.liveness import I8
from patronus.engine.overlay import I32, I64
from patronus.engine.verdict import Figures
from patronus.sim.tally import Second
from patronus.sim.timeline import Occurrence


@dataclass
class Records:
    """What was noted since the start of the scenario."""

    detections: list[tuple[int, int, str, Occurrence | None]] = field(default_factory=list)
    """(row, time, layer, the fault behind it)."""
    seconds: list[tuple[int, I32, Second]] = field(default_factory=list)
    """(start, rows in use by flow, counts by flow)."""
    health: list[tuple[int, I64, I8, Figures]] = field(default_factory=list)
    """(time, rows, liveness states, figures)."""

    def clear(self) -> None:
        """Forget everything."""
        self.detections.clear()
        self.seconds.clear()
        self.health.clear()
