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

from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64, Overlay


@dataclass(frozen=True, eq=False)
class Candidates:
    """Columns of candidates for every (site, destination)."""

    overlay: Overlay
    direct: I32
    """Shape (sites, destinations, k): rows, ``NO_ROW`` where there is none."""
    order: I64
    """Shape (destinations, k): the place of the column's announcing site in the
    destination's order of preference."""
    transit: I32
    """Shape (sites, t): rows to transit sites, ``NO_ROW`` where there is none."""

    def rows(self, sites: I64, destinations: I64, *, with_transit: bool) -> I32:
        """Return the candidate rows of pairs, shape (pairs, k [+ t]), ``NO_ROW`` for none.

        Transit columns that end at an announcing site of the pair's destination are left
        out: those are direct there. So are all where the pair's site itself is one.
        """
        direct = self.direct[sites, destinations]
        if not with_transit or self.transit.shape[1] == 0:
            return direct
        transit, to = self.transit[sites], destinations[:, None]
        out = self.overlay.is_home(self.overlay.dst[transit].astype(np.int64), to)
        out |= self.overlay.is_home(sites[:, None], to)
        return np.concatenate([direct, np.where(out, NO_ROW, transit)], axis=1)


def build_candidates(overlay: Overlay) -> Candidates:
    """Lay out the columns of an overlay.

    A site that announces a destination itself has no candidates for it, even
    when others announce it too: its traffic is already there.
    """
    n, lanes = len(overlay.sites), max(1, len(overlay.transports))
    grid = np.full((n, n, lanes), NO_ROW, dtype=np.int32)
    grid[overlay.src, overlay.dst, overlay.transport] = np.arange(overlay.rows, dtype=np.int32)
    places = max((len(d.sites) for d in overlay.destinations), default=1)
    direct = np.full((n, len(overlay.destinations), places * lanes), NO_ROW, dtype=np.int32)
    order = np.zeros((len(overlay.destinations), places * lanes), dtype=np.int64)
    direct[:, :n, :lanes] = grid
    for index, destination in enumerate(overlay.destinations[n:], start=n):
        for place, site in enumerate(destination.sites):
            columns = slice(place * lanes, (place + 1) * lanes)
            direct[:, index, columns] = grid[:, site]
            order[index, columns] = place
        direct[list(destination.sites), index] = NO_ROW
    through = [grid[:, site] for site in overlay.transit] if overlay.rows else []
    transit = np.concatenate(through, axis=1) if through else np.zeros((n, 0), dtype=np.int32)
    return Candidates(overlay, direct, order, transit)
