"""The network beneath the overlay: access links, provider graphs and their routes.

A tunnel crosses the source's access link, a *segment* (the provider's route from
one point of presence to another) and the destination's access link. Links are
directed: link ``2 i`` and ``2 i + 1`` are the two directions of one cable.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.sim.scenario import Burst


@dataclass(frozen=True, eq=False)
class Links:
    """One entry a directed link."""

    names: tuple[str, ...]
    """Of the cable, shared by both directions: ``access:SITE:TRANSPORT`` or
    ``PROVIDER:NODE-NODE``."""
    key: U64
    """Name and direction, for keyed luck."""
    delay_ns: I64
    jitter_ns: I64
    loss_ppm: I64
    rate_bps: I64
    buffer_ns: I64
    mtu: I64
    burst: tuple[Burst | None, ...]
    transport: I32
    """Which transport it belongs to."""


@dataclass(frozen=True, eq=False)
class Segments:
    """A provider's routes between its points of presence, as one CSR table.

    ``links[start[i]:start[i + 1]]`` are the directed links of segment ``i`` in
    order; segment ``(a, b)`` of a provider of ``n`` nodes has index ``a * n + b``.
    ``reachable`` is false where there is no route.
    """

    start: I64
    links: I32
    reachable: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Provider:
    """The graph of one transport's carrier."""

    transport: int
    nodes: tuple[str, ...]
    position: npt.NDArray[np.float64]
    """Shape (nodes, 2): longitude, latitude; for drawings only."""
    ends: I32
    """Shape (cables, 2): the nodes each cable joins."""
    first_link: int
    """Directed index of the first cable's forward direction; cables are consecutive."""
    reroute_ns: int
    dedicated: bool = False
    """Its nodes are the sites, and each cable is the only route between its two: the user
    gave the delays of whole ways, and nothing is known of what lies beneath."""


@dataclass(frozen=True, eq=False)
class Underlay:
    """The truth about the wires when nothing is wrong."""

    links: Links
    providers: tuple[Provider, ...]
    """One a transport, in transport order."""
    up: I32
    """Shape (sites, transports): the directed access link out of a site, -1 if not attached."""
    down: I32
    """The same towards the site."""
    pop: I32
    """Shape (sites, transports): node of the provider where the site is attached."""
    groups: Mapping[str, tuple[int, ...]]
    """Shared-risk groups: directed links by group name."""
    position: npt.NDArray[np.float64]
    """Shape (sites, 2): longitude, latitude of the sites; for drawings only."""
    fingerprint: str
    """SHA-256 over everything that reaches a decision; part of the run."""
