"""How large packets tunnels carry in simulation: as large as the links that they cross say.

A router searches its paths for that (RFC 8899). Here it is known from the start and stays: what a
black hole for large packets swallows is loss, to the engine as well.
"""

import numpy as np

from patronus.engine.arrays import blocks
from patronus.engine.overlay import I64
from patronus.engine.units import NEVER
from patronus.sim.wire import Wire


def row_mtus(wire: Wire, link_mtu: I64) -> I64:
    """Return the largest packet of each row.

    Args:
        wire: with the routes of the start.
        link_mtu: by link.
    """
    rows: I64 = np.arange(wire.overlay.rows, dtype=np.int64)
    # The padding behind a short route, and -1, which stands for a missing one.
    known = np.append(link_mtu, [NEVER, NEVER])
    parts = [known[wire.links_of(rows[at])].min(axis=1) for at in blocks(len(rows))]
    return np.concatenate(parts) if parts else rows
