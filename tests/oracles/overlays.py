"""Small overlays drawn at random, as the plain facts that a test can read off."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from patronus.engine.overlay import Overlay, build_overlay

SITES = ("oslo", "rome", "bern", "kyiv", "riga")
LANES = ("mpls", "lte", "sat")


class Plan(NamedTuple):
    """What an overlay is made of."""

    sites: int
    lanes: int
    tunnels: tuple[tuple[int, int, int], ...]
    """(site, other site, lane), undirected."""
    shared: tuple[tuple[int, ...], ...]
    """Sites of each further destination, in order of preference."""
    transit: tuple[int, ...]

    def homes(self, destination: int) -> tuple[int, ...]:
        """Return the sites of a destination; the first ones are the sites' own."""
        sites = self.sites
        return (destination,) if destination < sites else self.shared[destination - sites]

    @property
    def destinations(self) -> range:
        return range(self.sites + len(self.shared))

    @property
    def rows(self) -> list[tuple[int, int, int]]:
        """(from, to, lane) of each directed tunnel, as rows are numbered."""
        return sorted([*self.tunnels, *((b, a, lane) for a, b, lane in self.tunnels)])

    def build(self) -> Overlay:
        return build_overlay(
            sites=SITES[: self.sites],
            transports=LANES[: self.lanes],
            pairs=np.array(self.tunnels, dtype=np.int64).reshape(-1, 3),
            destinations=[
                (f"net{n}", [SITES[s] for s in sites]) for n, sites in enumerate(self.shared)
            ],
            transit=[SITES[s] for s in self.transit],
        )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw two to five sites with any tunnels, shared destinations and transit sites."""
    sites, lanes = draw(st.integers(2, 5)), draw(st.integers(1, 3))
    every = [(a, b, n) for a in range(sites) for b in range(a) for n in range(lanes)]
    dense = st.just(every) | st.lists(st.sampled_from(every), unique=True)
    site = st.integers(0, sites - 1)
    homes = st.lists(site, unique=True, min_size=1, max_size=3)
    return Plan(
        sites,
        lanes,
        tuple(draw(dense)),
        tuple(tuple(x) for x in draw(st.lists(homes, max_size=2))),
        tuple(draw(st.lists(site, unique=True, max_size=2))),
    )
