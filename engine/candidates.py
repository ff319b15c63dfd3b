"""Which tunnels may carry traffic from a site to a destination.

A *candidate* is the first tunnel of a path. It is direct when the tunnel ends
at a site that announces the destination, and a transit candidate when it ends
at a transit site which says that it reaches the destination directly. What the
rest of the path looks like follows from the tunnel and the destination, so a
row is enough to name a path.

Columns are fixed at the start (they depend on the overlay only); whether a
column may be used is asked anew each time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64, Overlay

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Columns of candidates for every (site, destination)."""

    overlay: Overlay
    direct: I32
    """Shape (k, deciding sites, destinations): rows, ``NO_ROW`` where there is none."""
    order: I64
    """Shape (k, destinations): the place of the column's announcing site in the
    destination's order of preference."""
    transit: I32
    """Shape (transit sites, transports, deciding sites): rows to them, else ``NO_ROW``."""
    behind: Bools
    """Shape (transit sites, destinations): the site announces the destination itself."""

    def rows(self, sites: I64, destinations: I64, *, with_transit: bool) -> I64:
        """Return the candidate rows of pairs, shape (k [+ t], pairs), ``NO_ROW`` for none.

        Transit columns that end at an announcing site of the pair's destination are left
        out: those are direct there. So are all where the pair's site itself is one.
        """
        pair = sites * self.direct.shape[2] + destinations
        direct: I64 = self.direct.reshape(len(self.direct), -1).take(pair, axis=1).astype(np.int64)
        if not with_transit or not self.transit.size:
            return direct
        transit = self.transit.take(sites, axis=2)
        out = self.behind.take(destinations, axis=1)
        out |= self.overlay.is_home(sites, destinations)
        np.copyto(transit, NO_ROW, where=out[:, None, :])
        flat: I32 = transit.reshape(-1, len(pair))
        rows: I64 = np.concatenate([direct, flat], dtype=np.int64)
        return rows


def build_candidates(overlay: Overlay) -> Candidates:
    """Lay out the columns of an overlay.

    A site that announces a destination itself has no candidates for it, even
    when others announce it too: its traffic is already there.
    """
    n, lanes = len(overlay.sites), max(1, len(overlay.transports))
    deciding = overlay.deciding
    grid = np.full((lanes, deciding, n), NO_ROW, dtype=np.int32)
    grid[overlay.transport, overlay.src, overlay.dst] = np.arange(overlay.rows, dtype=np.int32)
    places = max((len(d.sites) for d in overlay.destinations), default=1)
    direct = np.full((places * lanes, deciding, len(overlay.destinations)), NO_ROW, dtype=np.int32)
    order = np.zeros((places * lanes, len(overlay.destinations)), dtype=np.int64)
    direct[:lanes, :, :n] = grid
    for index, destination in enumerate(overlay.destinations[n:], start=n):
        for place, site in enumerate(destination.sites):
            columns = slice(place * lanes, (place + 1) * lanes)
            direct[columns, :, index] = grid[:, :, site]
            order[columns, index] = place
        direct[:, [s for s in destination.sites if s < deciding], index] = NO_ROW
    through = np.array(overlay.transit, dtype=np.int64)
    transit = np.moveaxis(grid[:, :, through], 2, 0)
    behind = overlay.is_home(through[:, None], np.arange(len(overlay.destinations)))
    return Candidates(overlay, direct, order, np.ascontiguousarray(transit), behind)
