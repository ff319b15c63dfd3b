"""Providers' routes, and the links that each tunnel crosses.

Rows are many, pairs of provider nodes are few: whatever is summed along a tunnel
is summed once along each segment, and then over (access up, segment, access down).
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.pathsearch import Graph, shortest_paths
from patronus.sim.underlay import Provider, Segments, Underlay

KEPT: Final = 32
"""Routes of this many (transport, failed links) are remembered for each underlay."""

BLOCK: Final = 65_536

Rows = I32 | I64

_Known = OrderedDict[tuple[int, frozenset[int]], Segments]
_known: WeakKeyDictionary[Underlay, _Known] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class RowLinks:
    """The directed links crossed by some rows: ``links[start[i]:start[i + 1]]`` by the i-th.

    The first is the access link up, the last the access link down. Where the provider has
    no route there is nothing between the two.
    """

    start: I64
    links: I32


def segments(underlay: Underlay, transport: int, failed: Iterable[int] = ()) -> Segments:
    """Return a provider's routes when some directed links are down.

    A route has the least delay; of equal ones the fingerprints of the links decide. Links
    of others may be among the failed ones: they change nothing.
    """
    provider = underlay.providers[transport]
    own = range(provider.first_link, provider.first_link + 2 * len(provider.ends))
    key = transport, frozenset(link for link in failed if link in own)
    known = _known.setdefault(underlay, OrderedDict())
    if key not in known:
        known[key] = _search(underlay, provider, key[1])
        if len(known) > KEPT:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def _search(underlay: Underlay, provider: Provider, failed: frozenset[int]) -> Segments:
    size, ends = len(provider.nodes), provider.ends.astype(np.int64)
    link = provider.first_link + np.arange(2 * len(ends))
    tail, head = ends.reshape(-1), ends[:, ::-1].reshape(-1)
    works = ~np.isin(link, np.fromiter(failed, np.int64, len(failed)))
    link, tail, head = link[works], tail[works], head[works]
    if provider.dedicated:
        return _direct(size, link, tail, head)
    # Nothing is nearer than 1 ns, or a route could turn in a circle for nothing.
    cost = np.maximum(underlay.links.delay_ns[link], 1)
    paths = shortest_paths(Graph(size, tail, head, cost, underlay.links.key[link]))
    start, edges = paths.routes()
    reachable = (paths.via >= 0) | np.eye(size, dtype=np.bool_)
    return Segments(start, link[edges].astype(np.int32), reachable.reshape(-1))


def _direct(size: int, link: I64, tail: I64, head: I64) -> Segments:
    pair = tail * size + head
    reachable = np.zeros(size * size, dtype=np.bool_)
    reachable[pair] = True
    start = np.concatenate([[0], np.cumsum(reachable)])
    reachable[:: size + 1] = True
    return Segments(start, link[np.argsort(pair)].astype(np.int32), reachable)


def segment_sum(table: Segments, values: I64) -> I64:
    """Return the sum along each segment of one value a directed link."""
    total: I64 = np.concatenate([[0], np.cumsum(values[table.links])])
    return np.diff(total[table.start])


def matrix_of(table: Segments, neutral: int) -> I32:
    """Return segments as a matrix of links, padded with the neutral link.

    A segment without a route gets the link -1, which is black.
    """
    lengths = np.diff(table.start)
    width = max(1, int(lengths.max(initial=0)))
    matrix = np.full((len(lengths), width), neutral, dtype=np.int32)
    filled = np.arange(width)[None, :] < lengths[:, None]
    matrix[filled] = table.links
    matrix[~table.reachable, 0] = -1
    return matrix


def as_wide(matrices: Sequence[I32], neutral: int) -> list[I32]:
    """Return matrices of links, all as wide as the widest of them."""
    width = max(m.shape[1] for m in matrices)
    return [np.pad(m, ((0, 0), (0, width - m.shape[1])), constant_values=neutral) for m in matrices]


def row_segment(underlay: Underlay, overlay: Overlay, rows: Rows) -> I64:
    """Return the segment of each row in the table of its transport."""
    transport = overlay.transport[rows]
    nodes = np.array([len(p.nodes) for p in underlay.providers], dtype=np.int64)
    a = underlay.pop[overlay.src[rows], transport].astype(np.int64)
    b = underlay.pop[overlay.dst[rows], transport]
    return a * nodes[transport] + b


def row_reachable(
    underlay: Underlay, overlay: Overlay, rows: Rows, tables: Sequence[Segments]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which rows the providers have a route for."""
    found = np.zeros(len(rows), dtype=np.bool_)
    segment, transport = row_segment(underlay, overlay, rows), overlay.transport[rows]
    for number, table in enumerate(tables):
        mine = transport == number
        found[mine] = table.reachable[segment[mine]]
    return found


def row_sum(
    underlay: Underlay, overlay: Overlay, rows: Rows, tables: Sequence[Segments], values: I64
) -> I64:
    """Return the sum along each row of one value a directed link.

    Args:
        underlay: the wires.
        overlay: whose rows.
        rows: which ones.
        tables: the providers' routes, one a transport.
        values: one a directed link.
    """
    transport = overlay.transport[rows]
    total = values[underlay.up[overlay.src[rows], transport]]
    total = total + values[underlay.down[overlay.dst[rows], transport]]
    segment = row_segment(underlay, overlay, rows)
    for number, table in enumerate(tables):
        mine = transport == number
        total[mine] += segment_sum(table, values)[segment[mine]]
    return total


def row_links(
    underlay: Underlay, overlay: Overlay, rows: Rows, tables: Sequence[Segments]
) -> RowLinks:
    """Return the directed links crossed by each row; arguments as for :func:`row_sum`."""
    transport = overlay.transport[rows]
    # All tables in a line, so that one look-up serves every transport.
    sizes = np.array([len(table.reachable) for table in tables], dtype=np.int64)
    lengths = np.array([len(table.links) for table in tables], dtype=np.int64)
    begin = np.concatenate(
        [t.start[:-1] + o for t, o in zip(tables, _offsets(lengths), strict=True)]
    )
    length = np.concatenate([np.diff(table.start) for table in tables])
    links = np.concatenate([table.links for table in tables])
    segment = row_segment(underlay, overlay, rows) + _offsets(sizes)[transport]
    start = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(length[segment] + 2, out=start[1:])
    found = np.empty(start[-1], dtype=np.int32)
    found[start[:-1]] = underlay.up[overlay.src[rows], transport]
    found[start[1:] - 1] = underlay.down[overlay.dst[rows], transport]
    for low in range(0, len(rows), BLOCK):
        part = segment[low : low + BLOCK]
        step = _steps(length[part])
        to = np.repeat(start[low : low + len(part)] + 1, length[part]) + step
        found[to] = links[np.repeat(begin[part], length[part]) + step]
    return RowLinks(start, found)


def _offsets(sizes: I64) -> I64:
    return np.cumsum(sizes) - sizes


def _steps(lengths: I64) -> I64:
    # 0, 1 … length - 1 for each length, in a row.
    return np.arange(lengths.sum()) - np.repeat(_offsets(lengths), lengths)
