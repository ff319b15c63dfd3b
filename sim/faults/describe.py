"""A compiled timeline in words, as ``patronus check`` prints it."""

from typing import Final

from patronus.engine.units import NEVER
from patronus.sim.faults.selectors import Network
from patronus.sim.faults.suspicions import seconds
from patronus.sim.patterns import listed
from patronus.sim.timeline import Occurrence, Timeline

TIMES: Final = 5
"""Occurrences of one fault that are listed; the rest are counted."""


def describe(timeline: Timeline, network: Network) -> list[str]:
    """Return one line a fault, in order of its first occurrence, then one a warning."""
    by_fault: dict[str, list[Occurrence]] = {}
    for occurrence in timeline.occurrences:
        by_fault.setdefault(occurrence.fault.name, []).append(occurrence)
    lines = [_line(occurrences, network) for occurrences in by_fault.values()]
    return lines + [f"warning: {warning}" for warning in timeline.warnings]


def _line(occurrences: list[Occurrence], network: Network) -> str:
    # Every occurrence of a fault hits the same objects.
    first = occurrences[0]
    times = listed([_span(o) for o in occurrences[:TIMES]], TIMES)
    rest = f" and {len(occurrences) - TIMES} more times" if len(occurrences) > TIMES else ""
    return (
        f"{first.fault.name}: {first.fault.kind} on {first.label} "
        f"({_matches(first, network)}), {times}{rest}"
    )


def _span(occurrence: Occurrence) -> str:
    end_ns = occurrence.end_ns
    until = "the end" if end_ns == NEVER else seconds(end_ns)
    return f"{seconds(occurrence.start_ns)} until {until}"


def _matches(occurrence: Occurrence, network: Network) -> str:
    overlay = network.overlay
    parts = []
    if occurrence.links:
        names = network.underlay.links.names
        cables = list(dict.fromkeys(names[i] for i in occurrence.links))
        parts.append(f"{len(occurrence.links)} directed links: {listed(cables)}")
    if occurrence.sites:
        parts.append(_counted("site", [overlay.sites[i] for i in occurrence.sites]))
    if occurrence.transports:
        parts.append(f"over {listed([overlay.transports[i] for i in occurrence.transports])}")
    if occurrence.rows:
        parts.append(_counted("tunnel", [overlay.label(row) for row in occurrence.rows]))
    return "; ".join(parts)


def _counted(noun: str, names: list[str]) -> str:
    return f"{len(names)} {noun}{'s' * (len(names) > 1)}: {listed(names)}"
