"""What the simulator, unlike the overlay, knows beforehand of its faults.

Everything that follows from a timeline alone is built here or in :func:`arm`, so that a world
that has run for a while can still be given its faults.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from patronus.engine.units import NEVER
from patronus.sim.faults.compile import compile_faults
from patronus.sim.faults.effects import effects
from patronus.sim.faults.outages import hard_down, mutes
from patronus.sim.instants import breaks
from patronus.sim.scenario import FaultSpec
from patronus.sim.timeline import Timeline
from patronus.sim.underlay import Links

if TYPE_CHECKING:
    from patronus.sim.world import World


class Foresight:
    """When slots must end, and which cables carriers see down."""

    def __init__(self, timeline: Timeline, links: Links, transports: int) -> None:
        self._breaks = breaks(timeline)
        self._outages = [hard_down(timeline, links, t) for t in range(transports)]

    def next_break(self, start_ns: int) -> int:
        """Return the first instant after a time at which a slot must end, ``NEVER`` if none."""
        place = int(np.searchsorted(self._breaks, start_ns, side="right"))
        return int(self._breaks[place]) if place < len(self._breaks) else NEVER

    def down(self, transport: int, at_ns: int) -> frozenset[int]:
        """Return the directed links of a transport that are visibly down at an instant."""
        found = (o.links for o in self._outages[transport] if o.from_ns <= at_ns < o.until_ns)
        return next(found, frozenset())


def arm(world: "World", faults: Sequence[FaultSpec]) -> None:
    """Give faults to a world that has none; all goes on as if it had had them from the start.

    That is exact as long as nothing of what was worked out ahead meets a fault: packets under
    way may leave a site as late as the wire's horizon. Rows that sleep longer wake for it.

    Raises:
        ValueError: the world has faults already, or one begins before the horizon.
        FaultError: a fault hits nothing here.
    """
    scenario = replace(world.scenario, faults=tuple(faults))
    timeline = compile_faults(scenario, world.network, world.seed)
    first_ns = min((o.start_ns for o in timeline.occurrences), default=NEVER)
    if world.timeline.occurrences:
        raise ValueError("only a world without faults can be given some")
    if first_ns < world.wire.horizon_ns:
        raise ValueError(f"what happens before {world.wire.horizon_ns} ns is worked out already")
    world.scenario, world.timeline = scenario, timeline
    links = world.underlay.links
    world.foresight = Foresight(timeline, links, len(world.overlay.transports))
    world.wire.effects = effects(timeline, links, world.seed)
    world.wire.mutes = mutes(timeline, world.overlay)
    world.measurement.foresee()
    world.checkers.foresee()
    world.gauges.foresee(world.timeline.occurrences)
    world.agents.schedule(timeline)
