"""Shortest paths over integer costs, with ties that names decide.

A library finds the distances; the routes are derived here, from the distances
alone: the last edge towards a node is, among all edges ``u -> v`` with
``cost[u] + cost(u, v) == cost[v]``, the one of smallest fingerprint. So a
library's heap order, its version or the order of the edges never reaches a
route. Costs are positive, hence these last edges cannot form a cycle.

The distances come from SciPy's Dijkstra, which adds in double precision; every
sum stays below 2^53 (checked), so each is exact. SciPy is imported when a path
is asked for, since a router that never asks should not carry it in memory.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER

EXACT: Final = 2**53
"""Integers below this are exact in double precision."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Directed edges between nodes ``0 .. nodes - 1``; parallel edges are welcome.

    Raises:
        ValueError: a node out of range, a cost below 1, path costs that may
            reach 2^53, or two edges with one fingerprint.
    """

    nodes: int
    tail: I64
    """Where each edge starts."""
    head: I64
    """Where it ends."""
    cost: I64
    """At least 1, in any unit; the dearest one times ``nodes`` stays below 2^53."""
    key: U64
    """A fingerprint of each edge's name, all different: the smallest wins a tie."""

    def __post_init__(self) -> None:
        """Check what the search relies on."""
        if not len(self.tail):
            return
        ends = np.concatenate([self.tail, self.head])
        if ends.min() < 0 or ends.max() >= self.nodes:
            raise ValueError(f"an edge ends outside of the {self.nodes} nodes")
        if self.cost.min() < 1:
            raise ValueError("a cost must be at least 1")
        if int(self.cost.max()) * self.nodes >= EXACT:
            raise ValueError("path costs may reach 2^53, where they would stop being exact")
        if len(np.unique(self.key)) != len(self.key):
            raise ValueError("two edges have the same fingerprint")


@dataclass(frozen=True, eq=False)
class Paths:
    """Shortest paths from some sources to all nodes."""

    graph: Graph
    sources: I64
    cost: I64
    """Shape (sources, nodes); ``NEVER`` where there is no path."""
    via: I32
    """Shape (sources, nodes): the last edge, -1 at the source and where there is no path."""

    def route(self, source: int, node: int) -> tuple[int, ...]:
        """Return the edges from the source at this position of ``sources`` to a node."""
        edges: list[int] = []
        while (edge := int(self.via[source, node])) >= 0:
            edges.append(edge)
            node = int(self.graph.tail[edge])
        return tuple(reversed(edges))

    def routes(self) -> tuple[I64, I32]:
        """Return all routes as one table, the pair (source, node) at row ``source * nodes + node``.

        The edges of row ``i`` are ``edges[start[i]:start[i + 1]]`` of the returned (start, edges).
        """
        via = self.via.reshape(-1)
        row = np.flatnonzero(via >= 0)
        last, steps = row, []
        # All routes are walked backwards at once; a route leaves when it meets its source.
        while len(row):
            edge = via[last]
            steps.append((row, edge))
            last = last - last % self.graph.nodes + self.graph.tail[edge]
            onward = via[last] >= 0
            row, last = row[onward], last[onward]
        start = np.zeros(len(via) + 1, dtype=np.int64)
        for row, _ in steps:
            start[row + 1] += 1
        np.cumsum(start, out=start)
        edges = np.empty(start[-1], dtype=np.int32)
        for back, (row, edge) in enumerate(steps, 1):
            edges[start[row + 1] - back] = edge
        return start, edges


def shortest_paths(graph: Graph, sources: I64 | None = None) -> Paths:
    """Find the shortest paths from the sources (all nodes, if none are given)."""
    chosen = np.arange(graph.nodes) if sources is None else sources
    cost = _distances(graph, chosen)
    return Paths(graph, chosen, cost, _last_edges(graph, cost))


def _distances(graph: Graph, sources: I64) -> I64:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    if not len(sources):
        return np.empty((0, graph.nodes), dtype=np.int64)
    order = np.lexsort((graph.cost, graph.head, graph.tail))
    tail, head = graph.tail[order], graph.head[order]
    # Of parallel edges the cheapest stands first; a sparse matrix would add them up.
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])
    start = np.searchsorted(tail[first], np.arange(graph.nodes + 1))
    matrix = csr_array(
        (graph.cost[order][first], head[first].astype(np.int32), start.astype(np.int32)),
        shape=(graph.nodes, graph.nodes),
    )
    found = dijkstra(matrix, directed=True, indices=sources)
    reached: npt.NDArray[np.bool_] = found < EXACT
    cost = np.full(found.shape, NEVER, dtype=np.int64)
    np.copyto(cost, found, where=reached, casting="unsafe")
    return cost


def _last_edges(graph: Graph, cost: I64) -> I32:
    # One pass an edge over all sources, the smallest fingerprint last, so that it stays.
    towards = np.ascontiguousarray(cost.T)
    via = np.full(towards.shape, -1, dtype=np.int32)
    order = np.argsort(graph.key)[::-1]
    edges = np.stack([order, graph.tail[order], graph.head[order], graph.cost[order]], axis=1)
    for edge, tail, head, length in edges.tolist():
        # Where the tail is not reached the sum wraps to a negative number: never equal.
        np.copyto(via[head], edge, where=towards[tail] + length == towards[head])
    return via.T
