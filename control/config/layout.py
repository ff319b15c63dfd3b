"""From a configuration to what an engine and a kernel are given, for this one site.

The overlay is that of a router: our site comes first, rows are our own tunnels, one to each
peer over each transport at which it is found, and the other sites are known by name. Sites
are ordered by name, so that transit sites agree on who waits for whom.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.control.config.model import AgentConfig, Endpoint, Peer, Transport
from patronus.engine.fingerprint import U64
from patronus.engine.overlay import Overlay, alone, build_overlay

OWN: Final = 0
"""Our own site, in the overlay of its engine."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What stands behind one row: a tunnel of ours."""

    peer: Peer
    transport: Transport
    endpoint: Endpoint


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """The tables of one site."""

    overlay: Overlay
    fates: U64
    """Shape (rows, words): the shared-risk groups that each row's tunnel crosses."""
    groups: tuple[str, ...]
    """Names of the bits of ``fates``."""
    lanes: tuple[Lane, ...]
    """By row."""
    prefixes: tuple[tuple[str, int], ...]
    """Users' prefixes and the numbers of their destinations, in order of the prefixes."""

    @property
    def labels(self) -> list[str]:
        """What rows are called, ``transport>peer``."""
        return [f"{lane.transport.name}>{lane.peer.name}" for lane in self.lanes]


def layout(config: AgentConfig) -> Layout:
    """Return the tables; equal configurations give equal ones, however they were written."""
    overlay = _overlay(config)
    peers = {peer.name: peer for peer in config.peers}
    lanes = []
    for row in range(overlay.rows):
        peer = peers[overlay.sites[overlay.dst[row]]]
        transport = config.transports[overlay.transport[row]]
        lanes.append(Lane(peer, transport, peer.endpoints[transport.name]))
    groups = sorted({g for lane in lanes for g in _crossed(lane)})
    return Layout(
        overlay=overlay,
        fates=_fates(lanes, groups),
        groups=tuple(groups),
        lanes=tuple(lanes),
        prefixes=_prefixes(config, overlay),
    )


def _overlay(config: AgentConfig) -> Overlay:
    roles = {config.site: config.role, **{peer.name: peer.role for peer in config.peers}}
    sites = sorted(roles)
    own, number = sites.index(config.site), {name: n for n, name in enumerate(sites)}
    lane = {t.name: n for n, t in enumerate(config.transports)}
    pairs = [(own, number[p.name], lane[t]) for p in config.peers for t in p.endpoints]
    network = build_overlay(
        sites=sites,
        transports=[t.name for t in config.transports],
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 3),
        destinations=[(d.name, d.sites) for d in config.destinations],
        transit=[name for name in sites if roles[name].carries],
    )
    return alone(network, own)


def _crossed(lane: Lane) -> set[str]:
    return {*lane.transport.groups, *lane.endpoint.groups}


def _fates(lanes: list[Lane], groups: list[str]) -> U64:
    fates = np.zeros((len(lanes), max(1, -(-len(groups) // 64))), dtype=np.uint64)
    number = {name: n for n, name in enumerate(groups)}
    for row, lane in enumerate(lanes):
        for bit in map(number.__getitem__, _crossed(lane)):
            fates[row, bit // 64] |= np.uint64(1 << (bit % 64))
    return fates


def _prefixes(config: AgentConfig, overlay: Overlay) -> tuple[tuple[str, int], ...]:
    number = {d.name: n for n, d in enumerate(overlay.destinations)}
    owners = [(config.site, config.lan.prefixes)]
    owners += [(peer.name, peer.prefixes) for peer in config.peers]
    owners += [(d.name, d.prefixes) for d in config.destinations]
    return tuple(sorted((prefix, number[name]) for name, own in owners for prefix in own))
