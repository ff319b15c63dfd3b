"""Takes an object out of a scenario, with all that speaks of it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from patronus.engine.policy import Policy, TrafficClass
from patronus.sim.scenario import FaultSpec, GroupSpec, Scenario


def without_site(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario without a site."""
    spec = scenario.topology
    topology = replace(
        spec,
        sites=tuple(s for s in spec.sites if s.name != name),
        transit=tuple(s for s in spec.transit if s != name),
    )
    shared = [
        replace(d, sites=tuple(s for s in d.sites if s != name)) for d in scenario.destinations
    ]
    scenario = replace(
        scenario, topology=topology, destinations=tuple(d for d in shared if d.sites)
    )
    scenario = _without_links(scenario, lambda link: link.split(":")[1:2] == [name])
    return _selecting(scenario, "sites", name)


def without_transport(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario without a transport."""
    sites = tuple(
        replace(s, transports=tuple(t for t in s.transports if t != name))
        for s in scenario.topology.sites
        if s.transports != (name,)
    )
    scenario = replace(
        scenario,
        topology=replace(scenario.topology, sites=sites),
        transports=tuple(t for t in scenario.transports if t.name != name),
    )
    scenario = with_policies(scenario, lambda policy: _policy_without(policy, name))
    scenario = _without_links(scenario, lambda link: link.endswith(f":{name}"))
    for part in ("transports", "providers"):
        scenario = _selecting(scenario, part, name)
    return _selecting(scenario, "links", f"{name}:*")


def without_class(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario without a class of traffic."""

    def fewer(policy: Policy) -> Policy:
        return replace(policy, classes=tuple(c for c in policy.classes if c.name != name))

    traffic = tuple(t for t in scenario.traffic if t.traffic_class != name)
    return with_policies(replace(scenario, traffic=traffic), fewer)


def without_group(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario without a shared-risk group."""
    groups = tuple(g for g in scenario.groups if g.name != name)
    return _selecting(replace(scenario, groups=groups), "groups", name)


def with_policies(scenario: Scenario, change: Callable[[Policy], Policy]) -> Scenario:
    """Return the scenario with its policy changed, and each half-applied one alike."""
    faults = tuple(
        f if f.policy is None else replace(f, policy=change(f.policy)) for f in scenario.faults
    )
    return replace(scenario, policy=change(scenario.policy), faults=faults)


def with_faults(scenario: Scenario, faults: Iterable[FaultSpec | None]) -> Scenario:
    """Return the scenario with other faults; None stands for one that has gone."""
    return replace(scenario, faults=tuple(f for f in faults if f is not None))


def _policy_without(policy: Policy, transport: str) -> Policy:
    return replace(
        policy,
        liveness={k: v for k, v in policy.liveness.items() if k != transport},
        cost={k: v for k, v in policy.cost.items() if k != transport},
        classes=tuple(_class_without(c, transport) for c in policy.classes),
    )


def _class_without(given: TrafficClass, transport: str) -> TrafficClass:
    sla = replace(
        given.sla,
        prefer=tuple(t for t in given.sla.prefer if t != transport),
        forbid=given.sla.forbid - {transport},
    )
    share = {k: v for k, v in given.share.items() if k != transport}
    return replace(given, sla=sla, share=share)


def _without_links(scenario: Scenario, gone: Callable[[str], bool]) -> Scenario:
    left = [GroupSpec(g.name, tuple(x for x in g.links if not gone(x))) for g in scenario.groups]
    for group in left:
        if not group.links:
            scenario = without_group(scenario, group.name)
    return replace(scenario, groups=tuple(g for g in left if g.links))


def _selecting(scenario: Scenario, part: str, name: str) -> Scenario:
    """Return the scenario with no fault selecting an object; one that selects no other goes."""

    def fewer(fault: FaultSpec) -> FaultSpec | None:
        given: tuple[str, ...] = getattr(fault.select, part)
        if name not in given:
            return fault
        left = tuple(x for x in given if x != name)
        narrower: Any = {part: left}
        return replace(fault, select=replace(fault.select, **narrower)) if left else None

    return with_faults(scenario, map(fewer, scenario.faults))
