"""Path search: exact distances, valid shortest routes, ties decided by fingerprints."""

from random import Random
from types import ModuleType

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import pathsearch
from patronus.engine.pathsearch import EXACT, Graph, shortest_paths
from patronus.engine.units import NEVER
from tests.mutants.harness import caught, mutant
from tests.oracles.dijkstra import Edge, shortest


def graph(nodes: int, edges: list[Edge], module: ModuleType = pathsearch) -> Graph:
    columns = np.array([edge[:3] for edge in edges], dtype=np.int64).reshape(len(edges), 3)
    keys = np.array([edge[3] for edge in edges], dtype=np.uint64)
    made: Graph = module.Graph(nodes, columns[:, 0], columns[:, 1], columns[:, 2], keys)
    return made


@st.composite
def networks(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    """Draw graphs with ties, parallel edges, loops and parts that cannot be reached."""
    nodes = draw(st.integers(1, 9))
    node = st.integers(0, nodes - 1)
    cost = st.one_of(st.integers(1, 3), st.sampled_from([10**6, 10**6 + 1, EXACT // 9 - 1]))
    ends = draw(st.lists(st.tuples(node, node, cost), max_size=30))
    keys = draw(st.permutations([0, 2**64 - 1, *range(3, len(ends) + 1)]))
    return nodes, [(*end, key) for end, key in zip(ends, keys, strict=False)]


Network = tuple[int, list[Edge]]


def agrees(module: ModuleType, network: Network) -> None:
    """Hold distances, last edges, single routes and the table of routes to the oracle."""
    nodes, edges = network
    paths = module.shortest_paths(graph(nodes, edges, module))
    start, table = paths.routes()
    for source in range(nodes):
        distance, last = shortest(edges, source)
        assert paths.cost[source].tolist() == [distance.get(n, NEVER) for n in range(nodes)]
        assert paths.via[source].tolist() == [last.get(n, -1) for n in range(nodes)]
        for node in range(nodes):
            walk, at = [], node
            while at in last:
                walk.append(last[at])
                at = edges[last[at]][0]
            i = source * nodes + node
            assert paths.route(source, node) == tuple(walk[::-1])
            assert table[start[i] : start[i + 1]].tolist() == walk[::-1]


@given(networks())
def test_the_search_equals_a_plain_dijkstra(network: Network) -> None:
    """Every distance is exact, and of equally short last edges the smallest fingerprint wins."""
    agrees(pathsearch, network)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.argsort(graph.key)[::-1]", "np.argsort(graph.key)"),
        ("np.argsort(graph.key)[::-1]", "np.arange(len(graph.key))"),
        (
            "np.lexsort((graph.cost, graph.head, graph.tail))",
            "np.lexsort((graph.head, graph.tail))",
        ),
        ("first[1:] = (tail[1:] != tail[:-1]) | ", "first[1:] = "),
        ("enumerate(steps, 1)", "enumerate(steps)"),
        ("== towards[head])", "== towards[head] + 1)"),
        ("reached: npt.NDArray[np.bool_] = found <", "reached: npt.NDArray[np.bool_] = found >"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Wrong ties, ties by order, lost parallel edges and misplaced steps are noticed."""
    broken = mutant(pathsearch, old, new)
    assert caught(networks(), lambda network: agrees(broken, network))


@given(networks())
def test_costs_equal_networkx(network: Network) -> None:
    """Distances are those of an independent library."""
    nodes, edges = network
    reference: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    reference.add_nodes_from(range(nodes))
    reference.add_weighted_edges_from((tail, head, cost) for tail, head, cost, _ in edges)
    paths = shortest_paths(graph(nodes, edges))
    for source, lengths in nx.all_pairs_dijkstra_path_length(reference):
        assert paths.cost[source].tolist() == [lengths.get(n, NEVER) for n in range(nodes)]


@given(networks(), st.randoms(use_true_random=False))
def test_the_order_of_edges_decides_nothing(network: Network, shuffler: Random) -> None:
    """Shuffled edges give the same routes, told by fingerprints."""
    nodes, edges = network
    shuffled = list(edges)
    shuffler.shuffle(shuffled)
    here, there = shortest_paths(graph(nodes, edges)), shortest_paths(graph(nodes, shuffled))
    for source in range(nodes):
        for node in range(nodes):
            one = [edges[e][3] for e in here.route(source, node)]
            other = [shuffled[e][3] for e in there.route(source, node)]
            assert one == other


def test_a_tie_goes_to_the_smallest_fingerprint() -> None:
    """Of two routes of equal cost the one whose last edge has the smaller key is taken."""
    square = [(0, 1, 5, 10), (0, 2, 5, 20), (1, 3, 5, 40), (2, 3, 5, 30)]
    paths = shortest_paths(graph(4, square))
    assert paths.route(0, 3) == (1, 3)
    assert paths.cost[0].tolist() == [0, 5, 5, 10]
    assert paths.cost[3].tolist() == [NEVER, NEVER, NEVER, 0]


def test_the_largest_exact_costs_are_exact() -> None:
    """Sums one short of the limit still differ by one."""
    step = EXACT // 6
    paths = shortest_paths(graph(3, [(0, 1, step, 1), (1, 2, step, 2), (0, 2, 2 * step - 1, 3)]))
    assert paths.cost[0, 2] == 2 * step - 1
    assert paths.route(0, 2) == (2,)


def test_one_source_is_enough() -> None:
    """Rows are the chosen sources, in their order; none at all is an empty table."""
    paths = shortest_paths(graph(3, [(2, 1, 7, 1), (1, 0, 1, 2)]), np.array([2, 1]))
    assert paths.cost.tolist() == [[8, 7, 0], [1, 0, NEVER]]
    assert paths.route(0, 0) == (0, 1)
    start, table = paths.routes()
    assert (start.tolist(), table.tolist()) == ([0, 2, 3, 3, 4, 4, 4], [0, 1, 0, 1])
    none = shortest_paths(paths.graph, np.zeros(0, dtype=np.int64))
    assert none.cost.shape == none.via.shape == (0, 3)
    assert none.routes()[0].tolist() == [0]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 3, 1, 1)], "outside of the 3 nodes"),
        ([(-1, 0, 1, 1)], "outside of the 3 nodes"),
        ([(0, 1, 0, 1)], "at least 1"),
        ([(0, 1, EXACT // 3 + 1, 1)], "2\\^53"),
        ([(0, 1, 1, 7), (1, 0, 1, 7)], "same fingerprint"),
    ],
)
def test_a_graph_that_breaks_a_promise_is_refused(edges: list[Edge], message: str) -> None:
    """What the search relies on is checked when the graph is made."""
    with pytest.raises(ValueError, match=message):
        graph(3, edges)
