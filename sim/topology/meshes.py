"""Which pairs of sites have tunnels, and over which transports."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from patronus.engine.fingerprint import combine
from patronus.engine.overlay import I64
from patronus.sim.luck import object_keys, words
from patronus.sim.scenario import Mesh, TopologySpec
from patronus.sim.topology.land import keys
from patronus.sim.topology.parts import check_connected
from patronus.sim.topology.sites import Site
from patronus.sim.topology.unknown import unknown


def pairs(spec: TopologySpec, sites: Sequence[Site], regions: Sequence[str], seed: int) -> I64:
    """Return the pairs of sites that have tunnels, by position, shape (n, 2).

    Raises:
        ValueError: no hubs where they are needed, a degree that cannot connect everything,
            or a listed pair that is unknown, twice there, or of one site alone.
    """
    hubs = np.array([i for i, site in enumerate(sites) if site.hub], dtype=np.int64)
    match spec.mesh:
        case Mesh.FULL:
            return full_mesh(np.arange(len(sites)))
        case Mesh.HUBS:
            if not len(hubs):
                raise ValueError(
                    "hub-and-spoke needs hubs: give their number, or mark sites as hubs"
                )
            return spokes_to_hubs(hubs, ["" for _ in sites])
        case Mesh.REGIONAL:
            return spokes_to_hubs(hubs, regions)
        case Mesh.PARTIAL:
            return partial_mesh([site.name for site in sites], spec.degree, seed)
        case Mesh.PAIRS:
            return listed(spec.pairs, [site.name for site in sites])


def full_mesh(sites: I64) -> I64:
    """Return all pairs of some sites."""
    a, b = np.triu_indices(len(sites), 1)
    return np.stack([sites[a], sites[b]], axis=1)


def spokes_to_hubs(hubs: I64, regions: Sequence[str]) -> I64:
    """Return each site that is no hub with all hubs of its region, and the hubs meshed."""
    number = {name: i for i, name in enumerate(dict.fromkeys(regions))}
    region = np.array([number[name] for name in regions], dtype=np.int64)
    spokes = np.setdiff1d(np.arange(len(region)), hubs)
    spoke, hub = np.nonzero(region[spokes][:, None] == region[hubs][None])
    return np.concatenate([full_mesh(hubs), np.stack([spokes[spoke], hubs[hub]], axis=1)])


def partial_mesh(names: Sequence[str], degree: int, seed: int) -> I64:
    """Return a connected graph of the given mean degree (a little less with few sites).

    Each site joins ``degree / 2`` of the sites before it, drawn by names; so every one is
    connected, and a site that is appended changes no other pair.
    """
    if degree < 2:
        raise ValueError(f"a partial mesh of degree {degree} is not connected; give at least 2")
    own = object_keys(seed, "mesh", keys(names))
    # An odd degree is met on average: half of the sites join one more.
    more = (words(own, 0) >> np.uint64(63)).astype(np.int64) * (degree % 2)
    found = []
    for site in range(1, len(names)):
        many = min(site, degree // 2 + int(more[site]))
        draw = combine(own[:site], np.broadcast_to(own[site], site))
        earlier = np.argsort(draw, kind="stable")[:many]
        found.append(np.stack([earlier, np.full(many, site)], axis=1))
    return np.concatenate(found)


def listed(wanted: Sequence[tuple[str, str]], names: Sequence[str]) -> I64:
    """Return listed pairs of names as positions."""
    position = {name: i for i, name in enumerate(names)}
    found: dict[tuple[int, int], None] = {}
    for pair in wanted:
        for name in pair:
            if name not in position:
                raise unknown("pairs", "site", name, names)
        a, b = sorted(position[name] for name in pair)
        if a == b:
            raise ValueError(f"pairs: `{pair[0]}` cannot be paired with itself")
        if (a, b) in found:
            raise ValueError(f"pairs: `{pair[0]}` and `{pair[1]}` are paired twice")
        found[a, b] = None
    return np.array(list(found), dtype=np.int64).reshape(-1, 2)


def attached(sites: Sequence[Site], transports: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which sites have which transports, shape (sites, transports).

    Raises:
        ValueError: a site names a transport that does not exist.
    """
    found = np.zeros((len(sites), len(transports)), dtype=np.bool_)
    position = {name: i for i, name in enumerate(transports)}
    for i, site in enumerate(sites):
        for name in site.transports or transports:
            if name not in position:
                raise unknown(f"site `{site.name}`", "transport", name, transports)
            found[i, position[name]] = True
    return found


def tunnels(
    pairs: I64, attached: npt.NDArray[np.bool_], names: Sequence[str], *, listed: bool
) -> I64:
    """Return a tunnel for each pair and transport that both have, shape (n, 3).

    Raises:
        ValueError: a listed pair has no transport in common, or the tunnels do not join all
            sites.
    """
    common = attached[pairs[:, 0]] & attached[pairs[:, 1]]
    apart = np.flatnonzero(~common.any(axis=1))
    if listed and len(apart):
        a, b = (names[i] for i in pairs[apart[0]].tolist())
        raise ValueError(f"pairs: `{a}` and `{b}` have no transport in common")
    pair, transport = np.nonzero(common)
    joined = pairs[pair]
    check_connected("the overlay", names, joined)
    return np.column_stack([joined, transport])
