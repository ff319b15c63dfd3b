"""The underlay: what each link is like, and what it follows from."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.units import MS
from patronus.sim.scenario import (
    Burst,
    GroupSpec,
    LinkProfile,
    Mesh,
    Scenario,
    SiteSpec,
    TopologySpec,
    TransportSpec,
)
from patronus.sim.topology import Network, build, cables
from patronus.sim.topology.wires import METRO_NS
from tests.sim.topology.strategies import CORE, DOWN, UP, generated, scenario, site
from tests.sim.topology.test_sphere import great_circle


def described(network: Network) -> dict[str, tuple[Any, ...]]:
    """Return all that is known of each directed link, by name and direction."""
    links, transports = network.underlay.links, network.overlay.transports
    columns = zip(
        links.names,
        links.key.tolist(),
        links.delay_ns.tolist(),
        links.jitter_ns.tolist(),
        links.loss_ppm.tolist(),
        links.rate_bps.tolist(),
        links.buffer_ns.tolist(),
        links.mtu.tolist(),
        links.burst,
        (transports[t] for t in links.transport.tolist()),
        strict=True,
    )
    return {f"{row[0]} {'back' if i % 2 else 'forth'}": row for i, row in enumerate(columns)}


@settings(max_examples=40)
@given(generated(), st.integers(0, 2**64 - 1))
def test_every_site_has_its_links(case: Scenario, seed: int) -> None:
    """Up and down are the two directions of the site's own cable, on its own transport."""
    network = build(case, seed)
    overlay, under = network.overlay, network.underlay
    names = [[f"access:{s}:{t}" for t in overlay.transports] for s in overlay.sites]
    for links, parity in ((under.up, 0), (under.down, 1)):
        assert (links % 2 == parity).all()
        assert [[under.links.names[i] for i in row] for row in links] == names
        assert (under.links.transport[links] == np.arange(len(overlay.transports))).all()
    assert len(set(under.links.key.tolist())) == len(under.links.names)
    assert len(set(under.links.names)) * 2 == len(under.links.names)
    for number, provider in enumerate(under.providers):
        assert provider.transport == number
        assert (under.pop[:, number] >= 0).all()
        assert (under.pop[:, number] < len(provider.nodes)).all()


@settings(max_examples=40)
@given(generated(), st.integers(0, 2**64 - 1))
def test_provider_cables_are_where_they_say(case: Scenario, seed: int) -> None:
    """A provider's cables are consecutive, named by their ends, and never shorter than metro."""
    network = build(case, seed)
    under = network.underlay
    for provider in under.providers:
        transport = network.overlay.transports[provider.transport]
        for i, (a, b) in enumerate(provider.ends.tolist()):
            forth = provider.first_link + 2 * i
            name = f"{transport}:{provider.nodes[a]}-{provider.nodes[b]}"
            assert under.links.names[forth] == under.links.names[forth + 1] == name
            assert provider.nodes[a] < provider.nodes[b]
            delay = under.links.delay_ns[[forth, forth + 1]].tolist()
            assert delay[0] == delay[1] >= METRO_NS


@settings(max_examples=40)
@given(generated(), st.integers(0, 2**64 - 1))
def test_a_further_site_changes_nothing_else(case: Scenario, seed: int) -> None:
    """All links, tunnels, places and attachments of the others stay bit-equal."""
    more = replace(case, topology=replace(case.topology, count=case.topology.count + 1))
    small, large = build(case, seed), build(more, seed)
    before, after = described(small), described(large)
    assert {name: after[name] for name in before} == before
    rows = [
        {n.overlay.label(row): int(n.overlay.key[row]) for row in range(n.overlay.rows)}
        for n in (small, large)
    ]
    assert rows[0].items() <= rows[1].items()
    for index, name in enumerate(small.overlay.sites):
        there = large.overlay.site_index[name]
        assert (small.underlay.position[index] == large.underlay.position[there]).all()
        assert (small.underlay.pop[index] == large.underlay.pop[there]).all()


def test_a_given_site_inside_of_the_land_changes_nothing_else() -> None:
    """The same holds for given sites, as long as the new one lies within the rounded box."""
    given = (site("a", 41.0, 1.0), site("b", 44.0, 4.0), site("c"))
    small = build(scenario(sites=given), 1)
    large = build(scenario(sites=(site("new", 44.9, 0.1), *given)), 1)
    before, after = described(small), described(large)
    assert {name: after[name] for name in before} == before


def test_links_have_the_profiles_of_their_transport() -> None:
    """Up, down and core profiles reach the links, bursts included."""
    burst = Burst(gap_ns=1000, length_ns=10, loss_ppm=5)
    up = replace(UP, burst=burst)
    case = replace(
        scenario(map="abilene"), transports=(TransportSpec("t", up, DOWN, CORE, "map:abilene"),)
    )
    under = build(case, 1).underlay
    links, profiles = under.links, {under.up[0, 0]: up, under.down[0, 0]: DOWN}
    core = under.providers[0].first_link
    for link, profile in {**profiles, core: CORE, core + 1: CORE}.items():
        assert links.jitter_ns[link] == profile.jitter_ns
        assert links.loss_ppm[link] == profile.loss_ppm
        assert links.rate_bps[link] == profile.rate_bps
        assert links.buffer_ns[link] == profile.buffer_ns
        assert links.mtu[link] == profile.mtu
        assert links.burst[link] == profile.burst


def test_delays_follow_from_distances() -> None:
    """Light takes 6.37 ns a metre of great circle; on its node a site has the profile's delay."""
    slow = replace(CORE, delay_ns=MS)
    transports = (
        TransportSpec("t", UP, DOWN, CORE, "map:abilene"),
        TransportSpec("s", UP, DOWN, slow, "map:abilene"),
    )
    sites = (site("on-node", 47.61, -122.33), site("near", 47.61, -121.0))
    under = build(Scenario("x", TopologySpec(sites=sites), transports), 1).underlay
    delay = under.links.delay_ns
    assert delay[under.up[0, 0]] == UP.delay_ns
    assert delay[under.down[0, 0]] == DOWN.delay_ns
    far = great_circle((47_610_000, -122_330_000), (47_610_000, -121_000_000)) * 6.37
    assert delay[under.up[1, 0]] == pytest.approx(UP.delay_ns + far, abs=10)
    assert delay[under.down[1, 0]] == pytest.approx(DOWN.delay_ns + far, abs=10)
    cable = great_circle((47_610_000, -122_330_000), (37_370_000, -122_040_000)) * 6.37
    forth, back = cables_of(under, "t:Seattle-Sunnyvale")
    assert delay[forth] == delay[back] == pytest.approx(cable, rel=1e-4)
    assert delay[cables_of(under, "s:Seattle-Sunnyvale")[0]] == delay[forth] + MS


def cables_of(under: Any, name: str) -> tuple[int, int]:
    return cables(under)[name]


def test_a_cable_is_found_from_either_end() -> None:
    """The direction out of the end that is named first stands in front."""
    found = cables(build(scenario("map:abilene", count=2), 1).underlay)
    forth, back = found["t0:Seattle-Sunnyvale"]
    assert (forth % 2, back) == (0, forth + 1)
    assert found["t0:Sunnyvale-Seattle"] == (back, forth)
    assert found["access:site1:t0"][0] % 2 == 0
    assert len(found) == 2 + 2 * 14


GIVEN = {("a", "b", ""): 5 * MS, ("b", "a", ""): 9 * MS, ("a", "c", ""): MS, ("b", "c", "t1"): 2}


def test_given_delays_replace_the_provider() -> None:
    """A way has exactly the given delay in each direction: the access links add none."""
    sites = (site("a"), site("b"), site("c"))
    given = {**GIVEN, ("b", "c", ""): 7}
    network = build(scenario(sites=sites, delays_ns=given), 1)
    under = network.underlay
    assert under.providers[0].dedicated
    assert under.providers[0].nodes == ("a", "b", "c")
    assert under.pop[:, 0].tolist() == [0, 1, 2]
    assert under.links.delay_ns[under.up].max() == 0
    assert under.links.jitter_ns[under.up[0, 0]] == UP.jitter_ns
    found = cables(under)
    assert under.links.delay_ns[list(found["t0:a-b"])].tolist() == [5 * MS, 9 * MS]
    assert under.links.delay_ns[list(found["t0:b-a"])].tolist() == [9 * MS, 5 * MS]
    assert under.links.delay_ns[list(found["t0:b-c"])].tolist() == [7, 7]
    assert under.links.delay_ns[list(found["t1:b-c"])].tolist() == [2, 2]


def test_other_transports_keep_their_provider() -> None:
    """Delays given for one transport leave the other's provider graph alone."""
    sites = (site("a"), site("b"))
    under = build(scenario(sites=sites, delays_ns={("a", "b", "t1"): 3}), 1).underlay
    assert [provider.dedicated for provider in under.providers] == [False, True]
    assert len(under.providers[0].nodes) == 8
    assert under.links.delay_ns[under.up[:, 0]].min() > UP.delay_ns


def test_only_tunnels_need_a_delay() -> None:
    """Pairs without a tunnel may be missing; those with one are named."""
    sites = (SiteSpec("h", hub=True), site("a"), site("b"))
    given = {("a", "h", ""): 5, ("b", "h", ""): 6}
    build(scenario(mesh=Mesh.HUBS, sites=sites, delays_ns=given), 1)
    with pytest.raises(ValueError, match="delays: none for a–b over `t0`; "):
        build(scenario(sites=sites, delays_ns=given), 1)


def test_sites_without_a_transport_have_no_link() -> None:
    """Where a site is not attached there is -1, and no cable is named for it."""
    sites = (SiteSpec("a"), SiteSpec("b"), SiteSpec("c", transports=("t1",)))
    under = build(scenario(sites=sites), 1).underlay
    assert (under.up[2, 0], under.down[2, 0], under.pop[2, 0]) == (-1, -1, -1)
    assert "access:c:t0" not in under.links.names
    assert under.links.names[under.up[2, 1]] == "access:c:t1"


def test_groups_hold_both_directions() -> None:
    """A cable may be named from either end; naming it twice changes nothing."""
    group = GroupSpec("cut", ("t0:Sunnyvale-Seattle", "t0:Seattle-Sunnyvale", "access:site1:t0"))
    case = replace(scenario("map:abilene", count=2), groups=(group,))
    under = build(case, 1).underlay
    names = [under.links.names[i] for i in under.groups["cut"]]
    assert names == ["access:site1:t0"] * 2 + ["t0:Seattle-Sunnyvale"] * 2


def test_transports_over_one_map_share_its_conduits() -> None:
    """Each duct between two cities is a group; other maps, and generated ones, share none."""
    case = scenario("map:sanren", "sanren", "map:abilene", "ring", "ring", count=2)
    under = build(case, 1).underlay
    assert len(under.groups) == 7
    names = [under.links.names[i] for i in under.groups["conduit:Cape Town-Port Elizabeth"]]
    ends = "Cape Town-Port Elizabeth"
    assert names == [f"t0:{ends}"] * 2 + [f"t1:{ends}"] * 2
    assert not build(scenario("ring", "ring", count=2), 1).underlay.groups


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([("g", ("t0:Seattle-Sunyvale",))], "no link `t0:Seattle-Sunyvale`; did you mean `t0:Se"),
        ([("g", ("access:site1:t0",)), ("g", ("access:site2:t0",))], "two shared-risk groups"),
        ([("g", ())], "the shared-risk group `g` has no links"),
    ],
)
def test_a_wrong_group_is_named(groups: list[tuple[str, tuple[str, ...]]], message: str) -> None:
    """An unknown link comes back with the nearest one."""
    case = scenario("map:abilene", count=2)
    specs = tuple(GroupSpec(name, links) for name, links in groups)
    with pytest.raises(ValueError, match=message):
        build(replace(case, groups=specs), 1)


def test_a_name_with_signs_in_it_is_no_trouble() -> None:
    """Names are looked up whole, never taken apart."""
    sites = (site("a-b:c"), site("x>y"), site("a"))
    network = build(
        replace(scenario("mesh", sites=sites), groups=(GroupSpec("g", ("access:a-b:c:t0",)),)), 1
    )
    assert len(network.underlay.groups["g"]) == 2
    given = {(a, b, ""): 1 for a in ("a-b:c", "x>y", "a") for b in ("a-b:c", "x>y", "a") if a < b}
    found = cables(build(scenario("mesh", sites=sites, delays_ns=given), 1).underlay)
    assert found["t0:a-a-b:c"][::-1] == found["t0:a-b:c-a"]


def test_an_absurd_delay_is_refused() -> None:
    """A delay of provider links with which the sum of a route would not be exact is an error."""
    huge = LinkProfile(delay_ns=2**52)
    case = replace(scenario(count=2), transports=(TransportSpec("t", UP, DOWN, huge),))
    with pytest.raises(ValueError, match="transport `t`: a provider's link takes too long"):
        build(case, 1)
