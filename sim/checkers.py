"""Invariants, watched from outside: forwarding tables and the wire's truth, no engine state."""

from typing import TYPE_CHECKING

from patronus.engine.units import SECOND

if TYPE_CHECKING:
    from patronus.sim.world import World


class Checkers:
    """Counts what must not happen."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.loops = 0
        self.black_holes = 0
        self.flaps = 0
        self.bound_ns = 10 * SECOND

    def shared_fate(self) -> int:
        """Return how many entries have no disjoint backup at the end."""
        return int(self._world.dataplane.table.shared_fate.sum())
