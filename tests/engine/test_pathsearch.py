"""Path search: exact distances, valid shortest routes, ties decided by fingerprints."""

from random import Random

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.pathsearch import EXACT, Graph, Paths, shortest_paths
from patronus.engine.units import NEVER
from tests.oracles.dijkstra import Edge, shortest


def graph(nodes: int, edges: list[Edge]) -> Graph:
    columns = np.array([edge[:3] for edge in edges], dtype=np.int64).reshape(len(edges), 3)
    keys = np.array([edge[3] for edge in edges], dtype=np.uint64)
    return Graph(nodes, columns[:, 0], columns[:, 1], columns[:, 2], keys)


@st.composite
def networks(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    """Draw graphs with ties, parallel edges, loops and parts that cannot be reached."""
    nodes = draw(st.integers(1, 9))
    node = st.integers(0, nodes - 1)
    cost = st.one_of(st.integers(1, 3), st.sampled_from([10**6, 10**6 + 1, EXACT // 9 - 1]))
    ends = draw(st.lists(st.tuples(node, node, cost), max_size=30))
    keys = draw(st.permutations([0, 2**64 - 1, *range(3, len(ends) + 1)]))
    return nodes, [(*end, key) for end, key in zip(ends, keys, strict=False)]


def cost_of(paths: Paths, route: tuple[int, ...]) -> int:
    return sum(int(paths.graph.cost[edge]) for edge in route)


@given(networks())
def test_costs_and_last_edges_equal_a_plain_dijkstra(network: tuple[int, list[Edge]]) -> None:
    """Every distance is exact, and of equally short last edges the smallest fingerprint wins."""
    nodes, edges = network
    paths = shortest_paths(graph(nodes, edges))
    for source in range(nodes):
        distance, last = shortest(edges, source)
        assert paths.cost[source].tolist() == [distance.get(n, NEVER) for n in range(nodes)]
        assert paths.via[source].tolist() == [last.get(n, -1) for n in range(nodes)]


@given(networks())
def test_costs_equal_networkx(network: tuple[int, list[Edge]]) -> None:
    """Distances are those of an independent library."""
    nodes, edges = network
    reference: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    reference.add_nodes_from(range(nodes))
    reference.add_weighted_edges_from((tail, head, cost) for tail, head, cost, _ in edges)
    paths = shortest_paths(graph(nodes, edges))
    for source, lengths in nx.all_pairs_dijkstra_path_length(reference):
        assert paths.cost[source].tolist() == [lengths.get(n, NEVER) for n in range(nodes)]


@given(networks())
def test_routes_are_walks_of_the_stated_cost(network: tuple[int, list[Edge]]) -> None:
    """A route leads edge by edge from its source to its node and costs what is said."""
    nodes, edges = network
    paths = shortest_paths(graph(nodes, edges))
    for source in range(nodes):
        for node in range(nodes):
            route, at = paths.route(source, node), source
            for edge in route:
                assert edges[edge][0] == at
                at = edges[edge][1]
            if paths.cost[source, node] == NEVER:
                assert route == ()
            else:
                assert (at, cost_of(paths, route)) == (node, paths.cost[source, node])


@given(networks(), st.data())
def test_the_table_of_routes_holds_each_route(
    network: tuple[int, list[Edge]], data: st.DataObject
) -> None:
    """The table made for all pairs at once holds what each single walk finds."""
    nodes, edges = network
    sources = data.draw(st.lists(st.integers(0, nodes - 1), max_size=4))
    paths = shortest_paths(graph(nodes, edges), np.array(sources, dtype=np.int64))
    start, table = paths.routes()
    assert len(start) == len(sources) * nodes + 1
    for row in range(len(sources)):
        for node in range(nodes):
            i = row * nodes + node
            assert tuple(table[start[i] : start[i + 1]]) == paths.route(row, node)


@given(networks(), st.randoms(use_true_random=False))
def test_the_order_of_edges_decides_nothing(
    network: tuple[int, list[Edge]], shuffler: Random
) -> None:
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
    """Rows are the chosen sources, in their order."""
    paths = shortest_paths(graph(3, [(2, 1, 7, 1), (1, 0, 1, 2)]), np.array([2, 1]))
    assert paths.cost.tolist() == [[8, 7, 0], [1, 0, NEVER]]
    assert paths.route(0, 0) == (0, 1)


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
