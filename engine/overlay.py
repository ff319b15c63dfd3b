"""The overlay: sites, their transports and the directed tunnels between them.

One row is one directed tunnel. Rows are sorted by (source, destination,
transport) in order of declaration, so the rows of a site are one slice and the
direct tunnels of a site pair stand together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.engine.fingerprint import U64, combine, name_key

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

NOT_HELD: Final = -1
"""In place of a row that another engine holds."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Prefixes reachable through any of an ordered set of sites.

    A site's own LAN is a destination with one site; a default route announced
    by two hubs is one with two.
    """

    name: str
    sites: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Overlay:
    """Validated and immutable; build it with :func:`build_overlay`."""

    sites: tuple[str, ...]
    transports: tuple[str, ...]
    destinations: tuple[Destination, ...]
    """The first ``len(sites)`` are the sites' own LANs, in site order."""
    transit: tuple[int, ...]
    """Sites that may carry traffic between two others."""
    src: I32
    """Source site of each row."""
    dst: I32
    """Destination site of each row."""
    transport: I32
    """Transport of each row (both ends use the same one)."""
    reverse: I32
    """The row of the opposite direction; ``NOT_HELD`` where another engine decides on that."""
    key: U64
    """A fingerprint of the row's name: sites and transport, never its position."""
    rank: I32
    """Place of each site in an order that is the same in every engine of the network."""
    deciding: int
    """Only the first so many sites have rows and decide here; the others are known by name."""

    @property
    def rows(self) -> int:
        """Number of directed tunnels."""
        return len(self.src)

    @cached_property
    def site_start(self) -> I64:
        """``site_start[s]:site_start[s + 1]`` are the rows of source site ``s``."""
        return np.searchsorted(self.src, np.arange(len(self.sites) + 1)).astype(np.int64)

    @cached_property
    def site_index(self) -> dict[str, int]:
        """Position of each site by name."""
        return {name: i for i, name in enumerate(self.sites)}

    def rows_of(self, sites: I64) -> I64:
        """Return the rows whose source is one of some sites (ascending, each once)."""
        start = self.site_start
        parts = [np.arange(start[s], start[s + 1], dtype=np.int64) for s in sites.tolist()]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    def direct(self, site: int, other: int) -> range:
        """Return the rows from one site straight to another."""
        lo, hi = int(self.site_start[site]), int(self.site_start[site + 1])
        first = lo + int(np.searchsorted(self.dst[lo:hi], other, side="left"))
        last = lo + int(np.searchsorted(self.dst[lo:hi], other, side="right"))
        return range(first, last)

    @cached_property
    def home(self) -> I64:
        """The sites that announce each destination, shape (destinations, most of them).

        Shorter rows repeat their first site.
        """
        width = max((len(d.sites) for d in self.destinations), default=1)
        homes = [(*d.sites, *[d.sites[0]] * (width - len(d.sites))) for d in self.destinations]
        return np.array(homes, dtype=np.int64).reshape(-1, width)

    def is_home(self, sites: I64 | I32, destinations: I64 | I32) -> npt.NDArray[np.bool_]:
        """Tell of each site (-1: none) whether it announces its destination; shapes broadcast."""
        # Place by place: there are few, and reducing along a short axis is slow.
        home = self.home.T
        found: npt.NDArray[np.bool_] = home[0][destinations] == sites
        for other in home[1:]:
            found |= other[destinations] == sites
        return found

    def label(self, row: int) -> str:
        """Return the name of a row: ``source>destination:transport``."""
        src, dst = self.sites[self.src[row]], self.sites[self.dst[row]]
        return f"{src}>{dst}:{self.transports[self.transport[row]]}"


def build_overlay(
    *,
    sites: Sequence[str],
    transports: Sequence[str],
    pairs: npt.NDArray[np.int64],
    destinations: Iterable[tuple[str, Sequence[str]]] = (),
    transit: Iterable[str] = (),
) -> Overlay:
    """Build the overlay from undirected tunnels.

    Args:
        sites: names, each once.
        transports: names, each once.
        pairs: shape (n, 3), each row (site, other site, transport) by index.
        destinations: further destinations than the sites' LANs: (name, site names).
        transit: names of the sites that may carry others' traffic.

    Raises:
        ValueError: a name twice, an index out of range, a pair twice, or a
            tunnel from a site to itself.
    """
    if len(set(sites)) != len(sites) or len(set(transports)) != len(transports):
        raise ValueError("site and transport names must be unique")
    both = np.concatenate([pairs, pairs[:, [1, 0, 2]]]) if len(pairs) else pairs.reshape(0, 3)
    if len(both) and (
        both.min() < 0 or both[:, :2].max() >= len(sites) or both[:, 2].max() >= len(transports)
    ):
        raise ValueError("a tunnel names a site or transport that does not exist")
    if np.any(both[:, 0] == both[:, 1]):
        raise ValueError("a tunnel must join two different sites")
    src, dst, transport = (both[:, i].astype(np.int64) for i in range(3))
    n, t = len(sites), max(1, len(transports))
    order_key = (src * n + dst) * t + transport
    order = np.argsort(order_key, kind="stable")
    sorted_key = order_key[order]
    if np.any(sorted_key[1:] == sorted_key[:-1]):
        raise ValueError("a tunnel is declared twice")
    src, dst, transport = src[order], dst[order], transport[order]
    reverse = np.searchsorted(sorted_key, (dst * n + src) * t + transport)
    site_keys = np.array([name_key("site", s) for s in sites], dtype=np.uint64)
    transport_keys = np.array([name_key("transport", s) for s in transports], dtype=np.uint64)
    key = combine(combine(site_keys[src], site_keys[dst]), transport_keys[transport])
    index = {name: i for i, name in enumerate(sites)}
    lans = tuple(Destination(name, (i,)) for i, name in enumerate(sites))
    extra = tuple(Destination(name, tuple(index[s] for s in at)) for name, at in destinations)
    return Overlay(
        sites=tuple(sites),
        transports=tuple(transports),
        destinations=lans + extra,
        transit=tuple(index[s] for s in transit),
        src=src.astype(np.int32),
        dst=dst.astype(np.int32),
        transport=transport.astype(np.int32),
        reverse=reverse.astype(np.int32),
        key=key,
        rank=np.arange(n, dtype=np.int32),
        deciding=n,
    )


def alone(overlay: Overlay, site: int) -> Overlay:
    """Return what the engine of one site holds: its own rows, and everybody's names.

    The site comes first and the others keep their order, so its rows count from 0 and so do
    its entries. Tables of entries and candidates then hold this one site: with those of a
    thousand others they would take ten times the memory that an agent may have.
    """
    order = [site, *(s for s in range(len(overlay.sites)) if s != site)]
    number = np.argsort(order).astype(np.int32)
    lans = len(overlay.sites)
    destinations = [overlay.destinations[s] for s in order] + list(overlay.destinations[lans:])
    mine = slice(*overlay.site_start[site : site + 2].tolist())
    rows = mine.stop - mine.start
    return Overlay(
        sites=tuple(overlay.sites[s] for s in order),
        transports=overlay.transports,
        destinations=tuple(
            Destination(d.name, tuple(int(number[s]) for s in d.sites)) for d in destinations
        ),
        transit=tuple(int(number[s]) for s in overlay.transit),
        src=np.zeros(rows, dtype=np.int32),
        dst=number[overlay.dst[mine]],
        transport=overlay.transport[mine],
        reverse=np.full(rows, NOT_HELD, dtype=np.int32),
        key=overlay.key[mine],
        rank=overlay.rank[order],
        deciding=1,
    )
