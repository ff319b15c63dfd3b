"""Shared risk as bit sets: which groups each tunnel crosses on its current route."""

import numpy as np

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I64
from patronus.sim.wire import Wire


def row_fates(wire: Wire, rows: I64 | None = None) -> U64:
    """Return the groups of some rows (all by default), shape (rows, words).

    Bit ``i`` of the words stands for the ``i``-th shared-risk group by name.
    """
    groups = wire.underlay.groups
    words = max(1, -(-len(groups) // 64))
    links = np.zeros((len(wire.underlay.links.names) + 1, words), dtype=np.uint64)
    for number, name in enumerate(sorted(groups)):
        links[list(groups[name]), number // 64] |= np.uint64(1 << (number % 64))
    # The padding link (last) is in no group; -1 (no route) reads the same place.
    segments = np.zeros((len(wire.route), words), dtype=np.uint64)
    for column in wire.route.T:
        segments |= links[column]
    at = slice(None) if rows is None else rows
    fates: U64 = segments[wire.segment[at]] | links[wire.up[at]] | links[wire.down[at]]
    return fates
