"""Compile a scenario's faults: names become links and sites, schedules become times."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from patronus.engine.overlay import Overlay
from patronus.engine.units import NEVER, PPM
from patronus.sim.bursts import Bursts
from patronus.sim.faults.kinds import Target, kind_of
from patronus.sim.faults.schedules import Happening, happenings
from patronus.sim.faults.selectors import FaultError, Hit, Network, directed, select
from patronus.sim.faults.suspicions import suspicions
from patronus.sim.luck import object_keys, words
from patronus.sim.patterns import find, listed
from patronus.sim.scenario import Direction, FaultKind, FaultSpec, Scenario
from patronus.sim.timeline import Occurrence, Timeline


def compile_faults(scenario: Scenario, network: Network, seed: int) -> Timeline:
    """Return every occurrence of every fault, resolved to this network.

    Raises:
        FaultError: a name used twice, a field that is missing or means nothing, a selector
            that matches nothing, or a schedule that makes no sense.
    """
    _check_names(scenario.faults)
    found: list[Occurrence] = []
    for fault in scenario.faults:
        _check_fields(fault)
        hits = select(fault, scenario, network, seed)
        spans = happenings(fault, scenario.duration_ns, seed)
        found += _occurrences(fault, hits, spans, network, seed)
    found.sort(key=lambda o: (o.start_ns, o.name))
    warnings = suspicions(scenario, network.underlay, found)
    return Timeline(tuple(found), tuple(warnings), scenario.duration_ns)


def _check_names(faults: Sequence[FaultSpec]) -> None:
    seen: set[str] = set()
    for fault in faults:
        if fault.name in seen:
            raise FaultError(fault, "has the name of another fault; luck is keyed by names")
        seen.add(fault.name)


_FIELDS: Final = (
    "loss_ppm", "burst", "delay_ns", "jitter_ns", "rate_bps", "mtu", "jump_ns", "up_ns", "down_ns",
    "policy",
)  # fmt: skip


def _check_fields(fault: FaultSpec) -> None:
    kind = kind_of(fault)
    for field in _FIELDS:
        value = getattr(fault, field)
        if field in kind.needs and not value:
            raise FaultError(fault, f"needs {field}")
        if value and field not in kind.needs + kind.allows:
            raise FaultError(fault, f"{field} means nothing here (it takes {listed(kind.needs)})")
        if isinstance(value, int) and value < 0 and field != "jump_ns":
            raise FaultError(fault, f"{field} is negative")
    losses = fault.loss_ppm, fault.burst.loss_ppm if fault.burst else 0
    if not 0 <= min(losses) <= max(losses) <= PPM:
        raise FaultError(fault, "a loss lies between 0 and 1,000,000 ppm")
    try:
        Bursts(np.zeros(1, dtype=np.uint64), [fault.burst])
    except ValueError as error:
        raise FaultError(fault, str(error)) from error


def _occurrences(
    fault: FaultSpec,
    hits: Sequence[Hit],
    spans: Sequence[Happening],
    network: Network,
    seed: int,
) -> Iterator[Occurrence]:
    links = _links(fault, hits, network)
    sites = tuple(sorted(hit.site for hit in hits if hit.site >= 0))
    transports: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    if sites and "transports" in kind_of(fault).selects:
        transports = find(fault.select.transports or ["*"], network.overlay.transports, "transport")
    if kind_of(fault).target is Target.TUNNELS:
        rows = _tunnels(fault, network.overlay, sites, transports, seed)
    for ordinal, span in enumerate(spans):
        end_ns = min(span.end_ns, _last_mute_ns(fault, span.start_ns, len(rows)))
        yield Occurrence(
            fault, ordinal, span.start_ns, end_ns, links, sites, transports, rows,
            label=_label(hits, fault.select.direction),
        )  # fmt: skip


def _links(fault: FaultSpec, hits: Sequence[Hit], network: Network) -> tuple[int, ...]:
    # A site's links are hit when it loses power; when its agent fails they are not.
    if kind_of(fault).target is not Target.LINKS and fault.kind is not FaultKind.SITE_CRASH:
        return ()
    links = directed(hits, fault.select.direction)
    if not links:
        raise FaultError(fault, f"hits no link in direction {fault.select.direction}")
    return links


def _tunnels(
    fault: FaultSpec, overlay: Overlay, sites: Sequence[int], transports: Sequence[int], seed: int
) -> tuple[int, ...]:
    # One row a tunnel, the lower; which falls mute first is drawn by the tunnels' names.
    meant = np.isin(overlay.src, sites) | np.isin(overlay.dst, sites)
    meant &= np.isin(overlay.transport, transports)
    rows = np.flatnonzero(meant & (np.arange(overlay.rows) < overlay.reverse))
    if not len(rows):
        raise FaultError(fault, "the selected sites have no tunnel over these transports")
    drawn = words(object_keys(seed, f"select/{fault.name}", overlay.key[rows]), 0)
    return tuple(int(row) for row in rows[np.argsort(drawn, kind="stable")])


def _last_mute_ns(fault: FaultSpec, start_ns: int, tunnels: int) -> int:
    # A storm is over when the last tunnel speaks again.
    return start_ns + (tunnels - 1) * fault.up_ns + fault.down_ns if tunnels else NEVER


def _label(hits: Sequence[Hit], direction: Direction) -> str:
    way = "" if direction is Direction.BOTH else f" {direction}"
    return listed([hit.name for hit in hits], 3) + way
