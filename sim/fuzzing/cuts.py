"""Proposals for smaller scenarios, the boldest first.

A cut yields scenarios that say less than a given one: fewer objects, shorter times,
defaults in place of figures. It need not know whether they still show anything.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Final

from patronus.engine.policy import Features, Policy, SlaClass, TrafficClass
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.fuzzing.pruning import (
    with_faults,
    with_policies,
    without_class,
    without_group,
    without_site,
    without_transport,
)
from patronus.sim.language.profiles import SHIPPED
from patronus.sim.scenario import (
    ControlSpec,
    Direction,
    FaultSpec,
    Mesh,
    Scenario,
    Schedule,
    TransportSpec,
)

Cut = Callable[[Scenario], Iterator[Scenario]]


# ---------------------------------------------------------------- objects


def sites(scenario: Scenario) -> Iterator[Scenario]:
    """Take away sites: half of them, then each; those that no fault names first."""
    named = {name for fault in scenario.faults for name in fault.select.sites}
    names = sorted((s.name for s in scenario.topology.sites), key=lambda n: (n in named, n))
    for size in (len(names) // 2, 1):
        if 0 < size <= len(names) - 2:
            for start in range(0, len(names), size):
                smaller = scenario
                for name in names[start : start + size]:
                    smaller = without_site(smaller, name)
                if len(smaller.topology.sites) > 1:
                    yield smaller


def transports(scenario: Scenario) -> Iterator[Scenario]:
    """Take away each transport."""
    for transport in scenario.transports if len(scenario.transports) > 1 else ():
        yield without_transport(scenario, transport.name)


def classes(scenario: Scenario) -> Iterator[Scenario]:
    """Take away each class but the last, which takes what no other does."""
    for given in scenario.policy.classes[:-1]:
        yield without_class(scenario, given.name)
    if len(scenario.policy.classes) > 1:
        smaller = without_class(scenario, scenario.policy.classes[-1].name)
        yield with_policies(smaller, _catch_all)


def _catch_all(policy: Policy) -> Policy:
    last = replace(policy.classes[-1], matches=())
    return replace(policy, classes=(*policy.classes[:-1], last))


def traffic(scenario: Scenario) -> Iterator[Scenario]:
    """Take away all traffic, then each part of it."""
    if scenario.traffic:
        yield replace(scenario, traffic=())
    for place in range(len(scenario.traffic) if len(scenario.traffic) > 1 else 0):
        left = scenario.traffic[:place] + scenario.traffic[place + 1 :]
        yield replace(scenario, traffic=left)


def groups(scenario: Scenario) -> Iterator[Scenario]:
    """Take away each group and each shared destination."""
    for group in scenario.groups:
        yield without_group(scenario, group.name)
    for place in range(len(scenario.destinations)):
        left = scenario.destinations[:place] + scenario.destinations[place + 1 :]
        yield replace(scenario, destinations=left)


# ---------------------------------------------------------------- times


def end(scenario: Scenario) -> Iterator[Scenario]:
    """Bring the end nearer, the quiet after the last fault as it is; or begin sooner."""
    first = min((f.schedule.at_ns for f in scenario.faults), default=0)
    early_ns = (first - SECOND) // SECOND * SECOND
    if early_ns > 0:
        yield _sooner(scenario, early_ns)
    last = max((_over_ns(f.schedule) for f in scenario.faults), default=0)
    for rest in (20 * SECOND, 5 * SECOND, SECOND):
        until_ns = (last // SECOND + 1) * SECOND + rest
        if last < NEVER and until_ns < scenario.duration_ns:
            yield replace(scenario, duration_ns=until_ns)
    yield from (
        replace(scenario, duration_ns=scenario.duration_ns - by)
        for by in (10 * SECOND, 3 * SECOND, SECOND)
        if scenario.duration_ns - by > max((f.schedule.at_ns for f in scenario.faults), default=0)
    )


def _sooner(scenario: Scenario, by_ns: int) -> Scenario:
    faults = (
        replace(f, schedule=replace(f.schedule, at_ns=f.schedule.at_ns - by_ns))
        for f in scenario.faults
    )
    return replace(
        with_faults(scenario, faults), duration_ns=max(SECOND, scenario.duration_ns - by_ns)
    )


def _over_ns(schedule: Schedule) -> int:
    if schedule.random_mean_ns or schedule.for_ns == NEVER:
        return NEVER
    return schedule.at_ns + (schedule.times - 1) * schedule.every_ns + schedule.for_ns


def schedules(scenario: Scenario) -> Iterator[Scenario]:
    """Let each fault happen once, for half the time, at a round time."""
    for fault in scenario.faults:
        for plan in _plans(fault.schedule):
            yield _with(scenario, fault, schedule=plan)


def _plans(plan: Schedule) -> Iterator[Schedule]:
    if plan.every_ns or plan.random_mean_ns:
        yield Schedule(plan.at_ns, plan.for_ns)
    if plan.times > 2:
        yield replace(plan, times=plan.times // 2)
    if plan.for_ns < NEVER:
        for step in (SECOND, 100 * MS, MS):
            if plan.for_ns > 2 * step:
                yield replace(plan, for_ns=plan.for_ns // 2 // step * step)
                break
    for step in (SECOND, 100 * MS, MS):
        for name in ("at_ns", "for_ns"):
            value = getattr(plan, name)
            if value % step and value > step and value < NEVER:
                yield replace(plan, **{name: value // step * step})


# ---------------------------------------------------------------- what faults are


def victims(scenario: Scenario) -> Iterator[Scenario]:
    """Let each fault hit less, or in a plainer way."""
    for fault in scenario.faults:
        select = fault.select
        for part in ("sites", "links", "groups", "providers"):
            names: tuple[str, ...] = getattr(select, part)
            for name in names if len(names) > 1 else ():
                one: Any = {part: (name,)}
                yield _with(scenario, fault, select=replace(select, **one))
        if select.mode == "count" and select.amount > 1:
            yield _with(scenario, fault, select=replace(select, amount=1))
        if select.direction is not Direction.BOTH:
            yield _with(scenario, fault, select=replace(select, direction=Direction.BOTH))
        if fault.delay_ns and fault.jitter_ns:
            yield _with(scenario, fault, jitter_ns=0)


def _with(scenario: Scenario, fault: FaultSpec, **changes: Any) -> Scenario:
    faults = (replace(f, **changes) if f is fault else f for f in scenario.faults)
    return with_faults(scenario, faults)


# ---------------------------------------------------------------- configuration


def timers(scenario: Scenario) -> Iterator[Scenario]:
    """Put defaults in the place of what the policy says."""
    plain = Policy()
    whole = replace(plain, classes=scenario.policy.classes, liveness=scenario.policy.liveness)
    if scenario.policy != whole:
        yield with_policies(scenario, lambda p: replace(whole, classes=p.classes))
    for name in ("features", "cost", "margin_ppm", "margin_ns", "stale_ns", "kernel_hold_ns",
                 "announcement_ns", "loss_window", "damping", "evaluation_ns"):  # fmt: skip
        usual = getattr(plain, name)
        if getattr(scenario.policy, name) != usual:
            yield with_policies(scenario, _setting(name, usual))
    yield from _features(scenario)


def _features(scenario: Scenario) -> Iterator[Scenario]:
    features = scenario.policy.features
    for field in fields(Features):
        if not getattr(features, field.name):
            on = replace(features, **{field.name: True})
            yield with_policies(scenario, _setting("features", on))


def _setting(name: str, value: Any) -> Callable[[Policy], Policy]:
    changes: Any = {name: value}
    return lambda policy: replace(policy, **changes)


def limits(scenario: Scenario) -> Iterator[Scenario]:
    """Ask less for each class."""
    for place, given in enumerate(scenario.policy.classes):
        for simple in _simpler(given) if all(f.policy is None for f in scenario.faults) else ():
            classes = (*scenario.policy.classes[:place], simple)
            classes += scenario.policy.classes[place + 1 :]
            yield with_policies(scenario, _setting("classes", classes))


def _simpler(given: TrafficClass) -> Iterator[TrafficClass]:
    plain = SlaClass()
    if given.sla != plain or given.share:
        yield replace(given, sla=plain, share={})
    if given.share:
        yield replace(given, share={})
    for name in ("latency_ns", "jitter_ns", "loss_ppm", "forbid", "when_none", "prefer"):
        if getattr(given.sla, name) != getattr(plain, name):
            yield replace(given, sla=replace(given.sla, **{name: getattr(plain, name)}))
    for name in given.sla.prefer if len(given.sla.prefer) > 1 else ():
        yield replace(given, sla=replace(given.sla, prefer=(name,)))


def network(scenario: Scenario) -> Iterator[Scenario]:
    """Put shipped lines, carriers and attachments in the place of drawn ones."""
    spec = scenario.topology
    if spec.mesh is not Mesh.FULL:
        yield replace(scenario, topology=replace(spec, mesh=Mesh.FULL))
    if any(s.transports for s in spec.sites):
        plain = tuple(replace(s, transports=()) for s in spec.sites)
        yield replace(scenario, topology=replace(spec, sites=plain))
    if scenario.control != ControlSpec():
        yield replace(scenario, control=ControlSpec())
    for place, transport in enumerate(scenario.transports):
        for simple in _lines(transport):
            before, after = scenario.transports[:place], scenario.transports[place + 1 :]
            yield replace(scenario, transports=(*before, simple, *after))


def _lines(transport: TransportSpec) -> Iterator[TransportSpec]:
    """Yield plainer ones; none of their lines loses anything of its own."""
    shipped = SHIPPED[transport.name]
    calm: Any = {"burst": None, "loss_ppm": 0}
    plain = replace(
        shipped.spec(transport.name),
        up=replace(shipped.up, **calm),
        down=replace(shipped.down, **calm),
        core=replace(shipped.core, loss_ppm=0),
    )
    if transport != plain:
        yield plain
    if transport.provider != shipped.provider:
        yield replace(transport, provider=shipped.provider)


ROUGH: Final[tuple[Cut, ...]] = (traffic, sites, transports, classes, groups, end)
"""What makes a run cheaper."""

FINE: Final[tuple[Cut, ...]] = (schedules, victims, limits, timers, network)
"""What makes a scenario plainer."""
