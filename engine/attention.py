"""Which pairs must be looked at again at the next evaluation.

A pair (site, destination) is marked when something has changed that can change its
choice. Metrics of ways through transit sites are an exception: there may be a thousand
destinations behind each, so paths that already lead through one are compared by metric
only at every ``TRANSIT_TURNS``-th evaluation, and only if their own have changed. What
goes down, is withdrawn or breaks an SLA is marked at once everywhere.
"""

from typing import Final

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.overlay import I64, Overlay
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO

TRANSIT_TURNS: Final = 10


class Attention:
    """Marks of the sites of one engine."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        sites = overlay.deciding
        self.marked: Bools = np.zeros((sites, len(overlay.destinations)), dtype=np.bool_)
        self._carries: Bools = np.zeros(len(overlay.sites), dtype=np.bool_)
        self._carries[list(overlay.transit)] = True
        self.transit_moved: Bools = np.zeros(sites, dtype=np.bool_)
        """The metric of some tunnel to a transit site, or of a way beyond one, has changed."""
        self._near_moved: Bools = np.zeros(sites, dtype=np.bool_)
        self._far_moved: Bools = np.zeros_like(self.marked)
        self._evaluated_ns: I64 = np.full(sites, LONG_AGO, dtype=np.int64)
        self._evaluations: I64 = np.zeros(sites, dtype=np.int64)

    def tunnels(self, rows: I64) -> None:
        """Mark what can be reached over some rows, at the far end or beyond it."""
        src, dst = self._overlay.src[rows], self._overlay.dst[rows]
        self.marked[src[self._carries[dst]]] = True
        self._ends(rows)

    def metrics(self, rows: I64) -> None:
        """Mark where nothing but the metric of some rows has changed.

        That cannot make a direct path worse than one through another site, so it concerns
        the tunnels' own ends, and paths that already lead through one of them.
        """
        src, dst = self._overlay.src[rows], self._overlay.dst[rows]
        near = src[self._carries[dst]]
        self.transit_moved[near] = self._near_moved[near] = True
        self._ends(rows)

    def _ends(self, rows: I64) -> None:
        """Mark the pairs of each row's site and what its other end announces."""
        src, dst = self._overlay.src[rows], self._overlay.dst[rows]
        self.marked[src, dst] = True
        first = len(self._overlay.sites)
        for number, destination in enumerate(self._overlay.destinations[first:], start=first):
            self.marked[src[np.isin(dst, destination.sites)], number] = True

    def news(self, observers: I64, changed: Bools, moved: Bools) -> None:
        """Mark where some sites were told something new; figures alone can wait for their turn.

        ``changed`` and ``moved`` tell of each destination whether something else is offered
        there, and whether its figures are others.
        """
        self.transit_moved[observers] = True
        self.marked[observers[:, None], np.flatnonzero(changed)] = True
        self._far_moved[observers[:, None], np.flatnonzero(moved)] = True

    def sites(self, sites: I64) -> None:
        """Mark all pairs of some sites."""
        self.marked[sites] = True

    def pairs(self, pairs: I64) -> None:
        """Mark pairs by number."""
        site, destination = np.divmod(pairs, self.marked.shape[1])
        self.marked[site, destination] = True

    def carriers(self, sites: I64) -> I64:
        """Return those of some sites that carry others' traffic."""
        carriers: I64 = sites[self._carries[sites]]
        return carriers

    def last_ns(self, rows: I64) -> I64:
        """Return when the site of each row was evaluated last, ``LONG_AGO`` for never."""
        last: I64 = self._evaluated_ns[self._overlay.src[rows]]
        return last

    def turn(self, sites: I64, now_ns: int) -> I64:
        """Note an evaluation; return the sites whose transit metrics are to be compared now."""
        self._evaluated_ns[sites] = now_ns
        self._evaluations[sites] += 1
        due = self.transit_moved[sites] & (self._evaluations[sites] % TRANSIT_TURNS == 0)
        turn: I64 = sites[due]
        return turn

    def ways(self, sites: I64, pairs: I64) -> None:
        """Mark those ways of some sites through others whose metrics have changed.

        ``pairs`` are all of these sites' ways, by number.
        """
        site, destination = np.divmod(pairs, self.marked.shape[1])
        moved = self._near_moved[site] | self._far_moved[site, destination]
        self.marked[site[moved], destination[moved]] = True
        self.transit_moved[sites] = self._near_moved[sites] = False
        self._far_moved[sites] = False

    def take(self, sites: I64) -> I64:
        """Return the marked pairs of some sites (ascending) and forget the marks."""
        # Mostly few are marked: to look for them along one axis is quicker by far.
        marked = self.marked[sites]
        found = hits(marked.ravel())
        self.marked[sites] = False
        if not len(found):
            return found
        # Added site by site: a division of each would cost more than all the rest.
        ahead = (sites - np.arange(len(sites), dtype=np.int64)) * marked.shape[1]
        found += ahead.repeat(np.count_nonzero(marked, axis=1))
        return found
