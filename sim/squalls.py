"""Loss bursts of a window, laid out by link for the pass that asks whom they strike."""

from typing import Final, NamedTuple

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.sim.luck import threshold
from patronus.sim.wire import Wire

_ROUNDED: Final = 64
"""Steps of 2^-20 that all roundings of a route's loss come to at most: it is rounded a few
times a link, by a millionth each."""


class Squalls(NamedTuple):
    """Bad periods of the window, and the links that rows cross."""

    first: I64
    """By link: the place of its first bad period; those of the next link follow. One more at
    the end, and the padding has none."""
    from_ns: I64
    until_ns: I64
    limit: I64
    """By link: what it adds at most to a limit of loss while it is bad."""
    up: I32
    down: I32
    """By row."""
    segment: I32
    """By row: its line in ``route``."""
    route: I32
    """Links between the access links."""
    reverse: I32


def squalls(wire: Wire) -> Squalls:
    """Return the bursts of the window that a wire has surveyed."""
    bad, links = wire.bad, np.arange(wire.neutral + 2)
    limit = threshold(wire.burst_ppm).astype(np.int64) + _ROUNDED
    return Squalls(
        bad.link.searchsorted(links), bad.from_ns, bad.until_ns, limit,
        wire.up, wire.down, wire.segment, wire.route, wire.overlay.reverse,
    )  # fmt: skip
