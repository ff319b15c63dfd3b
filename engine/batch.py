"""Entries of many sites as marks, for what is chosen for whole sites at once."""

from typing import NamedTuple

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.forwarding import EntrySpace
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools


class Batch(NamedTuple):
    """Entries of some sites, as marks."""

    sites: I64
    """Ascending."""
    marked: Bools
    """Shape (sites, destinations, classes)."""

    def entries(self, space: EntrySpace) -> I64:
        """Return what is marked, ascending."""
        return entries(self.sites, self.marked, space)


def mark(
    asked: I64, space: EntrySpace, suits: Bools, *, fewest: int, sites_fewest: int = 1
) -> tuple[Batch, I64]:
    """Take out of some entries (ascending) those of pairs that suit; return the others, too.

    Args:
        asked: the entries.
        space: their numbering.
        suits: shape (sites, destinations).
        fewest: sites with fewer entries are left;
        sites_fewest: and all are, where fewer sites than that remain.
    """
    shape = space.destinations, space.classes
    nobody = Batch(asked[:0], np.zeros((0, *shape), dtype=np.bool_))
    if len(asked) < fewest * sites_fewest:
        return nobody, asked
    cuts = asked.searchsorted(np.arange(space.sites + 1, dtype=np.int64) * space.per_site)
    count = np.diff(cuts)
    sites = hits(count >= fewest)
    sites = sites[suits[sites].any(axis=1)]
    if len(sites) < sites_fewest:
        return nobody, asked
    every = np.zeros(space.entries, dtype=np.bool_)
    every[asked] = True
    marked = every.reshape(space.sites, *shape)[sites]
    fits = marked & suits[sites][:, :, None]
    idle = count > 0
    idle[sites] = False
    others = [asked[cuts[site] : cuts[site + 1]] for site in hits(idle).tolist()]
    left = entries(sites, marked ^ fits, space)
    return Batch(sites, fits), np.sort(np.concatenate([*others, left]))


def entries(sites: I64, marked: Bools, space: EntrySpace) -> I64:
    """Return the marked entries of some sites, ascending; shapes as in :class:`Batch`."""
    found = hits(marked.ravel())
    if len(found):
        # Added site by site: a division of each would cost more than all the rest.
        ahead = (sites - np.arange(len(sites), dtype=np.int64)) * space.per_site
        found += ahead.repeat(np.count_nonzero(marked.reshape(len(sites), -1), axis=1))
    return found
