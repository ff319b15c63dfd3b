"""The map holds every site, the right way up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.report.geography import Map

PLACES = st.lists(
    st.tuples(st.floats(-180, 180), st.floats(-80, 80)), min_size=2, max_size=20, unique=True
)


def of(places: list[tuple[float, float]]) -> Map:
    sites = [{"name": f"s{i}", "x": x, "y": y} for i, (x, y) in enumerate(places)]
    return Map({"sites": sites})


@given(PLACES)
def test_every_site_is_inside_the_frame(places: list[tuple[float, float]]) -> None:
    """Whatever the coordinates, every site is drawn inside the map."""
    plan = of(places)
    for site in plan.sites:
        x, y = plan.place(site["x"], site["y"])
        assert 0 <= x <= 1
        assert 0 <= y <= 1


def test_north_is_up_and_east_is_right() -> None:
    """Oslo is drawn above and left of Athens."""
    plan = of([(10.8, 59.9), (23.7, 38.0)])
    (x1, y1), (x2, y2) = plan.place(10.8, 59.9), plan.place(23.7, 38.0)
    assert y1 < y2
    assert x1 < x2


@pytest.mark.parametrize("count", [1, 2, 7])
def test_sites_without_places_stand_apart(count: int) -> None:
    """Sites that have no coordinates of their own are still told apart."""
    plan = of([(0.0, 0.0)] * count)
    places = {plan.place(s["x"], s["y"]) for s in plan.sites}
    assert len(places) == count


def test_a_cut_access_link_marks_its_site() -> None:
    """A site whose access link was hit counts as hit, whatever its name holds."""
    plan = Map({"failed": ["access:a:b:mpls", "mpls:x-y"], "failed_sites": ["c"]})
    assert plan.failed_sites == {"a:b", "c"}


def test_links_without_length_are_not_drawn() -> None:
    """An access link to a provider's node at the same place is no line."""
    link = {"name": "n", "provider": "p", "a": [1, 2], "b": [1, 2]}
    assert Map({"links": [link]}).links == []
