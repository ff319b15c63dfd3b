"""Every fault is verified: what was commanded against what the receiver counted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patronus.sim.timeline import Occurrence

if TYPE_CHECKING:
    from patronus.sim.world import World


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured before, during and after a fault; -1 where nothing was."""

    before: int = -1
    during: int = -1
    after: int = -1
    verified: str = "unobserved"


class Gauges:
    """Watches the tunnels that faults hit."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of one occurrence."""
        return Reading()
