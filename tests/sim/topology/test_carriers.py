"""Provider graphs: what each kind promises about routes and cables."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I64
from patronus.sim.topology.carriers import carrier, ring, star, two_trees
from patronus.sim.topology.land import Land
from patronus.sim.topology.maps import load_map
from patronus.sim.topology.sphere import distances

PLAIN = Land(1, None)
SPRINT = Land(1, load_map("sprint"))

places = st.lists(
    st.tuples(st.integers(-80_000_000, 80_000_000), st.integers(-179_000_000, 179_000_000)),
    min_size=3,
    max_size=14,
)
few_places = st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=3, max_size=9)


def at(places: Sequence[tuple[int, int]]) -> tuple[I64, U64]:
    keys = np.arange(len(places), dtype=np.uint64) * np.uint64(7) % np.uint64(31)
    return np.array(places, dtype=np.int64), keys


def crossing(a: I64, b: I64, c: I64, d: I64) -> bool:
    def side(p: I64, q: I64, r: I64) -> int:
        return int(np.sign((q[1] - p[1]) * (r[0] - p[0]) - (q[0] - p[0]) * (r[1] - p[1])))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


@given(st.one_of(places, few_places))
def test_a_ring_visits_each_node_once_and_crosses_nothing(found: list[tuple[int, int]]) -> None:
    """It is one cycle; drawn on a map, no two cables of it cross."""
    position, keys = at(found)
    ends = ring(position, keys)
    graph: nx.Graph[int] = nx.Graph(ends.tolist())
    assert len(ends) == len(found)
    assert nx.is_connected(graph)
    assert {degree for _, degree in graph.degree} == {2}
    cables = [(position[a], position[b]) for a, b in ends]
    assert not any(crossing(*one, *other) for one in cables for other in cables)


@given(st.one_of(places, few_places))
def test_two_trees_survive_any_cut_cable(found: list[tuple[int, int]]) -> None:
    """No cable of the geographic provider is a single point of failure, ties included."""
    ends = two_trees(*at(found)).tolist()
    graph: nx.Graph[int] = nx.Graph(ends)
    assert len(graph.edges) == len(ends)
    assert len(graph) == len(found)
    assert nx.is_connected(graph)
    assert not list(nx.bridges(graph))


@given(places)
def test_the_first_tree_is_a_shortest_one(found: list[tuple[int, int]]) -> None:
    """The cables hold a spanning tree that is as short as networkx's."""
    position, keys = at(found)
    lengths = distances(position[:, None].repeat(len(found), 1).reshape(-1, 2),
                        np.tile(position, (len(found), 1)))  # fmt: skip
    matrix = lengths.reshape(len(found), -1)
    full: nx.Graph[int] = nx.Graph()
    full.add_weighted_edges_from(
        (a, b, int(matrix[a, b])) for a in range(len(found)) for b in range(a)
    )
    best = nx.minimum_spanning_tree(full).size(weight="weight")
    ours = full.edge_subgraph([tuple(end) for end in two_trees(position, keys).tolist()])
    tree = nx.minimum_spanning_tree(ours).size(weight="weight")
    # Equal but for the metres that two nearly equal cables are rounded to.
    assert tree == pytest.approx(best, abs=2 * len(found))


def test_a_star_has_its_middle_in_the_middle() -> None:
    """The node that is nearest to all others has all cables."""
    position, keys = at([(0, 0), (0, 10_000_000), (1_000_000, 5_000_000), (9_000_000, 5_000_000)])
    assert star(position, keys).tolist() == [[2, 0], [2, 1], [2, 3]]


@pytest.mark.parametrize(
    ("provider", "nodes", "cables"),
    [
        ("ring", 8, 8),
        ("ring:3", 3, 3),
        ("mesh", 8, 28),
        ("mesh:2", 2, 1),
        ("star", 9, 8),
        ("star:20", 20, 19),
        ("geo:5", 5, 8),
        ("geo", 16, 30),
        ("map:abilene", 11, 14),
        ("abilene", 11, 14),
        ("topohub:sndlib/polska", 12, 18),
    ],
)
def test_each_kind_has_its_size(provider: str, nodes: int, cables: int) -> None:
    """Nodes and cables are as many as the kind says."""
    made = carrier(provider, "mpls", PLAIN)
    assert (len(made.nodes), len(made.links)) == (nodes, cables)


def test_generated_nodes_are_cities_where_there_is_a_map() -> None:
    """Two transports draw different cities; a provider that wants more takes all there are."""
    cities = load_map("sprint").nodes
    mpls, lte = (carrier("ring", name, SPRINT).nodes for name in ("mpls", "lte"))
    assert set(mpls) < set(cities)
    assert set(lte) < set(cities)
    assert mpls != lte
    assert carrier("mesh:12", "mpls", SPRINT).nodes == cities


def test_providers_of_one_kind_differ() -> None:
    """Two transports over rings have their nodes in different places."""
    one, other = (carrier("ring", name, PLAIN) for name in ("mpls", "lte"))
    assert one.nodes == other.nodes == tuple(f"pop{i}" for i in range(1, 9))
    assert not set(one.places) & set(other.places)


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("rng", "transport `mpls`: there is no provider `rng`; did you mean `ring`"),
        ("", "there is no provider ``; known: ring, mesh, star, geo, map:…, topohub:…, aarnet"),
        ("ring:2", "provider `ring:2`: `ring` takes 3 to 1000 nodes"),
        ("mesh:1", "takes 2 to 200"),
        ("mesh:201", "takes 2 to 200"),
        ("geo:501", "takes 3 to 500"),
        ("geo:-5", "takes 3 to 500"),
        ("geo:ten", "takes 3 to 500"),
        ("geo:" + "9" * 5000, "takes 3 to 500"),
        ("geo:²", "takes 3 to 500"),
        ("map:abilen", "no map `abilen`; did you mean `abilene`"),
        ("sprin", "did you mean `sprint`"),
    ],
)
def test_a_provider_that_cannot_be_is_refused(provider: str, message: str) -> None:
    """The message names the transport or the provider, and what is near."""
    with pytest.raises(ValueError, match=message):
        carrier(provider, "mpls", PLAIN)


def test_a_map_may_be_too_small_for_a_kind() -> None:
    """Two cities make no ring."""
    tiny = load_map("topohub:gabriel/5/0")
    pair = type(tiny)("pair", "", "", tiny.nodes[:2], tiny.places[:2], ((0, 1),))
    with pytest.raises(ValueError, match="the map has only 2 cities for it"):
        carrier("ring", "mpls", Land(1, pair))
