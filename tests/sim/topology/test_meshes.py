"""Which pairs have tunnels."""

from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.scenario import Mesh, SiteSpec, TopologySpec
from patronus.sim.topology.meshes import attached, pairs, partial_mesh, spokes_to_hubs, tunnels
from patronus.sim.topology.sites import sites


def found(spec: TopologySpec, regions: list[str] | None = None) -> set[tuple[str, str]]:
    here = sites(spec)
    names = [site.name for site in here]
    told = pairs(spec, here, regions or [], 1).tolist()
    assert len({frozenset(pair) for pair in told}) == len(told)
    return {(min(names[a], names[b]), max(names[a], names[b])) for a, b in told}


def test_full_mesh_pairs_everybody() -> None:
    """Every two sites are a pair, once."""
    assert found(TopologySpec(count=4)) == set(
        combinations(["site1", "site2", "site3", "site4"], 2)
    )


def test_hub_and_spoke_pairs_hubs_with_everybody() -> None:
    """Spokes have all hubs, hubs each other, and no two spokes are a pair."""
    spec = TopologySpec(mesh=Mesh.HUBS, count=4, hubs=2)
    spokes = {(hub, spoke) for hub in ("hub1", "hub2") for spoke in ("spoke1", "spoke2")}
    assert found(spec) == {("hub1", "hub2"), *spokes}


def test_regional_spokes_have_their_own_hubs() -> None:
    """A spoke has the hubs of its region; hubs of all regions are meshed."""
    spec = TopologySpec(mesh=Mesh.REGIONAL, count=5, hubs=3, regions=2)
    regions = ["r1", "r2", "r1", "r1", "r2"]
    hubs = {("hub1", "hub2"), ("hub1", "hub3"), ("hub2", "hub3")}
    spokes = {("hub1", "spoke1"), ("hub3", "spoke1"), ("hub2", "spoke2")}
    assert found(spec, regions) == hubs | spokes


def test_only_hubs_are_a_full_mesh() -> None:
    """Without a spoke there is nothing but the hubs' mesh."""
    assert len(spokes_to_hubs(np.arange(4), [""] * 4)) == 6


@given(
    st.lists(st.text(max_size=4), min_size=2, max_size=40, unique=True),
    st.integers(2, 9),
    st.integers(0, 2**64 - 1),
)
def test_a_partial_mesh_is_connected_and_stable(names: list[str], degree: int, seed: int) -> None:
    """It is connected, no pair is there twice, and an appended site changes no other pair."""
    mesh = partial_mesh(names, degree, seed).tolist()
    graph: nx.Graph[int] = nx.Graph(mesh)
    assert len(graph.edges) == len(mesh)
    assert nx.is_connected(graph)
    assert len(graph) == len(names)
    before = partial_mesh(names[:-1], degree, seed).tolist() if len(names) > 2 else []
    assert mesh[: len(before)] == before


@pytest.mark.parametrize("degree", [2, 3, 4, 7])
def test_a_partial_mesh_has_its_mean_degree(degree: int) -> None:
    """Over many sites the mean number of neighbours is what was asked for."""
    many = 1500
    mesh = partial_mesh([f"site{i}" for i in range(many)], degree, 1)
    assert 2 * len(mesh) / many == pytest.approx(degree, rel=0.03)


def test_listed_pairs_are_exactly_those() -> None:
    """Either order of the two names means the same pair."""
    spec = TopologySpec(mesh=Mesh.PAIRS, count=3, pairs=(("site2", "site1"), ("site2", "site3")))
    assert found(spec) == {("site1", "site2"), ("site2", "site3")}


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ({"mesh": Mesh.HUBS}, "hub-and-spoke needs hubs"),
        ({"mesh": Mesh.PARTIAL, "degree": 1}, "degree 1 is not connected"),
        (
            {"mesh": Mesh.PAIRS, "pairs": (("site1", "sit2"),)},
            "pairs: there is no site `sit2`; did you mean `site2`",
        ),
        ({"mesh": Mesh.PAIRS, "pairs": (("site1", "site1"),)}, "`site1` cannot be paired with"),
        (
            {"mesh": Mesh.PAIRS, "pairs": (("site1", "site2"), ("site2", "site1"))},
            "`site2` and `site1` are paired twice",
        ),
    ],
)
def test_a_mesh_that_cannot_be_is_refused(topology: dict[str, Any], message: str) -> None:
    """The message says which pair, or what is missing."""
    with pytest.raises(ValueError, match=message):
        found(TopologySpec(count=3, **topology))


def test_sites_have_the_transports_they_name() -> None:
    """Without names a site has all; an unknown name is an error with a suggestion."""
    here = sites(TopologySpec(sites=(SiteSpec("a"), SiteSpec("b", transports=("lte",)))))
    assert attached(here, ["mpls", "lte"]).tolist() == [[True, True], [False, True]]
    with pytest.raises(ValueError, match="site `b`: there is no transport `lte`; known: mpls"):
        attached(here, ["mpls"])


ATTACHED = np.array([[True, True], [True, False], [False, True]])


def test_a_pair_has_a_tunnel_for_each_common_transport() -> None:
    """Pairs without one are left out, as long as the overlay hangs together."""
    wanted = np.array([[0, 1], [0, 2], [1, 2]])
    made = tunnels(wanted, ATTACHED, "abc", listed=False)
    assert made.tolist() == [[0, 1, 0], [0, 2, 1]]


def test_a_listed_pair_needs_a_common_transport() -> None:
    """A pair that the user asked for is not silently left out."""
    with pytest.raises(ValueError, match="`b` and `c` have no transport in common"):
        tunnels(np.array([[0, 1], [1, 2]]), ATTACHED, "abc", listed=True)


def test_an_overlay_in_parts_is_refused() -> None:
    """The message names the parts."""
    with pytest.raises(ValueError, match=r"the overlay falls into 2 parts: c \| a, b"):
        tunnels(np.array([[0, 1], [1, 2]]), ATTACHED, "abc", listed=False)
