"""Where sites lie and to which region they belong."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.scenario import Scenario, SiteSpec
from patronus.sim.topology.geography import land_of, place_sites, regions_of
from patronus.sim.topology.land import EUROPE, Land, box
from patronus.sim.topology.maps import DEGREE, load_map
from patronus.sim.topology.sites import Site, sites
from tests.sim.topology.strategies import scenario, site

names = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=20, unique=True)
seeds = st.integers(0, 2**64 - 1)


def land(case: Scenario, seed: int = 1) -> Land:
    return land_of(case, sites(case.topology), seed)


@given(names, seeds)
def test_scattered_places_lie_in_the_box(names: Sequence[str], seed: int) -> None:
    """Whatever the seed, a drawn place is inside of the box."""
    (south, west), (north, east) = EUROPE
    for latitude, longitude in Land(seed, None).scatter("x", names).tolist():
        assert south <= latitude < north
        assert west <= longitude < east


@given(names, seeds, st.integers(-90 * DEGREE, 90 * DEGREE))
def test_places_around_a_centre_are_near_it_and_on_the_earth(
    names: Sequence[str], seed: int, latitude: int
) -> None:
    """Near poles and across the date line too, latitude and longitude stay in range."""
    centre = np.array([[latitude, 179_900_000]] * len(names), dtype=np.int64)
    around = Land(seed, None).around("x", names, centre, DEGREE)
    assert (np.abs(around[:, 0] - latitude) <= DEGREE).all()
    assert (np.abs(around[:, 0]) <= 90 * DEGREE).all()
    assert (np.abs(around[:, 1]) <= 180 * DEGREE).all()


@given(names, seeds)
def test_a_place_follows_from_its_name_alone(names: Sequence[str], seed: int) -> None:
    """Other names, and their order, move nothing; another purpose or seed does."""
    here = Land(seed, load_map("abilene"))
    each = [here.scatter("x", [name])[0].tolist() for name in names]
    assert here.scatter("x", names).tolist() == each
    assert here.scatter("x", names[::-1]).tolist() == each[::-1]
    assert here.scatter("y", names).tolist() != each
    assert Land(seed ^ 1, here.cities).scatter("x", names).tolist() != each


def test_drawn_places_are_spread_out() -> None:
    """Each quarter of the box and each city of a map gets its share."""
    many = [f"site{i}" for i in range(2000)]
    (south, west), (north, east) = EUROPE
    place = Land(1, None).scatter("x", many)
    quarter = (place[:, 0] * 2 > south + north) * 2 + (place[:, 1] * 2 > west + east)
    assert (np.bincount(quarter) > 400).all()
    cities = load_map("sanren")
    found = Land(1, cities).scatter("x", many)
    near = np.abs(found[:, None] - cities.position[None]).max(axis=2).argmin(axis=1)
    assert (np.bincount(near, minlength=7) > 150).all()


def test_the_land_is_the_first_map_that_there_is() -> None:
    """The sites' map comes first, then providers' in order, then the given places, then Europe."""
    assert land(scenario("ring", "map:sanren", "map:sprint", count=2)).cities == load_map("sanren")
    on_map = scenario("map:sanren", map="abilene")
    assert land(on_map).cities == load_map("abilene")
    given = (site("a", 47.1, 7.0), site("b", 51.0, 8.1), site("c"))
    assert land(scenario(sites=given)).cities is None
    assert land(scenario(sites=given)).corners == (
        (45_000_000, 5_000_000),
        (55_000_000, 10_000_000),
    )
    assert land(scenario(count=2)).corners == EUROPE


@pytest.mark.parametrize(
    ("place", "corners"),
    [
        ((47_000_000, 7_000_000), ((45_000_000, 5_000_000), (50_000_000, 10_000_000))),
        ((45_000_000, -5_000_000), ((45_000_000, -5_000_000), (50_000_000, 0))),
        ((90_000_000, 180_000_000), ((85_000_000, 175_000_000), (90_000_000, 180_000_000))),
        ((-90_000_000, -180_000_000), ((-90_000_000, -180_000_000), (-85_000_000, -175_000_000))),
    ],
)
def test_a_single_place_has_land_around_it(
    place: tuple[int, int], corners: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    """The box of one place is a whole square of 5 degrees, also in the corners of the Earth."""
    assert box([place]) == corners


def test_given_places_are_kept_and_others_drawn() -> None:
    """A site with coordinates stays there; one without is drawn by its name; a region gathers."""
    given = (site("a", 50.0, 8.0), site("b"), SiteSpec("c", region="r"), SiteSpec("d", region="r"))
    case = scenario(sites=given)
    found = sites(case.topology)
    position = place_sites(found, land(case))
    assert position[0].tolist() == [50_000_000, 8_000_000]
    assert position[1].tolist() == land(case).scatter("site", ["b"])[0].tolist()
    centre = land(case).centres(["r"])["r"]
    assert np.abs(position[2:, 0] - centre[0]).max() <= 2 * DEGREE
    assert position[2].tolist() != position[3].tolist()


def test_regions_of_a_map_lie_around_different_cities() -> None:
    """Two regions share a city only when there are more regions than cities."""
    here = Land(3, load_map("sanren"))
    regions = [f"region{i}" for i in range(7)]
    centres = here.centres(regions)
    assert len(set(centres.values())) == 7
    assert here.centres(regions[:4]) == {name: centres[name] for name in regions[:4]}
    assert set(here.centres([*regions, "more"]).values()) == set(centres.values())


def a_site(name: str, place: tuple[int, int], region: str = "", *, hub: bool = False) -> Site:
    return Site(name, hub, region, place)


def test_a_spoke_without_a_region_follows_the_nearest_hub() -> None:
    """Hubs take turns through the regions; what is given stays."""
    found = [
        a_site("north", (50, 0), hub=True),
        a_site("x", (49, 1)),
        a_site("south", (-50, 0), hub=True),
        a_site("y", (-1, 1)),
        a_site("z", (40, 0), "region2"),
        a_site("west", (0, -50), "there", hub=True),
    ]
    position = np.array([s.place for s in found], dtype=np.int64)
    regions = regions_of(found, position, 2)
    assert regions == ["region1", "region1", "region2", "region2", "region2", "there"]


def test_a_region_needs_a_hub() -> None:
    """A region without a hub, and no hub at all, are errors."""
    found = [a_site("h", (0, 0), hub=True), a_site("s", (1, 1), "lonely")]
    position = np.array([s.place for s in found], dtype=np.int64)
    with pytest.raises(ValueError, match="region `lonely` has no hub"):
        regions_of(found, position, 1)
    with pytest.raises(ValueError, match="regional hubs need hubs"):
        regions_of(found[1:], position[1:], 1)
