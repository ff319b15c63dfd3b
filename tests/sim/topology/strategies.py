"""Scenarios for the tests of topologies: a short way to write one, and a way to draw them."""

from typing import Any

from hypothesis import strategies as st

from patronus.engine.units import MS
from patronus.sim.scenario import LinkProfile, Mesh, Scenario, SiteSpec, TopologySpec, TransportSpec

UP = LinkProfile(delay_ns=3 * MS, jitter_ns=MS, rate_bps=20_000_000, loss_ppm=7)
DOWN = LinkProfile(delay_ns=2 * MS, jitter_ns=2 * MS, rate_bps=100_000_000, mtu=1492)
CORE = LinkProfile(jitter_ns=100_000, loss_ppm=3)


def transport(name: str, provider: str = "ring", core: LinkProfile = CORE) -> TransportSpec:
    return TransportSpec(name, UP, DOWN, core, provider)


def scenario(*providers: str, **topology: Any) -> Scenario:
    """Return a scenario with transports ``t0``, ``t1`` … over these providers."""
    names = providers or ("ring", "mesh")
    transports = tuple(transport(f"t{i}", name) for i, name in enumerate(names))
    return Scenario("test", TopologySpec(**topology), transports)


def site(name: str, latitude: float | None = None, longitude: float | None = None) -> SiteSpec:
    return SiteSpec(name, latitude, longitude)


providers = st.sampled_from(
    ["ring", "ring:5", "mesh", "mesh:4", "star", "star:3", "geo:9", "map:sanren", "map:abilene"]
)


@st.composite
def generated(draw: st.DrawFn) -> Scenario:
    """Draw a scenario whose sites are generated, of any mesh that a number can describe."""
    mesh = draw(st.sampled_from([Mesh.FULL, Mesh.HUBS, Mesh.REGIONAL, Mesh.PARTIAL]))
    regions = draw(st.integers(1, 3))
    hubs = draw(st.integers(regions, 4)) if mesh in (Mesh.HUBS, Mesh.REGIONAL) else 0
    return scenario(
        *draw(st.lists(providers, min_size=1, max_size=3)),
        mesh=mesh,
        count=draw(st.integers(max(2, hubs), 14)),
        hubs=hubs,
        regions=regions,
        degree=draw(st.integers(2, 6)),
    )
