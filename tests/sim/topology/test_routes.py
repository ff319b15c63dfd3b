"""Providers' routes and the links that tunnels cross."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.sim.scenario import Mesh, Scenario
from patronus.sim.topology import (
    Network,
    build,
    cables,
    row_links,
    row_reachable,
    row_segment,
    row_sum,
    segment_sum,
    segments,
)
from patronus.sim.topology import routes as module
from patronus.sim.underlay import Segments
from tests.oracles.dijkstra import shortest
from tests.sim.topology.strategies import generated, providers, scenario, site


def route(table: Segments, segment: int) -> list[int]:
    return [int(link) for link in table.links[table.start[segment] : table.start[segment + 1]]]


def tables(network: Network) -> list[Segments]:
    return [segments(network.underlay, i) for i in range(len(network.overlay.transports))]


@given(providers, st.data())
def test_segments_are_the_routes_of_a_plain_dijkstra(provider: str, data: st.DataObject) -> None:
    """Whatever links have failed, each segment is the shortest way around, ties by fingerprint."""
    under = build(scenario(provider, count=2), 1).underlay
    core = under.providers[0]
    links = range(core.first_link, core.first_link + 2 * len(core.ends))
    failed = data.draw(st.frozensets(st.sampled_from(links), max_size=6))
    working = [link for link in links if link not in failed]
    edges = [
        (
            *core.ends[(link - core.first_link) // 2].tolist()[:: -1 if link % 2 else 1],
            int(under.links.delay_ns[link]),
            int(under.links.key[link]),
        )
        for link in working
    ]
    table, size = segments(under, 0, failed), len(core.nodes)
    for a in range(size):
        distance, last = shortest(edges, a)
        for b in range(size):
            expected, at = [], b
            while at in last:
                expected.append(working[last[at]])
                at = edges[last[at]][0]
            assert route(table, a * size + b) == expected[::-1]
            assert bool(table.reachable[a * size + b]) == (b in distance)


def test_a_cut_is_gone_around() -> None:
    """On Abilene the way from Seattle to Sunnyvale then leads through Denver, one way only."""
    under = build(scenario("map:abilene", count=2), 1).underlay
    nodes = under.providers[0].nodes
    seattle, sunnyvale = nodes.index("Seattle"), nodes.index("Sunnyvale")
    there, back = seattle * 11 + sunnyvale, sunnyvale * 11 + seattle
    forth, reverse = cables(under)["t0:Seattle-Sunnyvale"]
    table = segments(under, 0, [forth])
    names = [under.links.names[link] for link in route(table, there)]
    assert names == ["t0:Denver-Seattle", "t0:Denver-Sunnyvale"]
    assert route(table, back) == [reverse]


def test_an_island_is_not_reachable() -> None:
    """A node whose cables are all cut reaches itself alone."""
    under = build(scenario("map:sanren", count=2), 1).underlay
    nodes = under.providers[0].nodes
    town = nodes.index("Cape Town")
    cut = [i for name, both in cables(under).items() if "Cape Town" in name for i in both]
    reachable = segments(under, 0, cut).reachable.reshape(7, 7)
    assert reachable[town].tolist() == reachable[:, town].tolist() == [i == town for i in range(7)]
    assert reachable.sum() == 36 + 1


def test_dedicated_ways_have_no_way_around() -> None:
    """Where delays are given, a pair has its own link, however slow, or nothing."""
    sites = (site("a"), site("b"), site("c"))
    given = {("a", "b", ""): 100, ("a", "c", ""): 1, ("b", "c", ""): 1}
    under = build(scenario(sites=sites, delays_ns=given), 1).underlay
    forth, back = cables(under)["t0:a-b"]
    assert route(segments(under, 0), 1) == [forth]
    assert route(segments(under, 0), 3) == [back]
    broken = segments(under, 0, [forth])
    assert route(broken, 1) == []
    assert broken.reachable.tolist() == [True, False] + [True] * 7
    pairs = build(
        scenario(mesh=Mesh.PAIRS, sites=sites, pairs=(("b", "c"), ("c", "a")), delays_ns=given), 1
    )
    assert segments(pairs.underlay, 0).reachable.sum() == 3 + 4


def test_routes_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same failure gives the same table; others' links are no failure; few are kept."""
    under = build(scenario("ring", "ring", count=2), 1).underlay
    first = under.providers[0].first_link
    table = segments(under, 0, [first])
    assert segments(under, 0, {first, int(under.up[0, 0]), under.providers[1].first_link}) is table
    assert segments(under, 0) is not table
    monkeypatch.setattr(module, "KEPT", 3)
    for link in range(first, first + 5):
        segments(under, 0, [link])
        assert segments(under, 0) is segments(under, 0)
    assert len(module._known[under]) == 3
    assert segments(under, 0, [first]) is not table


@settings(max_examples=40)
@given(generated(), st.integers(0, 2**64 - 1))
def test_rows_cross_access_segment_access(case: Scenario, seed: int) -> None:
    """Each row crosses the source's link up, its segment and the destination's link down."""
    network = build(case, seed)
    overlay, under, known = network.overlay, network.underlay, tables(network)
    rows = np.arange(overlay.rows)[:: 1 + overlay.rows // 40]
    crossed = row_links(under, overlay, rows, known)
    delay = row_sum(under, overlay, rows, known, under.links.delay_ns)
    back = row_sum(under, overlay, overlay.reverse[rows], known, under.links.delay_ns)
    for i, row in enumerate(rows.tolist()):
        src, dst, t = (int(x[row]) for x in (overlay.src, overlay.dst, overlay.transport))
        a, b = int(under.pop[src, t]), int(under.pop[dst, t])
        segment = route(known[t], a * len(under.providers[t].nodes) + b)
        expected = [int(under.up[src, t]), *segment, int(under.down[dst, t])]
        found = crossed.links[crossed.start[i] : crossed.start[i + 1]].tolist()
        assert found == expected
        assert delay[i] == under.links.delay_ns[expected].sum()
        assert row_segment(under, overlay, rows)[i] == a * len(under.providers[t].nodes) + b
    # A route's length is the same both ways, even where a tie is broken differently.
    assert (delay == back).all()
    assert row_reachable(under, overlay, rows, known).all()
    assert crossed.start[-1] == len(crossed.links)


def test_rows_without_a_route_are_told() -> None:
    """They keep their access links, have nothing between, and count as not reachable."""
    network = build(scenario("map:sanren", "ring", map="sanren"), 1)
    overlay, under = network.overlay, network.underlay
    cut = [i for name, both in cables(under).items() if "t0:Cape Town" in name for i in both]
    known = [segments(under, 0, cut), segments(under, 1)]
    rows = np.array(overlay.direct(0, overlay.site_index["cape-town"]))
    assert row_reachable(under, overlay, rows, known).tolist() == [False, True]
    crossed = row_links(under, overlay, rows, known)
    assert crossed.start[1] == 2
    assert crossed.start[2] > 4


def test_no_rows_cross_nothing() -> None:
    """An empty selection is an empty table."""
    network = build(scenario(count=2), 1)
    none = np.zeros(0, dtype=np.int64)
    crossed = row_links(network.underlay, network.overlay, none, tables(network))
    assert (crossed.start.tolist(), crossed.links.tolist()) == ([0], [])
    ones = np.ones(len(network.underlay.links.names), dtype=np.int64)
    assert not len(row_sum(network.underlay, network.overlay, none, tables(network), ones))


def test_blocks_join_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of a block decides nothing."""
    network = build(scenario("geo", "star", count=9), 1)
    rows = np.arange(network.overlay.rows)
    whole = row_links(network.underlay, network.overlay, rows, tables(network))
    monkeypatch.setattr(module, "BLOCK", 7)
    parts = row_links(network.underlay, network.overlay, rows, tables(network))
    assert (whole.links == parts.links).all()
    assert (whole.start == parts.start).all()


def test_sums_of_segments() -> None:
    """Counting ones gives the number of hops that networkx finds on a ring of equal choices."""
    under = build(scenario("map:sanren", count=2), 1).underlay
    ones = np.ones(len(under.links.names), dtype=np.int64)
    hops = segment_sum(segments(under, 0), ones).reshape(7, 7)
    graph: nx.Graph[int] = nx.Graph()
    for i, (a, b) in enumerate(under.providers[0].ends.tolist()):
        graph.add_edge(a, b, delay=int(under.links.delay_ns[under.providers[0].first_link + 2 * i]))
    for a, paths in nx.all_pairs_dijkstra_path(graph, weight="delay"):
        assert hops[a].tolist() == [len(paths[b]) - 1 for b in range(7)]
