"""Forwarding tables: which tunnel carries an entry, and which ones stand ready.

An *entry* is (site, destination, class). Entries are dense, so a table is a few
arrays and a change of table is a list of indices with their new values:

    index = (site * destinations + destination) * classes + class

The entries of one site are therefore one slice. The engine computes the whole
wanted table, :func:`diff` finds what is not installed yet, and only that goes to
the dataplane.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.arrays import distinct
from patronus.engine.overlay import I32, I64

Bool = npt.NDArray[np.bool_]

NO_ROW: Final = -1
"""In place of a row: no tunnel."""

CANDIDATES: Final = 3
"""An entry holds its primary and at most two backups (one 64-bit word in the kernel)."""


class EntryKey(NamedTuple):
    """What one entry stands for, by index."""

    site: int
    destination: int
    traffic_class: int


@dataclass(frozen=True, slots=True)
class EntrySpace:
    """The numbering of the entries of an overlay."""

    sites: int
    destinations: int
    classes: int

    @property
    def per_site(self) -> int:
        """Number of entries of one site."""
        return self.destinations * self.classes

    @property
    def entries(self) -> int:
        """Number of entries in all."""
        return self.sites * self.per_site

    def index(self, site: int, destination: int, traffic_class: int) -> int:
        """Return the entry of a (site, destination, class)."""
        assert 0 <= site < self.sites
        assert 0 <= destination < self.destinations
        assert 0 <= traffic_class < self.classes
        return (site * self.destinations + destination) * self.classes + traffic_class

    def key(self, entry: int) -> EntryKey:
        """Return what an entry stands for; the inverse of :meth:`index`."""
        assert 0 <= entry < self.entries
        rest, traffic_class = divmod(entry, self.classes)
        site, destination = divmod(rest, self.destinations)
        return EntryKey(site, destination, traffic_class)

    def of_pairs(self, pairs: I64) -> I64:
        """Return the entries of all classes of some pairs, numbered site * destinations + dest."""
        if self.classes == 1:
            return pairs
        return (pairs[:, None] * self.classes + np.arange(self.classes)).ravel()

    def of_site(self, site: int) -> slice:
        """Return the slice of one site's entries."""
        assert 0 <= site < self.sites
        return slice(site * self.per_site, (site + 1) * self.per_site)


@dataclass(frozen=True, eq=False, slots=True)
class ForwardingDelta:
    """New values for some entries; the others stay as they are."""

    generation: int
    """Numbers the deltas of an engine; the dataplane acknowledges it."""
    entries: I64
    """Shape (n,): ascending, each once."""
    rows: I32
    """Shape (n, 3): primary, first and second backup; ``NO_ROW`` for none."""
    drop: Bool
    """Shape (n,): with no usable candidate, drop instead of failing static."""
    shared_fate: Bool
    """Shape (n,): no backup avoids the underlay links of the primary."""

    def __len__(self) -> int:
        """Return the number of entries that change."""
        return len(self.entries)


class ForwardingTable:
    """One value for every entry; a new table forwards nothing."""

    __slots__ = ("drop", "rows", "shared_fate")

    def __init__(self, entries: int) -> None:
        self.rows: I32 = np.full((entries, CANDIDATES), NO_ROW, dtype=np.int32)
        self.drop: Bool = np.zeros(entries, dtype=np.bool_)
        self.shared_fate: Bool = np.zeros(entries, dtype=np.bool_)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.drop)

    def apply(self, delta: ForwardingDelta) -> None:
        """Write the new values of a delta."""
        self.rows[delta.entries] = delta.rows
        self.drop[delta.entries] = delta.drop
        self.shared_fate[delta.entries] = delta.shared_fate


def diff(
    wanted: ForwardingTable,
    installed: ForwardingTable,
    *,
    generation: int,
    entries: I64 | None = None,
) -> ForwardingDelta:
    """Return what turns ``installed`` into ``wanted``.

    Args:
        wanted: the table that the engine computed.
        installed: the table that the dataplane acknowledged, of equal length.
        generation: number given to the delta.
        entries: look at these only (any order, repeats allowed); None: at all.
    """
    assert len(wanted) == len(installed), "two tables of one entry space"
    at = np.arange(len(wanted), dtype=np.int64) if entries is None else distinct(entries)
    new, old = wanted.rows.take(at, axis=0), installed.rows.take(at, axis=0)
    changed = wanted.drop[at] != installed.drop[at]
    for place in range(CANDIDATES):  # reducing along a short axis is slow
        changed |= new[:, place] != old[:, place]
    changed |= wanted.shared_fate[at] != installed.shared_fate[at]
    at = at[changed]
    return ForwardingDelta(
        generation=generation,
        entries=at,
        rows=new[changed],
        drop=wanted.drop[at],
        shared_fate=wanted.shared_fate[at],
    )
