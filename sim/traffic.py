"""Offered traffic: constant flows between sites and destinations.

Each entry of a scenario's ``traffic`` is a set of (site, destination) pairs, so
``* -> *`` both ways still offers each pair its rate once. What several entries
offer to one (site, destination, class) adds up to one flow.
"""

from dataclasses import dataclass

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.fingerprint import U64, combine, name_key
from patronus.engine.overlay import I32, I64, Overlay
from patronus.sim.faults.selectors import Network
from patronus.sim.luck import Bools, object_keys, words
from patronus.sim.patterns import NoMatchError, find, listed, site_sets
from patronus.sim.scenario import Scenario, TrafficSpec


class TrafficError(ValueError):
    """Traffic that cannot be offered; the message names the entry and what to change."""


@dataclass(frozen=True, eq=False)
class Demands:
    """One entry a flow, sorted by (site, destination, class)."""

    site: I32
    """Where it enters the overlay."""
    destination: I32
    """Index into ``Overlay.destinations``."""
    traffic_class: I32
    """Index into ``Policy.classes``."""
    rate_bps: I64
    packet_bytes: I64
    """Of the largest packets, where several entries of traffic meet."""
    key: U64
    """A fingerprint of the names of site, destination and class."""


def demands(scenario: Scenario, network: Network, seed: int) -> Demands:
    """Return the flows that a scenario offers.

    Raises:
        TrafficError: an unknown class, a word that matches nothing, or a rate or size that
            is not positive.
    """
    overlay = network.overlay
    shape = (len(overlay.sites), len(overlay.destinations), len(scenario.policy.classes))
    codes, rates, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number, spec in enumerate(scenario.traffic, start=1):
        number_of_class = _class_of(scenario, spec, number)
        try:
            site, destination = _pairs(spec, scenario, overlay, seed)
        except NoMatchError as error:
            raise TrafficError(f"traffic {number}: {error}") from error
        code = (site * shape[1] + destination) * shape[2] + number_of_class
        codes.append(distinct(code))
        rates.append(np.full(len(codes[-1]), spec.rate_bps))
        sizes.append(np.full(len(codes[-1]), spec.packet_bytes))
    every = np.concatenate(codes)
    code = distinct(every)
    place = np.searchsorted(code, every)
    rate, size = np.zeros(len(code), dtype=np.int64), np.zeros(len(code), dtype=np.int64)
    np.add.at(rate, place, np.concatenate(rates))
    np.maximum.at(size, place, np.concatenate(sizes))
    rest, traffic_class = np.divmod(code, shape[2])
    site, destination = np.divmod(rest, shape[1])
    keys = _keys(scenario, overlay)
    return Demands(
        site=site.astype(np.int32),
        destination=destination.astype(np.int32),
        traffic_class=traffic_class.astype(np.int32),
        rate_bps=rate,
        packet_bytes=size,
        key=combine(combine(keys[0][site], keys[1][destination]), keys[2][traffic_class]),
    )


def _class_of(scenario: Scenario, spec: TrafficSpec, number: int) -> int:
    if spec.rate_bps <= 0 or spec.packet_bytes <= 0 or spec.peers < 0:
        raise TrafficError(
            f"traffic {number}: rate and packet size must be positive, peers not negative"
        )
    names = [c.name for c in scenario.policy.classes]
    if spec.traffic_class not in names:
        raise TrafficError(f"traffic {number}: no class {spec.traffic_class!r} ({listed(names)})")
    return names.index(spec.traffic_class)


def _keys(scenario: Scenario, overlay: Overlay) -> tuple[U64, U64, U64]:
    names = {
        "site": overlay.sites,
        "destination": [d.name for d in overlay.destinations],
        "class": [c.name for c in scenario.policy.classes],
    }
    site, destination, traffic_class = (
        np.array([name_key(sort, name) for name in which], dtype=np.uint64)
        for sort, which in names.items()
    )
    return site, destination, traffic_class


def _pairs(spec: TrafficSpec, scenario: Scenario, overlay: Overlay, seed: int) -> tuple[I64, I64]:
    sets = site_sets(scenario.topology, overlay)
    names = [d.name for d in overlay.destinations]
    sources = np.array(find(spec.sources, overlay.sites, "site", sets), dtype=np.int64)
    targets = np.array(find(spec.destinations, names, "destination", sets), dtype=np.int64)
    wanted = ~_local(overlay, sources, targets)
    if spec.peers:
        wanted &= _chosen(spec, wanted, sources, targets, _keys(scenario, overlay), seed)
    row, column = np.nonzero(wanted)
    site, destination = sources[row], targets[column]
    if spec.both_ways:
        # The first destinations are the sites' own LANs; a shared one has nobody to answer.
        back = destination < len(overlay.sites)
        site, destination = (
            np.concatenate([site, destination[back]]),
            np.concatenate([destination, site[back]]),
        )
    return site, destination


def _local(overlay: Overlay, sources: I64, targets: I64) -> Bools:
    # What a site announces itself does not cross the overlay.
    local = np.zeros((len(sources), len(targets)), dtype=np.bool_)
    for column, target in enumerate(targets):
        local[:, column] = np.isin(sources, overlay.destinations[target].sites)
    return local


def _chosen(
    spec: TrafficSpec,
    wanted: Bools,
    sources: I64,
    targets: I64,
    keys: tuple[U64, U64, U64],
    seed: int,
) -> Bools:
    # Each source takes the destinations with the lowest words: a new site changes the peers
    # of those sources alone that draw it.
    rows, columns = wanted.shape
    pair = combine(np.repeat(keys[0][sources], columns), np.tile(keys[1][targets], rows))
    drawn = words(object_keys(seed, f"peers/{spec.traffic_class}", pair), 0).reshape(wanted.shape)
    drawn = np.where(wanted, drawn, np.uint64(0xFFFFFFFFFFFFFFFF))
    best = np.argsort(drawn, axis=1, kind="stable")[:, : spec.peers]
    chosen = np.zeros(wanted.shape, dtype=np.bool_)
    np.put_along_axis(chosen, best, values=True, axis=1)
    return chosen
