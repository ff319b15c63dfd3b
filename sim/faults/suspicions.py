"""Faults that compile but look like mistakes: what ``check`` warns about."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND
from patronus.sim.faults.kinds import kind_of
from patronus.sim.scenario import FaultKind, FaultSpec, Scenario, Schedule, Selector
from patronus.sim.timeline import Occurrence
from patronus.sim.underlay import Underlay


def suspicions(
    scenario: Scenario, underlay: Underlay, occurrences: Sequence[Occurrence]
) -> list[str]:
    """Return warnings, each naming a fault; occurrences come in order of their start."""
    return [
        *_never(scenario, occurrences),
        *_too_late(scenario, occurrences, underlay),
        *_idle(occurrences, underlay),
        *_hidden(occurrences),
        *_twice(occurrences),
    ]


def seconds(time_ns: int) -> str:
    """Return a time as ``12.345 s``, cut to milliseconds."""
    whole, rest = divmod(time_ns, SECOND)
    return f"{whole}.{rest // MS:03d} s"


def _never(scenario: Scenario, occurrences: Sequence[Occurrence]) -> Iterator[str]:
    there = {occurrence.fault.name for occurrence in occurrences}
    for fault in scenario.faults:
        if fault.name not in there:
            yield f"{fault.name} never happens before the end at {seconds(scenario.duration_ns)}"


def _too_late(
    scenario: Scenario, occurrences: Sequence[Occurrence], underlay: Underlay
) -> Iterator[str]:
    told: set[str] = set()
    for occurrence in occurrences:
        left_ns = scenario.duration_ns - occurrence.start_ns
        needed_ns = _noticed_after_ns(occurrence, scenario, underlay)
        if left_ns < needed_ns and occurrence.fault.name not in told:
            told.add(occurrence.fault.name)
            yield (
                f"{occurrence.name} begins {seconds(left_ns)} before the end, but takes "
                f"{seconds(needed_ns)} to be noticed"
            )


def _noticed_after_ns(occurrence: Occurrence, scenario: Scenario, underlay: Underlay) -> int:
    # Silence is noticed after a transport's detect time, anything else when it is next judged.
    policy: Policy = scenario.policy
    if not (kind_of(occurrence.fault).black and occurrence.links):
        return policy.evaluation_ns
    hit = {int(underlay.links.transport[i]) for i in occurrence.links}
    return max(policy.profile(scenario.transports[t].name).detect_ns for t in hit)


def _idle(occurrences: Sequence[Occurrence], underlay: Underlay) -> Iterator[str]:
    seen: set[str] = set()
    links = underlay.links
    for occurrence in occurrences:
        fault = occurrence.fault
        limits = {
            FaultKind.RATE: (links.rate_bps, fault.rate_bps),
            FaultKind.MTU_BLACKHOLE: (links.mtu, fault.mtu),
        }
        if fault.kind not in limits or fault.name in seen:
            continue
        own, limit = limits[fault.kind]
        if all(own[i] <= limit for i in occurrence.links):
            seen.add(fault.name)
            yield f"{fault.name} changes nothing: the links' own limit is not above {limit}"


def _hidden(occurrences: Sequence[Occurrence]) -> Iterator[str]:
    crashes = [o for o in occurrences if o.fault.kind is FaultKind.SITE_CRASH]
    for occurrence in occurrences:
        for crash in crashes:
            if (
                occurrence is not crash
                and crash.start_ns <= occurrence.start_ns
                and occurrence.end_ns <= crash.end_ns
                and not occurrence.rows
                and set(occurrence.links) <= set(crash.links)
                and set(occurrence.sites) <= set(crash.sites)
            ):
                yield f"{occurrence.name} is hidden by {crash.name} all the time"


def _twice(occurrences: Sequence[Occurrence]) -> Iterator[str]:
    # Sweep in order of start; all happenings of a fault hit the same objects, so the one
    # that lasts longest stands for it.
    lasting: dict[str, Occurrence] = {}
    told: set[tuple[str, str]] = set()
    for occurrence in occurrences:
        name = occurrence.fault.name
        for other in lasting.values():
            pair = other.fault.name, name
            if pair not in told and _doubles(other, occurrence):
                told.add(pair)
                yield f"{occurrence.name} overlaps {other.name}, which does the same there"
        if name not in lasting or lasting[name].end_ns < occurrence.end_ns:
            lasting[name] = occurrence


def _doubles(one: Occurrence, other: Occurrence) -> bool:
    together = one.end_ns > other.start_ns
    return together and _effect(one) == _effect(other) and _common(one, other)


def _effect(occurrence: Occurrence) -> FaultSpec:
    return replace(occurrence.fault, name="", select=Selector(), schedule=Schedule())


def _common(one: Occurrence, other: Occurrence) -> bool:
    return any(
        set(a) & set(b)
        for a, b in ((one.links, other.links), (one.sites, other.sites), (one.rows, other.rows))
    )
