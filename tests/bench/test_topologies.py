"""How long networks take to build, and routes to find; each line is a measured figure."""

import tracemalloc
from time import perf_counter

import numpy as np
import pytest

from patronus.engine.pathsearch import Graph, shortest_paths
from patronus.sim.scenario import Mesh, Scenario
from patronus.sim.topology import build, row_links, row_sum, segments
from tests.sim.topology.strategies import scenario

CASES = {
    "full mesh of 1000": scenario("ring", "geo:16", mesh=Mesh.FULL, count=1000),
    "1000 spokes to 4 hubs": scenario("map:att", "map:sprint", mesh=Mesh.HUBS, count=1000, hubs=4),
    "partial mesh of 1000": scenario("ring", "mesh", mesh=Mesh.PARTIAL, count=1000, degree=6),
}


@pytest.mark.bench
@pytest.mark.parametrize("name", CASES)
def test_building_a_network(name: str) -> None:
    """Wall time of a build (its bar: 3 s, or 0.5 s for hubs), then the memory of another one."""
    start = perf_counter()
    network = build(CASES[name], 1)
    took = perf_counter() - start
    print(f"\n{name}: {network.overlay.rows:,} rows in {took:.2f} s, {peak_mb(CASES[name])} MB")
    start = perf_counter()
    tables = [segments(network.underlay, i) for i in range(2)]
    rows = np.arange(network.overlay.rows)
    row_sum(network.underlay, network.overlay, rows, tables, network.underlay.links.delay_ns)
    crossed = row_links(network.underlay, network.overlay, rows, tables)
    print(f"  {len(crossed.links):,} links crossed, in {perf_counter() - start:.2f} s")


def peak_mb(case: Scenario) -> int:
    tracemalloc.start()
    build(case, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak // 1_000_000


@pytest.mark.bench
def test_all_pairs_of_a_thousand_nodes() -> None:
    """Shortest paths with predecessors: 1000 nodes, 3000 cables (its bar: 0.2 s)."""
    draw = np.random.default_rng(1)
    tree = np.stack([np.arange(1, 1000), draw.integers(0, np.arange(1, 1000))], axis=1)
    ends = np.concatenate([tree, draw.integers(0, 1000, (3000 - len(tree), 2))])
    cost = draw.integers(10_000, 20_000_000, len(ends))
    tail, head = np.concatenate([ends, ends[:, ::-1]]).T
    graph = Graph(1000, tail, head, np.tile(cost, 2), np.arange(6000, dtype=np.uint64))
    took = []
    for _ in range(5):
        start = perf_counter()
        paths = shortest_paths(graph)
        took.append(perf_counter() - start)
    start = perf_counter()
    _, edges = paths.routes()
    table = perf_counter() - start
    print(f"\nall pairs: {min(took):.3f} s at best, {max(took):.3f} s at worst of 5")
    print(f"  their {len(edges):,} edges as a table: {table:.3f} s")
