"""From a scenario and a seed to the overlay and the wires beneath it."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from patronus.engine.overlay import Overlay, build_overlay
from patronus.sim.scenario import Mesh, Scenario
from patronus.sim.topology.geography import land_of, place_sites, regions_of
from patronus.sim.topology.meshes import attached, pairs, tunnels
from patronus.sim.topology.sites import Site, sites
from patronus.sim.topology.unknown import unknown
from patronus.sim.topology.wires import build_underlay
from patronus.sim.underlay import Underlay


@dataclass(frozen=True, eq=False)
class Network:
    """An overlay and its underlay."""

    overlay: Overlay
    underlay: Underlay


TUNNELS_MOST: Final = 10_000_000
"""Directed tunnels; a run needs about a kilobyte for each."""


def build(scenario: Scenario, seed: int) -> Network:
    """Build the network of a scenario.

    All luck in it (where generated sites and providers lie, who is whose neighbour in a
    partial mesh) follows from the seed and from names.

    Raises:
        ValueError: the scenario describes no network: unknown names, too few sites, a map
            that is missing or falls apart. The message names the offender.
    """
    spec, found = scenario.topology, sites(scenario.topology)
    names = [site.name for site in found]
    transports = _transports(scenario)
    if spec.mesh is Mesh.FULL:
        _check_size(len(found) * (len(found) - 1), len(transports))
    land = land_of(scenario, found, seed)
    position = place_sites(found, land)
    regional = spec.mesh is Mesh.REGIONAL
    regions = regions_of(found, position, spec.regions) if regional else []
    attachment = attached(found, transports)
    wanted = pairs(spec, found, regions, seed)
    overlay = build_overlay(
        sites=names,
        transports=transports,
        pairs=tunnels(wanted, attachment, names, listed=spec.mesh is Mesh.PAIRS),
        destinations=_destinations(scenario, names),
        transit=_transit(scenario, found),
    )
    underlay = build_underlay(scenario, overlay, position=position, attached=attachment, land=land)
    return Network(overlay, replace(underlay, fingerprint=fingerprint(overlay, underlay)))


def _check_size(directed_pairs: int, transports: int) -> None:
    """Refuse what no machine holds, before it tries.

    Raises:
        ValueError: there are too many tunnels.
    """
    tunnels = directed_pairs * transports
    if tunnels > TUNNELS_MOST:
        raise ValueError(
            f"topology: a full mesh of these sites has {tunnels:,} tunnels, at most "
            f"{TUNNELS_MOST:,} are possible; a mesh with hubs has far fewer"
        )


def _transports(scenario: Scenario) -> list[str]:
    names = [spec.name for spec in scenario.transports]
    if not names:
        raise ValueError("an overlay needs at least one transport")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two transports are called `{name}`")
    return names


def _destinations(scenario: Scenario, names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    taken = set(names)
    for spec in scenario.destinations:
        if spec.name in taken:
            raise ValueError(f"two destinations are called `{spec.name}`")
        taken.add(spec.name)
        if not spec.sites or len(set(spec.sites)) < len(spec.sites):
            raise ValueError(f"destination `{spec.name}` needs sites, each once")
        _known(f"destination `{spec.name}`", spec.sites, names)
    return [(spec.name, spec.sites) for spec in scenario.destinations]


def _transit(scenario: Scenario, sites: Sequence[Site]) -> tuple[str, ...]:
    given = scenario.topology.transit
    _known("transit", given, [site.name for site in sites])
    return tuple(dict.fromkeys(given)) or tuple(site.name for site in sites if site.hub)


def _known(where: str, given: Sequence[str], names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            raise unknown(where, "site", name, names)


def fingerprint(overlay: Overlay, underlay: Underlay) -> str:
    """Return the SHA-256 of everything that can reach a decision; drawings cannot."""
    digest = hashlib.sha256()
    for part in _parts(overlay, underlay):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(overlay: Overlay, underlay: Underlay) -> Iterator[bytes]:
    links = underlay.links
    bursts = {burst: i for i, burst in enumerate(dict.fromkeys(links.burst))}
    yield _text(
        overlay.sites,
        overlay.transports,
        [(d.name, d.sites) for d in overlay.destinations],
        overlay.transit,
        links.names,
        [burst and (burst.gap_ns, burst.length_ns, burst.loss_ppm) for burst in bursts],
        [
            (p.transport, p.nodes, p.first_link, p.reroute_ns, p.dedicated)
            for p in underlay.providers
        ],
        sorted(underlay.groups.items()),
    )
    numbers = np.array([bursts[burst] for burst in links.burst], dtype=np.int64)
    short = [overlay.src, overlay.dst, overlay.transport, links.transport]
    short += [underlay.up, underlay.down, underlay.pop, *(p.ends for p in underlay.providers)]
    long = [links.delay_ns, links.jitter_ns, links.loss_ppm, links.rate_bps]
    long += [links.buffer_ns, links.mtu, numbers]
    # One byte order everywhere; on most machines nothing changes.
    yield from (column.astype("<i4").tobytes() for column in short)
    yield from (column.astype("<i8").tobytes() for column in long)


def _text(*parts: object) -> bytes:
    return json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()
