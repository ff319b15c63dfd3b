"""A compiled timeline in words, as ``patronus check`` prints it."""

from patronus.engine.units import NEVER
from patronus.sim.faults.kinds import kind_of
from patronus.sim.faults.selectors import Network
from patronus.sim.faults.suspicions import seconds
from patronus.sim.patterns import listed
from patronus.sim.timeline import Occurrence, Timeline


def describe(timeline: Timeline, network: Network) -> list[str]:
    """Return one line an occurrence, then one a warning."""
    lines = [_line(occurrence, network) for occurrence in timeline.occurrences]
    return lines + [f"warning: {warning}" for warning in timeline.warnings]


def _line(occurrence: Occurrence, network: Network) -> str:
    end_ns = occurrence.end_ns
    until = "the end" if end_ns == NEVER else seconds(end_ns)
    return (
        f"{seconds(occurrence.start_ns)} until {until}: {occurrence.name} "
        f"({occurrence.fault.kind}: {kind_of(occurrence.fault).does}) on {occurrence.label}"
        f" = {_matches(occurrence, network)}"
    )


def _matches(occurrence: Occurrence, network: Network) -> str:
    overlay = network.overlay
    parts = []
    if occurrence.links:
        names = network.underlay.links.names
        cables = list(dict.fromkeys(names[i] for i in occurrence.links))
        parts.append(f"{len(occurrence.links)} directed links ({listed(cables)})")
    if occurrence.sites:
        sites = [overlay.sites[i] for i in occurrence.sites]
        parts.append(f"{len(sites)} sites ({listed(sites)})")
    if occurrence.transports:
        parts.append(f"over {listed([overlay.transports[i] for i in occurrence.transports])}")
    if occurrence.rows:
        tunnels = [overlay.label(row) for row in occurrence.rows]
        parts.append(f"{len(tunnels)} tunnels ({listed(tunnels)})")
    return ", ".join(parts)
