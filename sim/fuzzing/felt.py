"""Which faults change a packet's fate for certain.

Every tunnel sends a probe each interval, both ways. So a fault that kills or delays what
crosses a link for two intervals takes a probe with it, unless every tunnel over that link
is dead at that time for another reason. Faults that only may meet a packet (loss, bursts)
are not counted, nor those of agents and plans.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from patronus.engine.units import SECOND
from patronus.sim.faults.kinds import kind_of
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence
from patronus.sim.world import World

_LATE: Final = (FaultKind.DELAY,)


def felt(world: World) -> int:
    """Return the number of faults of a world that has not begun which packets surely feel."""
    policy, transports = world.scenario.policy, world.overlay.transports
    interval = max((policy.profile(t).interval_ns for t in transports), default=SECOND)
    occurrences = world.timeline.occurrences
    black = [o for o in occurrences if kind_of(o.fault).black and o.links]
    sure = (
        o.fault.name
        for o in occurrences
        if (o in black or o.fault.kind in _LATE) and _meets(world, o, black, 2 * interval)
    )
    return len(set(sure))


def _meets(world: World, occurrence: Occurrence, black: Sequence[Occurrence], span_ns: int) -> bool:
    """Tell whether some tunnel over its links is alive but for it, for a whole span."""
    start, end = occurrence.start_ns, occurrence.start_ns + span_ns
    if occurrence.end_ns < end:
        return False
    others = {
        link
        for o in black
        if o is not occurrence and o.start_ns < end and start < o.end_ns
        for link in o.links
    }
    rows = world.wire.rows_of(np.array(occurrence.links, dtype=np.int64))
    back = world.overlay.reverse[rows].astype(np.int64)
    ways = np.concatenate([world.wire.links_of(rows), world.wire.links_of(back)], axis=1)
    return bool((~np.isin(ways, sorted(others))).all(axis=1).any())
