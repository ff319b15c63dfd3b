"""Watching one failure from within: it ends when everything has come to rest."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.engine.units import SECOND
from patronus.sim.faults.kinds import kind_of
from patronus.sim.whatif.outcome import Baseline, out_of
from patronus.sim.world import Halt

if TYPE_CHECKING:
    from patronus.sim.timeline import Occurrence
    from patronus.sim.world import World

LEAST_NS: Final = 2 * SECOND
"""No failure is watched for less."""


class Watch:
    """Called at the beginning of each slot.

    A world has come to rest at the end of a second when every exposure is settled and
    counted, providers have had their time to reroute, no flow has changed its path since
    the second before, and no flow is out of its SLA but those that were then, too.
    """

    def __init__(self, world: "World", base: Baseline, t0_ns: int) -> None:
        self._world, self._base, self._t0_ns = world, base, t0_ns
        self._ready_ns = t0_ns + max(LEAST_NS, _reroute_ns(world) + SECOND)
        self.settled = False

    def __call__(self, now_ns: int) -> None:
        """Look around.

        Raises:
            Halt: nothing more will happen.
        """
        if now_ns % SECOND == 0 and now_ns >= self._ready_ns and self._at_rest():
            self.settled = True
            raise Halt

    def _at_rest(self) -> bool:
        measurement = self._world.measurement
        if measurement.unsettled:
            return False
        (_, used_before, before), (_, used, last) = measurement.records.seconds[-2:]
        number = len(measurement.records.seconds)
        then = out_of(before) & ~self._base.out[number - 2]
        now = out_of(last) & ~self._base.out[number - 1]
        return bool(np.array_equal(used, used_before) and (now <= then).all())


def _reroute_ns(world: "World") -> int:
    """Return how long the providers of failed links take to route around them."""
    hit: Sequence[Occurrence] = [o for o in world.timeline.occurrences if kind_of(o.fault).carrier]
    links = world.underlay.links
    transports = {int(links.transport[i]) for o in hit for i in o.links}
    return max((world.underlay.providers[t].reroute_ns for t in transports), default=0)
