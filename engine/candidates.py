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

from patronus.engine.overlay import I32, I64, Overlay


@dataclass(frozen=True, eq=False)
class Candidates:
    """Columns of candidates for every (site, destination).

    ``direct`` has shape (sites, destinations, k) and holds rows, -1 where there
    is none; ``order`` (destinations, k) is the place of the announcing site in
    the destination's order of preference. ``transit`` has shape (sites, t), ``home``
    (destinations, places) holds the announcing sites.
    """

    direct: I32
    order: I64
    transit: I32
    home: I64

    def rows(self, sites: I64, destinations: I64, *, dst: I32, with_transit: bool) -> I32:
        """Return the candidate rows of pairs, shape (pairs, k [+ t]), -1 for none.

        Transit columns that end at an announcing site of the pair's destination
        are left out: those are direct there. So are all where the pair's site itself is one.
        """
        direct = self.direct[sites, destinations]
        if not with_transit or self.transit.shape[1] == 0:
            return direct
        transit = self.transit[sites]
        ends = np.where(transit >= 0, dst[transit], -1)
        direct_ends = np.where(direct >= 0, dst[direct], -2)
        same = (ends[:, :, None] == direct_ends[:, None, :]).any(axis=2)
        same |= (self.home[destinations] == sites[:, None]).any(axis=1, keepdims=True)
        return np.concatenate([direct, np.where(same, -1, transit)], axis=1)


def build_candidates(overlay: Overlay) -> Candidates:
    """Lay out the columns of an overlay.

    A site that announces a destination itself has no candidates for it, even
    when others announce it too: its traffic is already there.
    """
    n, transports = len(overlay.sites), len(overlay.transports)
    grid = np.full((n, n, transports), -1, dtype=np.int32)
    grid[overlay.src, overlay.dst, overlay.transport] = np.arange(overlay.rows, dtype=np.int32)
    width = max((len(d.sites) for d in overlay.destinations), default=1)
    direct = np.full((n, len(overlay.destinations), width * transports), -1, dtype=np.int32)
    order = np.zeros((len(overlay.destinations), width * transports), dtype=np.int64)
    direct[:, :n, :transports] = grid
    for index, destination in enumerate(overlay.destinations[n:], start=n):
        for place, site in enumerate(destination.sites):
            columns = slice(place * transports, (place + 1) * transports)
            direct[:, index, columns] = grid[:, site]
            order[index, columns] = place
        direct[list(destination.sites), index] = -1
    through = [grid[:, site] for site in overlay.transit]
    transit = np.concatenate(through, axis=1) if through else np.zeros((n, 0), dtype=np.int32)
    return Candidates(direct, order, transit, overlay.home)
