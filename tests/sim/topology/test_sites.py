"""Who the sites are: names, hubs, and what is refused."""

from typing import Any

import pytest

from patronus.sim.scenario import Mesh, SiteSpec, TopologySpec
from patronus.sim.topology import hub_names, site_names
from patronus.sim.topology.sites import _slugs, sites
from tests.sim.topology.strategies import site

AB = (site("a"), site("b"))


def test_generated_sites_are_counted() -> None:
    """Sites are numbered; with hubs, hubs and spokes are numbered apart."""
    assert site_names(TopologySpec(count=3)) == ("site1", "site2", "site3")
    spec = TopologySpec(mesh=Mesh.HUBS, count=4, hubs=2)
    assert site_names(spec) == ("hub1", "hub2", "spoke1", "spoke2")
    assert hub_names(spec) == ("hub1", "hub2")
    assert hub_names(TopologySpec(count=2, hubs=2)) == ("hub1", "hub2")


def test_regions_take_turns() -> None:
    """Generated hubs and spokes are dealt out to the regions in turn, hubs among hubs."""
    spec = TopologySpec(mesh=Mesh.REGIONAL, count=6, hubs=3, regions=2)
    regions = [s.region for s in sites(spec)]
    assert regions == ["region1", "region2", "region1"] * 2


def test_given_sites_keep_their_names_and_marks() -> None:
    """Marked sites are the hubs; when none is marked the first few are."""
    marked = (site("a"), SiteSpec("b", hub=True), site("c"))
    assert site_names(TopologySpec(sites=marked, hubs=2)) == ("a", "b", "c")
    assert hub_names(TopologySpec(sites=marked, hubs=2)) == ("b",)
    assert hub_names(TopologySpec(sites=AB, hubs=1)) == ("a",)


def test_sites_on_a_map_begin_with_the_best_connected() -> None:
    """A map's nodes become sites in order of how many cables they have."""
    names = site_names(TopologySpec(map="sprint", hubs=2))
    assert names[:4] == ("stockton", "washington-dc", "chicago", "fort-worth")
    assert len(names) == 11
    assert hub_names(TopologySpec(map="sprint", hubs=2)) == ("stockton", "washington-dc")
    assert site_names(TopologySpec(map="map:sprint", count=4)) == names[:4]


def test_names_of_places_become_names_of_sites() -> None:
    """Accents, spaces and signs go; what would be equal or empty gets a number."""
    assert _slugs(("St. Pölten", "st polten", "北京", "上海", "São Paulo/SP", "st-polten-2")) == (
        "st-polten",
        "st-polten-2",
        "node",
        "node-2",
        "sao-paulo-sp",
        "st-polten-2-2",
    )


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ({}, "at least two sites, not 0"),
        ({"count": 1}, "at least two sites, not 1"),
        ({"sites": AB[:1]}, "at least two sites, not 1"),
        ({"map": "sanren", "count": 1}, "at least two sites, not 1"),
        ({"map": "sanren", "count": 8}, "8 sites are more than the 7 nodes of sanren"),
        ({"map": "sanran"}, "no map `sanran`; did you mean `sanren`"),
        ({"count": 3, "hubs": 4}, "4 hubs are more than the 3 sites"),
        ({"sites": (*AB, site("a"))}, "two sites are called `a`"),
        ({"sites": (site("x", 1.0), *AB)}, "`x` has only one of latitude and longitude"),
        ({"sites": (site("x", None, 1.0), *AB)}, "`x` has only one of"),
        ({"sites": (site("x", 90.1, 0.0), *AB)}, "`x` does not lie on the Earth"),
        ({"sites": (site("x", 0.0, -180.5), *AB)}, "`x` does not lie on the Earth"),
        ({"sites": (site("x", float("nan"), 0.0), *AB)}, "`x` does not lie on the Earth"),
        ({"sites": (site("x", 0.0, float("inf")), *AB)}, "`x` does not lie on the Earth"),
    ],
)
def test_sites_that_cannot_be_are_refused(topology: dict[str, Any], message: str) -> None:
    """The message names the site, the number or the map that is wrong."""
    with pytest.raises(ValueError, match=message):
        site_names(TopologySpec(**topology))
