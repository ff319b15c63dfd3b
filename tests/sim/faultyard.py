"""A network in which every kind of fault happens once, each where no other one is."""

from dataclasses import replace
from functools import cache
from typing import Any

from patronus.engine.policy import Policy, SlaClass, TrafficClass
from patronus.engine.units import MS, NEVER, PPM, SECOND
from patronus.sim.faults.effects import effects
from patronus.sim.faults.kinds import KINDS
from patronus.sim.faults.outages import mutes
from patronus.sim.gauges import Reading
from patronus.sim.scenario import (
    Burst,
    FaultKind,
    FaultSpec,
    GroupSpec,
    LinkProfile,
    Scenario,
    Schedule,
    Selector,
    SiteSpec,
    TopologySpec,
    TransportSpec,
)
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.wire import Wire
from patronus.sim.world import World

START_NS, LASTS_NS, DURATION_NS = 2 * SECOND, 2600 * MS, 7800 * MS
ALL_DAY = Schedule(at_ns=START_NS, for_ns=LASTS_NS)

SITES = (
    "hub1", "hub2", "w0", "w1", "w2", "w3", "w4", "w5", "group", "crashed", "parted", "late",
    "drained", "odd", "keys", "far",
)  # fmt: skip


def prefer(transport: str) -> Policy:
    """Return a policy whose one class prefers a transport."""
    return Policy(classes=(TrafficClass("voice", sla=SlaClass(prefer=(transport,))),))


def _on(*sites: str, transport: str = "") -> Selector:
    return Selector(sites=sites, transports=(transport,) if transport else ())


def _fault(kind: FaultKind, select: Selector, **fields: Any) -> FaultSpec:
    return FaultSpec(str(kind), kind, select, ALL_DAY, **fields)


FAULTS = (
    _fault(FaultKind.LINK_DOWN, _on("w0", transport="a")),
    _fault(FaultKind.BLACKHOLE, _on("w1", transport="a")),
    _fault(FaultKind.LOSS, _on("w2", transport="a"), loss_ppm=50_000),
    _fault(
        FaultKind.BURST_LOSS,
        _on("w3", transport="a"),
        burst=Burst(gap_ns=200 * MS, length_ns=50 * MS, loss_ppm=PPM),
    ),
    _fault(FaultKind.DELAY, _on("w4", transport="a"), delay_ns=40 * MS),
    _fault(FaultKind.JITTER, _on("w5", transport="a"), jitter_ns=30 * MS),
    _fault(FaultKind.CORRUPTION, _on("w0", transport="b"), loss_ppm=50_000),
    _fault(FaultKind.DUPLICATION, _on("w1", transport="b"), loss_ppm=50_000),
    _fault(FaultKind.REORDERING, _on("w2", transport="b"), loss_ppm=100_000, delay_ns=20 * MS),
    _fault(FaultKind.RATE, _on("w3", transport="b"), rate_bps=1_000_000),
    _fault(FaultKind.FLAPPING, _on("w4", transport="b"), down_ns=SECOND, up_ns=3 * SECOND),
    _fault(FaultKind.MTU_BLACKHOLE, _on("w5", transport="b"), mtu=1200),
    _fault(FaultKind.SHARED_RISK_CUT, Selector(groups=("duct",))),
    _fault(FaultKind.PROVIDER_OUTAGE, Selector(providers=("c",))),
    _fault(FaultKind.SITE_CRASH, _on("crashed")),
    _fault(FaultKind.AGENT_KILL, _on("hub1")),
    _fault(FaultKind.AGENT_PAUSE, _on("hub2")),
    _fault(FaultKind.CONTROLLER_PARTITION, _on("parted")),
    _fault(FaultKind.CLOCK_JUMP, _on("late"), jump_ns=-7 * SECOND),
    _fault(FaultKind.DRAIN, _on("drained", transport="a")),
    _fault(FaultKind.HALF_CONFIG, _on("odd"), policy=prefer("b")),
    _fault(FaultKind.REKEY_STORM, _on("keys", transport="b"), up_ns=20 * MS, down_ns=300 * MS),
    _fault(FaultKind.LAN_DOWN, _on("far")),
)
assert {fault.kind for fault in FAULTS} == set(KINDS)


def scenario(*faults: FaultSpec) -> Scenario:
    """Return the scenario with some faults."""
    profile = LinkProfile(delay_ns=4 * MS, jitter_ns=MS, loss_ppm=1_000)
    core = LinkProfile(jitter_ns=0)
    return Scenario(
        "faultyard",
        TopologySpec(sites=tuple(SiteSpec(name, hub=name.startswith("hub")) for name in SITES)),
        tuple(TransportSpec(name, profile, profile, core) for name in "abc"),
        policy=prefer("a"),
        duration_ns=DURATION_NS,
        warmup_ns=3 * SECOND,
        groups=(GroupSpec("duct", ("access:group:a",)),),
        faults=faults,
    )


@cache
def sound() -> dict[str, Reading]:
    """Return the readings when every fault acts as commanded."""
    return readings(World(scenario(*FAULTS), 1))


@cache
def inert() -> dict[str, Reading]:
    """Return the readings when no fault has any effect."""
    world = World(scenario(*FAULTS), 1)
    nothing = Timeline((), (), DURATION_NS)
    _replace_wire(world, nothing)

    def nothing_happens(occurrence: Occurrence, *, on: bool) -> None:
        """Inject nothing."""

    world.agents._apply = nothing_happens  # type: ignore[method-assign]  # the mutant
    return readings(world)


@cache
def lingering() -> dict[str, Reading]:
    """Return the readings when no fault is ever undone.

    Planned moves are watched apart: among lasting faults a drained tunnel may be the last.
    """
    planned = [f for f in FAULTS if f.kind in (FaultKind.DRAIN, FaultKind.HALF_CONFIG)]
    others = [f for f in FAULTS if f not in planned]
    return {**_lingering(*planned), **_lingering(*others)}


def _lingering(*faults: FaultSpec) -> dict[str, Reading]:
    world = World(scenario(*faults), 1)
    stays = tuple(replace(o, end_ns=NEVER) for o in world.timeline.occurrences)
    muted = [replace(o, fault=replace(o.fault, down_ns=DURATION_NS)) for o in stays if o.rows]
    _replace_wire(world, Timeline((*(o for o in stays if not o.rows), *muted), (), DURATION_NS))
    apply = world.agents._apply

    def begin_only(occurrence: Occurrence, *, on: bool) -> None:
        if on:
            apply(occurrence, on=True)

    world.agents._apply = begin_only  # type: ignore[method-assign]  # the mutant
    return readings(world)


def _replace_wire(world: World, timeline: Timeline) -> None:
    """Let the wire follow another timeline than the one that was commanded."""
    wire: Wire = world.wire
    wire.effects = effects(timeline, world.underlay.links, world.seed)
    wire.mutes = mutes(timeline, world.overlay)


def readings(world: World) -> dict[str, Reading]:
    """Run a world; return the reading of the first occurrence of each fault."""
    world.run()
    first = [o for o in world.timeline.occurrences if o.ordinal == 0]
    return {o.fault.name: world.gauges.reading(o) for o in first}
