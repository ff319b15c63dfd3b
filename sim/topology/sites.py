"""Who the sites are: names, hubs, transports, and the places that are given.

Three ways to have sites: given ones, the nodes of a map, generated ones. A map's
nodes come with the best connected first, so that the first few make good hubs.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from patronus.sim.scenario import Mesh, SiteSpec, TopologySpec
from patronus.sim.topology.maps import Map, Place, load_map, micro


@dataclass(frozen=True, slots=True)
class Site:
    """One site, before anything is drawn."""

    name: str
    hub: bool
    region: str = ""
    """Empty: the region of the nearest hub."""
    place: Place | None = None
    """None: drawn."""
    transports: tuple[str, ...] = ()
    """Empty: all."""


def site_names(spec: TopologySpec) -> tuple[str, ...]:
    """Return the names of the sites, in order.

    Generated ones are ``site1`` …, or with hubs ``hub1`` … and ``spoke1`` …; on a map they
    are the names of its nodes in lower case with hyphens.

    Raises:
        ValueError: as :func:`sites`.
    """
    return tuple(site.name for site in sites(spec))


def hub_names(spec: TopologySpec) -> tuple[str, ...]:
    """Return the names of the hubs, in order; the rest are spokes."""
    return tuple(site.name for site in sites(spec) if site.hub)


def sites(spec: TopologySpec) -> tuple[Site, ...]:
    """Return the sites in order.

    Raises:
        ValueError: fewer than two, more than the map has nodes, more hubs than sites, a
            name twice, half a place, or one that is not on the Earth.
    """
    if spec.sites:
        found = _given(spec)
    elif spec.map:
        found = _on_map(spec, load_map(spec.map))
    else:
        found = _generated(spec)
    if len(found) < 2:
        raise ValueError(f"an overlay needs at least two sites, not {len(found)}")
    if spec.hubs > len(found):
        raise ValueError(f"{spec.hubs} hubs are more than the {len(found)} sites")
    twice = [name for name, times in Counter(s.name for s in found).items() if times > 1]
    if twice:
        raise ValueError(f"two sites are called `{twice[0]}`")
    return found


def _given(spec: TopologySpec) -> tuple[Site, ...]:
    marked = any(site.hub for site in spec.sites)
    return tuple(
        Site(
            name=site.name,
            hub=site.hub if marked else i < spec.hubs,
            region=site.region,
            place=_place(site),
            transports=site.transports,
        )
        for i, site in enumerate(spec.sites)
    )


def _place(site: SiteSpec) -> Place | None:
    if site.latitude is None and site.longitude is None:
        return None
    if site.latitude is None or site.longitude is None:
        raise ValueError(f"site `{site.name}` has only one of latitude and longitude")
    # Written so that NaN fails.
    if not (-90 <= site.latitude <= 90 and -180 <= site.longitude <= 180):
        raise ValueError(f"site `{site.name}` does not lie on the Earth")
    return micro(site.latitude), micro(site.longitude)


def _on_map(spec: TopologySpec, chart: Map) -> tuple[Site, ...]:
    if spec.count > len(chart.nodes):
        raise ValueError(
            f"{spec.count} sites are more than the {len(chart.nodes)} nodes of {chart.name}"
        )
    slugs = _slugs(chart.nodes)
    links = Counter(node for link in chart.links for node in link)
    order = sorted(range(len(slugs)), key=lambda node: (-links[node], slugs[node]))
    chosen = order[: spec.count or len(order)]
    return tuple(
        Site(slugs[node], hub=i < spec.hubs, place=chart.places[node])
        for i, node in enumerate(chosen)
    )


@cache
def _slugs(names: Sequence[str]) -> tuple[str, ...]:
    slugs: dict[str, None] = {}
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        slug = re.sub("[^a-z0-9]+", "-", plain).strip("-") or "node"
        number = 1
        while (free := slug if number == 1 else f"{slug}-{number}") in slugs:
            number += 1
        slugs[free] = None
    return tuple(slugs)


def _generated(spec: TopologySpec) -> tuple[Site, ...]:
    hubs = min(spec.hubs, spec.count)
    rest = "spoke" if hubs else "site"
    names = [("hub", i) for i in range(hubs)] + [(rest, i) for i in range(spec.count - hubs)]
    regional = spec.mesh is Mesh.REGIONAL
    return tuple(
        Site(
            name=f"{kind}{i + 1}",
            hub=kind == "hub",
            region=f"region{i % max(1, spec.regions) + 1}" if regional else "",
        )
        for kind, i in names
    )
