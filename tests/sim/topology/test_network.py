"""The whole: from a scenario and a seed to a network, the same everywhere."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.sim.scenario import Burst, DestinationSpec, Mesh, Scenario
from patronus.sim.topology import build
from patronus.sim.topology.network import fingerprint
from tests.sim.topology.strategies import generated, scenario, site, transport

CASES = {
    "generated": scenario("ring", "geo:9", "star", mesh=Mesh.PARTIAL, count=20, degree=3),
    "mapped": scenario(
        "map:abilene", "map:sprint", mesh=Mesh.REGIONAL, count=20, hubs=4, regions=2
    ),
    "given": scenario("mesh", sites=(site("a", 1.5, 2.5), site("b"), site("c", -33.3, 2.0))),
}
PINNED = {
    "generated": "c0276366f5f564fd75123e86f04c9c374f0ecd9d07fa10dc49e206019f76f9ba",
    "mapped": "2c652e774d0951e419234c65c5b0d2f36bbfc209fab2ec67c4845dcbfbef6765",
    "given": "935772f8fa4cc53f10a1d4d3615674c1c674f03bbd7462cfe58a67efcbd07416",
}


@pytest.mark.parametrize("name", CASES)
def test_a_seed_gives_the_same_network_everywhere(name: str) -> None:
    """The fingerprints are written down: another library or machine must find the same."""
    assert build(CASES[name], 1).underlay.fingerprint == PINNED[name]


def test_a_mesh_that_no_machine_holds_is_refused_at_once() -> None:
    """The message says how many tunnels it would have, and that hubs help."""
    with pytest.raises(ValueError, match="49,990,000 tunnels, at most 10,000,000 are possible; a "):
        build(scenario("ring", "ring", mesh=Mesh.FULL, count=5000), 1)


def test_the_hash_seed_decides_nothing(tmp_path: Path) -> None:
    """Two interpreters with other hash seeds build the same networks."""
    code = (
        "from patronus.sim.topology import build\n"
        "from tests.sim.topology.test_network import CASES\n"
        "print(*(build(case, 7).underlay.fingerprint for case in CASES.values()))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            cwd=tmp_path,
        ).stdout
        for seed in ("1", "2")
    ]
    here = " ".join(build(case, 7).underlay.fingerprint for case in CASES.values())
    assert told == [f"{here}\n".encode()] * 2


@settings(max_examples=25)
@given(generated(), st.integers(0, 2**64 - 1))
def test_tunnels_have_their_reverse(case: Scenario, seed: int) -> None:
    """Rows come in pairs of opposite directions over one transport, and are sorted."""
    overlay = build(case, seed).overlay
    back = overlay.reverse
    assert (back[back] == np.arange(overlay.rows)).all()
    assert (overlay.src[back] == overlay.dst).all()
    assert (overlay.transport[back] == overlay.transport).all()
    order = np.lexsort((overlay.transport, overlay.dst, overlay.src))
    assert (order == np.arange(overlay.rows)).all()


@settings(max_examples=25)
@given(generated(), st.integers(0, 2**63))
def test_the_seed_decides(case: Scenario, seed: int) -> None:
    """One seed gives one network, another seed another."""
    assert build(case, seed).underlay.fingerprint == build(case, seed).underlay.fingerprint
    assert build(case, seed).underlay.fingerprint != build(case, seed + 1).underlay.fingerprint


def test_the_fingerprint_covers_what_decides() -> None:
    """Any change of the overlay, a link, a provider or a group gives another one."""
    case = scenario("map:sanren", "map:sanren", count=3)
    network = build(case, 1)
    overlay, under = network.overlay, network.underlay
    links, provider = under.links, under.providers[0]
    columns = "delay_ns jitter_ns loss_ppm rate_bps buffer_ns mtu transport".split()
    changed = [replace(links, **{name: getattr(links, name) + 1}) for name in columns]
    changed += [
        replace(links, names=("x", *links.names[1:])),
        replace(links, burst=(Burst(3, 2, 1), *links.burst[1:])),
    ]
    unders = [replace(under, links=table) for table in changed]
    unders += [replace(under, **{name: getattr(under, name) + 1}) for name in ("up", "down", "pop")]
    unders += [replace(under, groups={"g": (1,)}), replace(under, providers=(provider,))]
    for field, value in {"ends": provider.ends + 1, "reroute_ns": 5, "first_link": 0}.items():
        other: dict[str, Any] = {field: value}
        unders.append(replace(under, providers=(replace(provider, **other), *under.providers[1:])))
    told = {fingerprint(overlay, one) for one in (under, *unders)}
    overlays: list[dict[str, Any]] = [{"transit": (1,)}, {"src": overlay.src + 1}, {"sites": ()}]
    told |= {fingerprint(replace(overlay, **other), under) for other in overlays}
    assert len(told) == 1 + len(unders) + len(overlays)


def test_the_fingerprint_leaves_drawings_out() -> None:
    """Positions in degrees reach reports alone."""
    network = build(scenario(count=3), 1)
    moved = replace(network.underlay, position=network.underlay.position + 0.5)
    assert fingerprint(network.overlay, moved) == network.underlay.fingerprint


def test_hubs_carry_transit_unless_others_are_named() -> None:
    """Transit sites are the hubs, or those that the scenario lists."""
    assert build(scenario(mesh=Mesh.HUBS, count=4, hubs=2), 1).overlay.transit == (0, 1)
    assert build(scenario(count=4), 1).overlay.transit == ()
    named = scenario(mesh=Mesh.HUBS, count=4, hubs=2, transit=("spoke1", "hub2"))
    assert build(named, 1).overlay.transit == (2, 1)


def test_destinations_follow_the_sites() -> None:
    """Every site is a destination; further ones keep their order of preference."""
    extra = DestinationSpec("default", ("site3", "site1"))
    overlay = build(replace(scenario(count=3), destinations=(extra,)), 1).overlay
    assert [d.name for d in overlay.destinations] == ["site1", "site2", "site3", "default"]
    assert overlay.destinations[3].sites == (2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transports": ()}, "at least one transport"),
        ({"transports": (transport("x"), transport("x"))}, "two transports are called `x`"),
        ({"destinations": (DestinationSpec("d", ("hubb",)),)}, "`d`: there is no site `hubb`"),
        ({"destinations": (DestinationSpec("d", ()),)}, "destination `d` needs sites"),
        ({"destinations": (DestinationSpec("d", ("hub1", "hub1")),)}, "needs sites, each once"),
        ({"destinations": (DestinationSpec("hub1", ("hub1",)),)}, "two destinations are called"),
        ({"destinations": (DestinationSpec("d", ("hub1",)),) * 2}, "two destinations are called"),
        ({"transports": (transport("x", "map:x"),)}, "there is no map `x`"),
    ],
)
def test_a_scenario_without_a_network_is_refused(change: dict[str, Any], message: str) -> None:
    """Each mistake is named."""
    case = scenario(mesh=Mesh.HUBS, count=4, hubs=2)
    with pytest.raises(ValueError, match=message):
        build(replace(case, **change), 1)


def test_an_unknown_transit_site_is_named() -> None:
    """A misspelt site comes back with the nearest one."""
    case = scenario(count=3, transit=("sit3",))
    with pytest.raises(ValueError, match="transit: there is no site `sit3`; did you mean `site3`"):
        build(case, 1)
