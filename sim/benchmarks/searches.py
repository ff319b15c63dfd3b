"""Path search beside networkx: all pairs with predecessors, on the same random graph."""

from random import Random
from typing import Any, Final, NamedTuple, TypeAlias

import networkx as nx
import numpy as np

from patronus.engine.fingerprint import name_key
from patronus.engine.pathsearch import Graph, Paths, shortest_paths
from patronus.sim.benchmarks.spread import Spread, timed

SMALL_NODES: Final = 200
FULL_NODES: Final = 1000

BAR_S: Final = 0.2
"""For ``FULL_NODES``."""

_SEED: Final = 1

_Plain: TypeAlias = "nx.Graph[int]"


class Search(NamedTuple):
    """What both took on one graph."""

    nodes: int
    links: int
    ours: Spread
    theirs: Spread
    equal: bool
    """All distances are the same."""

    def record(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {
            "nodes": self.nodes,
            "links": self.links,
            "wall_s": self.ours.record(),
            "networkx_wall_s": self.theirs.record(),
            "times": self.theirs.median / self.ours.median,
            "equal_distances": self.equal,
            "bar_s": BAR_S if self.nodes == FULL_NODES else None,
        }


def links(nodes: int) -> dict[tuple[int, int], int]:
    """Return random links and their costs: a ring, and as many chords as there are nodes."""
    dice = Random(_SEED)
    ends = {(node, (node + 1) % nodes) for node in range(nodes)}
    while len(ends) < 2 * nodes:
        one, other = dice.sample(range(nodes), 2)
        if (other, one) not in ends:
            ends.add((one, other))
    return {pair: dice.randint(1, 50_000_000) for pair in sorted(ends)}


def search(nodes: int, runs: int) -> Search:
    """Measure both on a graph of so many nodes, at least 5."""
    found = links(nodes)
    ours = _graph(nodes, found)
    theirs: _Plain = nx.Graph()
    for (one, other), cost in found.items():
        theirs.add_edge(one, other, weight=cost)
    paths, plain = shortest_paths(ours), _networkx(theirs)  # and scipy is imported now
    return Search(
        nodes, len(found),
        timed(lambda: shortest_paths(ours), runs),
        timed(lambda: _networkx(theirs), runs),
        _equal(paths, plain),
    )  # fmt: skip


def _graph(nodes: int, found: dict[tuple[int, int], int]) -> Graph:
    both = [(a, b, c) for (a, b), c in found.items()]
    both += [(b, a, c) for a, b, c in both]
    tail, head, cost = np.array(both, dtype=np.int64).T
    keys = [name_key("link", f"{a}>{b}") for a, b, _ in both]
    return Graph(nodes, tail, head, cost, np.array(keys, dtype=np.uint64))


def _networkx(graph: _Plain) -> dict[int, dict[int, float]]:
    found = {}
    for node in graph:
        _, distance = nx.dijkstra_predecessor_and_distance(graph, node)
        found[node] = distance
    return found


def _equal(paths: Paths, plain: dict[int, dict[int, float]]) -> bool:
    nodes = range(paths.graph.nodes)
    theirs = [[int(plain[a][b]) for b in nodes] for a in nodes]
    return bool((paths.cost == np.array(theirs, dtype=np.int64)).all())
