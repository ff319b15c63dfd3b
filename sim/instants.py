"""The instants of a run that are known before it begins."""

from typing import Final

import numpy as np

from patronus.engine.fingerprint import name_key
from patronus.engine.overlay import I64, Overlay
from patronus.sim.faults.kinds import Target, kind_of
from patronus.sim.luck import object_keys, words
from patronus.sim.timeline import Timeline
from patronus.sim.wire import WINDOW_NS

_TURNS: Final = 2
"""Sites take their turns at so many instants of an evaluation interval."""


def turns(overlay: Overlay, evaluation_ns: int, seed: int) -> I64:
    """Return when in each evaluation interval a site takes its turn, on the grid."""
    names = np.array([name_key("site", s) for s in overlay.sites], dtype=np.uint64)
    steps = max(1, evaluation_ns // WINDOW_NS)
    count = min(_TURNS, steps)
    drawn = words(object_keys(seed, "evaluation", names), 0) % np.uint64(count)
    return drawn.astype(np.int64) * (steps // count) * WINDOW_NS


def breaks(timeline: Timeline) -> I64:
    """Return the instants at which a slot must end, ascending.

    What happens then changes what is worked out ahead: stamps, who takes samples, clocks,
    LANs. Links' own faults do not, since the wire knows them beforehand.
    """
    times = {
        at_ns
        for o in timeline.occurrences
        if kind_of(o.fault).carrier or kind_of(o.fault).target is Target.SITES
        for at_ns in (o.start_ns, o.end_ns)
    }
    return np.array(sorted(times), dtype=np.int64)
