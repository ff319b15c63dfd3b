"""Draws swarms of faults: all kinds, overlapping, again and again, on few victims.

Harsher than life in three ways: faults come every second or two, they like to hit what
is hit already, and their times lie close to the engine's own (detect times, holds,
evaluations), where off-by-ones live (:mod:`timing`). Most swarms have few kinds only:
what a drain leaves behind is mended by the next restart of an agent.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from patronus.engine.units import MS
from patronus.sim.faults.kinds import Target, kind_of
from patronus.sim.fuzzing.dice import Dice
from patronus.sim.fuzzing.policies import half_applied
from patronus.sim.fuzzing.timing import Stage, bounded, meeting, schedule
from patronus.sim.scenario import Burst, Direction, FaultKind, FaultSpec, Schedule, Selector

_WEIGHTS: Final = {
    FaultKind.LINK_DOWN: 4, FaultKind.BLACKHOLE: 6, FaultKind.LOSS: 3, FaultKind.BURST_LOSS: 2,
    FaultKind.DELAY: 2, FaultKind.JITTER: 1, FaultKind.CORRUPTION: 1, FaultKind.DUPLICATION: 1,
    FaultKind.REORDERING: 1, FaultKind.RATE: 1, FaultKind.FLAPPING: 3,
    FaultKind.SHARED_RISK_CUT: 2, FaultKind.PROVIDER_OUTAGE: 1, FaultKind.SITE_CRASH: 2,
    FaultKind.AGENT_KILL: 3, FaultKind.AGENT_PAUSE: 4, FaultKind.CONTROLLER_PARTITION: 4,
    FaultKind.CLOCK_JUMP: 1, FaultKind.MTU_BLACKHOLE: 1, FaultKind.DRAIN: 4,
    FaultKind.HALF_CONFIG: 2, FaultKind.REKEY_STORM: 1, FaultKind.LAN_DOWN: 3,
}  # fmt: skip
_FEW: Final = (1, 8)
"""So many kinds make up most swarms: where all of them rage, one hides what another does."""

assert set(_WEIGHTS) == set(FaultKind), "every kind there is"


def swarm(dice: Dice, stage: Stage, count: int, *, every: bool = False) -> tuple[FaultSpec, ...]:
    """Draw up to so many faults; those that cannot be over in time are left out.

    Args:
        dice: to throw.
        stage: where.
        count: how many at most.
        every: any kind may come; else most swarms have a few kinds of their own.
    """
    victims = dice.some(stage.network.sites, dice.between(1, 3))
    bag = _bag(dice.apart("kinds"), stage, every=every)
    drawn: list[FaultSpec] = []
    for number in range(1, count + 1):
        apart = dice.apart(f"{number}")
        fault = _fault(apart, f"f{number}", stage, bag, (victims, drawn))
        drawn += [fault] if fault is not None else []
    return tuple(drawn)


def _bag(dice: Dice, stage: Stage, *, every: bool) -> tuple[FaultKind, ...]:
    """Return the kinds that this swarm has, the likely ones more often."""
    kinds = [k for k in FaultKind if stage.network.groups or k is not FaultKind.SHARED_RISK_CUT]
    weighted = tuple(kind for kind in kinds for _ in range(_WEIGHTS[kind]))
    if every or dice.percent(35):
        return weighted
    return tuple(dice.one(weighted) for _ in range(dice.scale(*_FEW)))


def _fault(
    dice: Dice,
    name: str,
    stage: Stage,
    bag: Sequence[FaultKind],
    before: tuple[Sequence[str], Sequence[FaultSpec]],
) -> FaultSpec | None:
    """Draw one; ``before``: the usual victims, and the faults that were drawn earlier."""
    kind, met = dice.one(bag), meeting(dice.apart("meeting"), before[1])
    victims = met.select.sites if met is not None and met.select.sites else before[0]
    select = _selector(dice.apart("where"), kind, stage, victims)
    plan = schedule(dice.apart("when"), stage, kind, met)
    fields = _QUANTITIES.get(kind, _nothing)(dice.apart("what"))
    fault = FaultSpec(name, kind, select, plan, **fields)
    if kind is FaultKind.HALF_CONFIG:
        other = half_applied(dice.apart("policy"), stage.policy, stage.transports)
        fault = replace(fault, policy=other)
    return bounded(fault, stage)


# ---------------------------------------------------------------- where


def _selector(dice: Dice, kind: FaultKind, stage: Stage, victims: Sequence[str]) -> Selector:
    row = kind_of(FaultSpec("", kind, Selector(), Schedule()))
    # Two of three faults hit one of a few sites, so that they meet.
    sites = dice.some(victims if dice.percent(65) else stage.network.sites, dice.between(1, 2))
    if row.target is not Target.LINKS and stage.network.hubs and dice.percent(35):
        sites = dice.some(stage.network.hubs, 1)  # others' traffic goes through it
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
    """Draw which cables: mostly access links, and a carrier's own, which it routes around."""
    if "sites" in selects and dice.percent(65):
        over = dice.percent(80)
        return Selector(sites=sites, transports=_transport(dice, stage, sites) if over else ())
    if "links" in selects and dice.percent(70):
        name = dice.one(stage.transports)
        return Selector(links=(f"{name}:*",), mode="count", amount=dice.between(1, 4))
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
