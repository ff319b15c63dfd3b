"""Where the sites of a scenario lie, and to which regions they belong."""

from collections.abc import Sequence

import numpy as np

from patronus.engine.overlay import I64
from patronus.sim.scenario import Scenario
from patronus.sim.topology.land import NEAR_CENTRE, Land, box, keys
from patronus.sim.topology.maps import SHIPPED, TOPOHUB, load_map
from patronus.sim.topology.sites import Site
from patronus.sim.topology.sphere import nearest


def land_of(scenario: Scenario, sites: Sequence[Site], seed: int) -> Land:
    """Return the land: that of the sites' map, else of the first provider's map, else a box."""
    providers = (spec.provider for spec in scenario.transports)
    charts = (name for name in providers if name.startswith((SHIPPED, TOPOHUB)))
    name = scenario.topology.map or next(charts, "")
    cities = load_map(name) if name else None
    return Land(seed, cities, box([site.place for site in sites if site.place]))


def place_sites(sites: Sequence[Site], land: Land) -> I64:
    """Return the place of each site, shape (sites, 2): as given, in its region, or anywhere."""
    centre = land.centres(site.region for site in sites if site.region)
    scattered = land.scatter("site", [site.name for site in sites])
    position = scattered.copy()
    regional = [i for i, site in enumerate(sites) if site.region]
    if regional:
        names = [sites[i].name for i in regional]
        centres = np.array([centre[sites[i].region] for i in regional], dtype=np.int64)
        position[regional] = land.around("site", names, centres, NEAR_CENTRE)
    for i, site in enumerate(sites):
        if site.place:
            position[i] = site.place
    return position


def regions_of(sites: Sequence[Site], position: I64, count: int) -> list[str]:
    """Return the region of each site.

    Hubs without one take turns through ``region1`` … ``regionN``; spokes without one
    belong to the nearest hub's.

    Raises:
        ValueError: there is no hub, or a region without one.
    """
    hubs = [i for i, site in enumerate(sites) if site.hub]
    if not hubs:
        raise ValueError("regional hubs need hubs: give their number, or mark sites as hubs")
    region = [site.region for site in sites]
    for turn, hub in enumerate(hubs):
        region[hub] = region[hub] or f"region{turn % max(1, count) + 1}"
    lost = [i for i, name in enumerate(region) if not name]
    near = nearest(position[lost], position[hubs], keys(sites[i].name for i in hubs))
    for i, hub in zip(lost, near.tolist(), strict=True):
        region[i] = region[hubs[hub]]
    without = sorted(set(region) - {region[hub] for hub in hubs})
    if without:
        raise ValueError(f"region `{without[0]}` has no hub")
    return region
