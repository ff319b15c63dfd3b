"""Loss bursts of a span of time, laid out by link for passes that ask what a probe meets."""

from typing import NamedTuple

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import PPM
from patronus.sim.wire import Wire


class Gusts(NamedTuple):
    """Bad periods of a span, and the links that rows cross."""

    first: I64
    """By link: the place of its first bad period; those of the next link follow. One more at
    the end, and the padding has none."""
    from_ns: I64
    until_ns: I64
    keep_ppm: I64
    """By link: what survives while it is bad."""
    stirred: Bools
    """By link: it has bad periods."""
    stirred_lines: Bools
    """By line of ``route``: one of its links has."""
    up: I32
    down: I32
    """By row."""
    segment: I32
    """By row: its line in ``route``."""
    route: I32
    """Links between the access links."""
    reverse: I32
    survive_ppm: I64
    """By row: what survives where no link is bad."""
    foul: Bools
    """By row: faults do something to its links, which no burst may meet unseen."""


def gusts(wire: Wire, start_ns: int, end_ns: int, foul: Bools) -> Gusts:
    """Return the bursts of [start, end), with the routes of now."""
    bad, links = wire.bad_periods(start_ns, end_ns), np.arange(wire.neutral + 2)
    first = bad.link.searchsorted(links)
    stirred = np.append(np.diff(first) > 0, False)  # the last place is that of -1, no route
    lines: Bools = np.logical_or.reduce(stirred[wire.route], axis=1)
    return Gusts(
        first, bad.from_ns, bad.until_ns, PPM - wire.burst_ppm,
        stirred, lines,
        wire.up, wire.down, wire.segment, wire.route, wire.overlay.reverse,
        wire.survive_ppm, foul,
    )  # fmt: skip
