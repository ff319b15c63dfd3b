"""Draws swarms of faults: all kinds, overlapping, again and again, on few victims.

Harsher than life in three ways: faults come every second or two, they like to hit what
is hit already, and their times lie close to the engine's own (detect times, holds,
evaluations), where off-by-ones live. Every occurrence is over when the storm is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND
from patronus.sim.faults.kinds import Target, kind_of
from patronus.sim.faults.schedules import happenings
from patronus.sim.fuzzing.dice import Dice
from patronus.sim.fuzzing.networks import Drawn
from patronus.sim.fuzzing.policies import half_applied
from patronus.sim.scenario import Burst, Direction, FaultKind, FaultSpec, Schedule, Selector

_BEGIN_NS: Final = SECOND
"""The first second is calm, so that every tunnel has been seen healthy."""

_WEIGHTS: Final = {
    FaultKind.LINK_DOWN: 4, FaultKind.BLACKHOLE: 6, FaultKind.LOSS: 3, FaultKind.BURST_LOSS: 2,
    FaultKind.DELAY: 2, FaultKind.JITTER: 1, FaultKind.CORRUPTION: 1, FaultKind.DUPLICATION: 1,
    FaultKind.REORDERING: 1, FaultKind.RATE: 1, FaultKind.FLAPPING: 3,
    FaultKind.SHARED_RISK_CUT: 2, FaultKind.PROVIDER_OUTAGE: 1, FaultKind.SITE_CRASH: 2,
    FaultKind.AGENT_KILL: 3, FaultKind.AGENT_PAUSE: 3, FaultKind.CONTROLLER_PARTITION: 3,
    FaultKind.CLOCK_JUMP: 1, FaultKind.MTU_BLACKHOLE: 1, FaultKind.DRAIN: 4,
    FaultKind.HALF_CONFIG: 2, FaultKind.REKEY_STORM: 1, FaultKind.LAN_DOWN: 3,
}  # fmt: skip
_BAG: Final = tuple(kind for kind in FaultKind for _ in range(_WEIGHTS[kind]))

assert set(_WEIGHTS) == set(FaultKind), "every kind there is"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a swarm needs to know of the rest."""

    network: Drawn
    policy: Policy
    seed: int
    """Of the run, which draws the times of random schedules."""
    until_ns: int
    """When the storm is over."""

    @property
    def transports(self) -> tuple[str, ...]:
        """Names of the transports."""
        return tuple(t.name for t in self.network.transports)


def swarm(dice: Dice, stage: Stage, count: int) -> tuple[FaultSpec, ...]:
    """Draw up to so many faults; those that cannot be over in time are left out."""
    victims = dice.some(stage.network.sites, dice.between(1, 3))
    drawn = (_fault(dice.apart(f"{n}"), f"f{n}", stage, victims) for n in range(1, count + 1))
    return tuple(fault for fault in drawn if fault is not None)


def _fault(dice: Dice, name: str, stage: Stage, victims: Sequence[str]) -> FaultSpec | None:
    kind = dice.one(_BAG)
    while kind is FaultKind.SHARED_RISK_CUT and not stage.network.groups:
        kind = dice.one(_BAG)
    select = _selector(dice.apart("where"), kind, stage, victims)
    plan = _schedule(dice.apart("when"), stage, kind)
    fields = _QUANTITIES.get(kind, _nothing)(dice.apart("what"))
    fault = FaultSpec(name, kind, select, plan, **fields)
    if kind is FaultKind.HALF_CONFIG:
        other = half_applied(dice.apart("policy"), stage.policy, stage.transports)
        fault = replace(fault, policy=other)
    return _bounded(fault, stage)


# ---------------------------------------------------------------- when


def _schedule(dice: Dice, stage: Stage, kind: FaultKind) -> Schedule:
    at_ns = _BEGIN_NS + dice.between(0, (stage.until_ns - _BEGIN_NS) // MS) * MS
    if dice.percent(50):
        at_ns += dice.between(0, MS)  # off every grid
    for_ns = _length(dice, stage)
    if kind is FaultKind.FLAPPING:
        for_ns *= 4
    if dice.percent(70):
        return Schedule(at_ns, for_ns)
    gap_ns, times = _length(dice, stage), dice.between(2, 5)
    if dice.percent(50):
        return Schedule(at_ns, for_ns, every_ns=for_ns + gap_ns, times=times)
    return Schedule(at_ns, for_ns, random_mean_ns=gap_ns, times=times)


def _length(dice: Dice, stage: Stage) -> int:
    """Draw a duration: near one of the policy's own, or any."""
    policy = stage.policy
    own = (
        policy.profile(dice.one(stage.transports)).detect_ns,
        policy.evaluation_ns,
        policy.damping.hold_ns,
        policy.announcement_ns,
        policy.patience_ns,
        SECOND,
    )
    if dice.percent(60):
        return max(MS, dice.one(own) * dice.one((1, 1, 2, 3)) + dice.between(-60, 120) * MS)
    return dice.scale(30, 8_000) * MS


def _bounded(fault: FaultSpec, stage: Stage) -> FaultSpec | None:
    """Return the fault with all its occurrences over in time, None if it has none."""
    if fault.kind is FaultKind.REKEY_STORM:
        left_ns = stage.until_ns - fault.schedule.at_ns
        plan = Schedule(fault.schedule.at_ns, min(4 * fault.schedule.for_ns, left_ns))
        return replace(fault, schedule=plan) if left_ns > 0 else None
    spans = happenings(replace(fault, kind=FaultKind.LINK_DOWN), 2**62, stage.seed)
    times = sum(span.end_ns <= stage.until_ns for span in spans)
    if times:
        return replace(fault, schedule=replace(fault.schedule, times=times))
    left_ns = stage.until_ns - fault.schedule.at_ns
    if left_ns < 10 * MS or fault.schedule.random_mean_ns:
        return None
    return replace(fault, schedule=Schedule(fault.schedule.at_ns, left_ns))


# ---------------------------------------------------------------- where


def _selector(dice: Dice, kind: FaultKind, stage: Stage, victims: Sequence[str]) -> Selector:
    row = kind_of(FaultSpec("", kind, Selector(), Schedule()))
    # Two of three faults hit one of a few sites, so that they meet.
    sites = dice.some(victims if dice.percent(65) else stage.network.sites, dice.between(1, 2))
    if row.target is not Target.LINKS:
        over = "transports" in row.selects and dice.percent(80)
        return Selector(sites=sites, transports=_transport(dice, stage, sites) if over else ())
    direction = Direction.BOTH
    if row.directed and dice.percent(45):
        direction = dice.one((Direction.OUT, Direction.IN))
    return replace(_cables(dice, row.selects, stage, sites), direction=direction)


def _transport(dice: Dice, stage: Stage, sites: Sequence[str]) -> tuple[str, ...]:
    specs = {site.name: site.transports for site in stage.network.topology.sites}
    return dice.some(specs[sites[0]] or stage.transports, 1)


def _cables(dice: Dice, selects: frozenset[str], stage: Stage, sites: tuple[str, ...]) -> Selector:
    """Draw which cables; mostly access links."""
    if "sites" in selects and dice.percent(75):
        over = dice.percent(80)
        return Selector(sites=sites, transports=_transport(dice, stage, sites) if over else ())
    if "links" in selects and dice.percent(70):
        name = dice.one(stage.transports)
        return Selector(links=(f"{name}:*",), mode="count", amount=dice.between(1, 2))
    groups = stage.network.groups
    if "groups" in selects and groups and (dice.percent(70) or "providers" not in selects):
        return Selector(groups=(dice.one(groups).name,))
    return Selector(providers=(dice.one(stage.transports),))


# ---------------------------------------------------------------- what

Fields = dict[str, Any]


def _nothing(dice: Dice) -> Fields:
    return {}


def _loss(dice: Dice) -> Fields:
    heavy = dice.percent(50)
    return {"loss_ppm": dice.between(30, 99) * 10_000 if heavy else dice.scale(10_000, 300_000)}


def _burst(dice: Dice) -> Fields:
    gap_ns, length_ns = dice.scale(100, 2_000) * MS, dice.scale(30, 800) * MS
    return {"burst": Burst(gap_ns, length_ns, dice.between(30, 100) * 10_000)}


def _delay(dice: Dice) -> Fields:
    noisy = {"jitter_ns": dice.scale(5, 200) * MS} if dice.percent(50) else {}
    return {"delay_ns": dice.scale(10, 400) * MS, **noisy}


def _jitter(dice: Dice) -> Fields:
    return {"jitter_ns": dice.scale(10, 400) * MS}


def _share(dice: Dice) -> Fields:
    return {"loss_ppm": dice.scale(10_000, 500_000)}


def _reordering(dice: Dice) -> Fields:
    return {"loss_ppm": dice.scale(10_000, 500_000), "delay_ns": dice.scale(5, 100) * MS}


def _rate(dice: Dice) -> Fields:
    return {"rate_bps": dice.scale(200, 8_000) * 1_000}


def _flapping(dice: Dice) -> Fields:
    return {"down_ns": dice.scale(40, 1_500) * MS, "up_ns": dice.scale(40, 3_000) * MS}


def _mtu(dice: Dice) -> Fields:
    return {"mtu": dice.between(100, 1_400)}


def _jump(dice: Dice) -> Fields:
    step_ns = dice.scale(5, 5_000) * MS
    return {"jump_ns": -step_ns if dice.percent(50) else step_ns}


def _rekey(dice: Dice) -> Fields:
    return {"down_ns": dice.scale(50, 1_200) * MS, "up_ns": dice.scale(20, 500) * MS}


_QUANTITIES: Final[dict[FaultKind, Callable[[Dice], Fields]]] = {
    FaultKind.LOSS: _loss,
    FaultKind.BURST_LOSS: _burst,
    FaultKind.DELAY: _delay,
    FaultKind.JITTER: _jitter,
    FaultKind.CORRUPTION: _share,
    FaultKind.DUPLICATION: _share,
    FaultKind.REORDERING: _reordering,
    FaultKind.RATE: _rate,
    FaultKind.FLAPPING: _flapping,
    FaultKind.MTU_BLACKHOLE: _mtu,
    FaultKind.CLOCK_JUMP: _jump,
    FaultKind.REKEY_STORM: _rekey,
}
