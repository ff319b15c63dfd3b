"""When faults of a swarm happen: near the engine's own times, and near each other.

Two faults that have nothing to do with each other rarely show more than one does. So half
of them begin while another one lasts, or shortly after it, and then mostly at the same
site. Every occurrence is over when the storm is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND
from patronus.sim.faults.schedules import happenings
from patronus.sim.fuzzing.dice import Dice
from patronus.sim.fuzzing.networks import Drawn
from patronus.sim.scenario import FaultKind, FaultSpec, Schedule

_BEGIN_NS: Final = SECOND
"""The first second is calm, so that every tunnel has been seen healthy."""

_SILENCING: Final = (FaultKind.CONTROLLER_PARTITION, FaultKind.AGENT_KILL, FaultKind.AGENT_PAUSE)
"""What a site tells the others is missed only after their patience."""


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


def meeting(dice: Dice, before: Sequence[FaultSpec]) -> FaultSpec | None:
    """Return the fault that the next one is to meet, None if it comes by itself."""
    return dice.one(before) if before and dice.percent(50) else None


def schedule(dice: Dice, stage: Stage, kind: FaultKind, met: FaultSpec | None) -> Schedule:
    """Draw when a fault of a kind happens, and how often."""
    at_ns = _begin(dice.apart("begin"), stage, met)
    if dice.percent(50):
        at_ns += dice.between(0, MS)  # off every grid
    for_ns = _length(dice, stage, kind)
    if kind is FaultKind.FLAPPING:
        for_ns *= 4
    if dice.percent(60):
        return Schedule(at_ns, for_ns)
    gap_ns, times = _length(dice, stage, kind), dice.between(2, 5)
    if dice.percent(50):
        return Schedule(at_ns, for_ns, every_ns=for_ns + gap_ns, times=times)
    return Schedule(at_ns, for_ns, random_mean_ns=gap_ns, times=times)


def _begin(dice: Dice, stage: Stage, met: FaultSpec | None) -> int:
    """Draw when: at any time, or during the first occurrence of another fault or after it."""
    most_ns = stage.until_ns - 10 * MS
    if met is None:
        return _BEGIN_NS + dice.between(0, (most_ns - _BEGIN_NS) // MS) * MS
    start_ns, for_ns = met.schedule.at_ns // MS * MS, met.schedule.for_ns
    if dice.percent(50):
        at_ns = start_ns + dice.between(0, max(1, for_ns // MS)) * MS
    else:
        # Within the hold of what comes back, or at the turn of an evaluation.
        soon_ns = max(stage.policy.damping.hold_ns, stage.policy.evaluation_ns)
        at_ns = start_ns + for_ns // MS * MS + dice.between(-1, 2 * soon_ns // MS) * MS
    return max(_BEGIN_NS, min(at_ns, most_ns))


def _length(dice: Dice, stage: Stage, kind: FaultKind) -> int:
    """Draw a duration: near one of the policy's own, or any."""
    policy = stage.policy
    reroute_ns = dice.one(stage.network.transports).reroute_ns
    own: tuple[int, ...] = (
        policy.profile(dice.one(stage.transports)).detect_ns,
        policy.evaluation_ns,
        policy.damping.hold_ns,
        policy.announcement_ns,
        policy.patience_ns,
        reroute_ns + 2 * policy.damping.hold_ns,  # the detour is in use
    )
    if kind in _SILENCING and dice.percent(50):
        own = (policy.patience_ns + 2 * policy.evaluation_ns,) * len(own)
    if dice.percent(60):
        return max(MS, dice.one(own) * dice.one((1, 1, 2, 3)) + dice.between(-60, 120) * MS)
    return dice.scale(30, 8_000) * MS


def bounded(fault: FaultSpec, stage: Stage) -> FaultSpec | None:
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
