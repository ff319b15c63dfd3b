"""Sites, tunnels and the wires beneath them: ``build(scenario, seed)``."""

from patronus.sim.topology.links import cables
from patronus.sim.topology.maps import Map, load_map, shipped_maps, topohub_maps
from patronus.sim.topology.network import Network, build
from patronus.sim.topology.routes import (
    RowLinks,
    row_links,
    row_reachable,
    row_segment,
    row_sum,
    segment_sum,
    segments,
)
from patronus.sim.topology.sites import hub_names, site_names

__all__ = [
    "Map",
    "Network",
    "RowLinks",
    "build",
    "cables",
    "hub_names",
    "load_map",
    "row_links",
    "row_reachable",
    "row_segment",
    "row_sum",
    "segment_sum",
    "segments",
    "shipped_maps",
    "site_names",
    "topohub_maps",
]
