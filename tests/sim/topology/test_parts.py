"""Parts of a graph, against networkx, and the message that names them."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.topology.parts import check_connected, parts


@given(st.integers(1, 12), st.data())
def test_parts_are_those_of_networkx(nodes: int, data: st.DataObject) -> None:
    """Each node is labelled with the lowest node that it is connected to."""
    node = st.integers(0, nodes - 1)
    ends = data.draw(st.lists(st.tuples(node, node), max_size=14))
    graph = nx.Graph(ends)
    graph.add_nodes_from(range(nodes))
    lowest = {n: min(part) for part in nx.connected_components(graph) for n in part}
    found = parts(nodes, np.array(ends, dtype=np.int64).reshape(-1, 2))
    assert found.tolist() == [lowest[n] for n in range(nodes)]


def test_a_long_line_is_one_part() -> None:
    """A chain in the worst order is still joined up."""
    chain = np.stack([np.arange(999), np.arange(1, 1000)], axis=1)[::-1]
    assert not parts(1000, chain).any()


@pytest.mark.parametrize(
    ("names", "ends", "message"),
    [
        ("a b c", [(1, 2)], "^it falls into 2 parts: a | b, c$"),
        ("a b c d e f g", [(0, 6)], "^it falls into 6 parts: b | c | d | e | …$"),
        ("a b c d e f", [(0, i) for i in range(1, 5)], "2 parts: f | a, b, c, d, …$"),
    ],
)
def test_parts_are_named(names: str, ends: list[tuple[int, int]], message: str) -> None:
    """The message names the parts, the smallest first, and does not become a list."""
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        check_connected("it", names.split(), np.array(ends, dtype=np.int64))


def test_what_hangs_together_passes() -> None:
    """A connected graph, and one node alone, are fine."""
    check_connected("it", ["a", "b"], np.array([[1, 0]]))
    check_connected("it", ["a"], np.empty((0, 2), dtype=np.int64))
