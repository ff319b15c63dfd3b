"""A small network made by hand: every link known by number, nothing drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from patronus.engine.fingerprint import name_key
from patronus.engine.overlay import Overlay, build_overlay
from patronus.engine.units import MS, SECOND
from patronus.sim.scenario import (
    Burst,
    FaultKind,
    FaultSpec,
    LinkProfile,
    Scenario,
    Schedule,
    Selector,
    SiteSpec,
    TopologySpec,
    TransportSpec,
)
from patronus.sim.underlay import Links, Provider, Underlay

SITES = ("hub1", "hub2", "berlin", "oslo", "rome")
TRANSPORTS = ("mpls", "lte")
NODES = ("n0", "n1", "n2")
RING = ((0, 1), (1, 2), (0, 2))


@dataclass(frozen=True)
class Network:
    """What faults and traffic ask of a network."""

    overlay: Overlay
    underlay: Underlay


def make_network(
    sites: Sequence[str] = SITES,
    *,
    without: Sequence[tuple[str, str]] = (),
    burst: Burst | None = None,
    groups: Mapping[str, tuple[int, ...]] | None = None,
) -> Network:
    """Join all sites over both transports; each carrier is a ring of three nodes.

    Cables come in the order access of site 0 (mpls, lte), of site 1, …, then the rings.
    ``without`` are (site, transport) that are not attached.
    """
    names: list[str] = []
    transport: list[int] = []
    shape = (len(sites), len(TRANSPORTS))
    up, down = np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    for s, site in enumerate(sites):
        for t, name in enumerate(TRANSPORTS):
            if (site, name) not in without:
                up[s, t], down[s, t] = len(names), len(names) + 1
                names += [f"access:{site}:{name}"] * 2
                transport += [t, t]
    providers = []
    for t, name in enumerate(TRANSPORTS):
        providers.append(_ring(t, len(names)))
        names += [f"{name}:{NODES[a]}-{NODES[b]}" for a, b in RING for _ in range(2)]
        transport += [t] * 2 * len(RING)
    underlay = Underlay(
        links=_links(names, transport, burst),
        providers=tuple(providers),
        up=up,
        down=down,
        pop=np.zeros(shape, np.int32),
        groups=dict(groups or {}),
        position=np.zeros((len(sites), 2)),
        fingerprint="",
    )
    return Network(_overlay(sites, up), underlay)


def _ring(transport: int, first_link: int) -> Provider:
    ends = np.array(RING, dtype=np.int32)
    return Provider(transport, NODES, np.zeros((3, 2)), ends, first_link, SECOND)


def _links(names: Sequence[str], transport: Sequence[int], burst: Burst | None) -> Links:
    keys = [name_key(name, str(i % 2)) for i, name in enumerate(names)]
    fill = {"delay_ns": 5 * MS, "jitter_ns": MS, "loss_ppm": 0, "rate_bps": 100_000_000,
            "buffer_ns": 50 * MS, "mtu": 1500}  # fmt: skip
    columns = {name: np.full(len(names), value) for name, value in fill.items()}
    return Links(
        names=tuple(names),
        key=np.array(keys, dtype=np.uint64),
        burst=(burst,) * len(names),
        transport=np.array(transport, dtype=np.int32),
        **columns,
    )


def _overlay(sites: Sequence[str], up: np.ndarray) -> Overlay:
    pairs = [
        (a, b, t)
        for a, b in combinations(range(len(sites)), 2)
        for t in range(len(TRANSPORTS))
        if up[a, t] >= 0 and up[b, t] >= 0
    ]
    return build_overlay(
        sites=sites,
        transports=TRANSPORTS,
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 3),
        destinations=[("internet", [s for s in sites if s.startswith("hub")])],
    )


def make_scenario(*faults: FaultSpec, duration_ns: int = 60 * SECOND, **fields: object) -> Scenario:
    """Build a scenario for the network above; sites called ``hub…`` are hubs."""
    sites = tuple(SiteSpec(name, hub=name.startswith("hub")) for name in SITES)
    profile = LinkProfile()
    transports = tuple(TransportSpec(name, profile, profile, profile) for name in TRANSPORTS)
    return Scenario(
        "handmade",
        TopologySpec(sites=sites),
        transports,
        duration_ns=duration_ns,
        faults=faults,
        **fields,  # type: ignore[arg-type]  # the caller's own fields of Scenario
    )


def make_fault(
    kind: FaultKind = FaultKind.BLACKHOLE,
    name: str = "f",
    *,
    select: Selector | None = None,
    schedule: Schedule | None = None,
    **fields: object,
) -> FaultSpec:
    """Build a fault: by default all of berlin's access links from 10 s to 20 s."""
    return FaultSpec(
        name,
        kind,
        select or Selector(sites=("berlin",)),
        schedule or Schedule(at_ns=10 * SECOND, for_ns=10 * SECOND),
        **fields,  # type: ignore[arg-type]  # the caller's own fields of FaultSpec
    )
