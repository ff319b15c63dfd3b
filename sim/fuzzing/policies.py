"""Draws policies: timers in a hurry, so that a short run sees holds and windows end."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from patronus.engine.policy import (
    Damping,
    Features,
    LivenessProfile,
    Match,
    Policy,
    SlaClass,
    TrafficClass,
    WhenNone,
)
from patronus.engine.units import MS, SECOND
from patronus.sim.fuzzing.dice import Dice
from patronus.sim.language.policies import profile

CLASSES: Final = ("voice", "video", "rest")
"""In this order, since the last takes what no other does."""

_INTERVALS: Final = (50 * MS, 100 * MS, 100 * MS, 100 * MS, 200 * MS)
_WHEN_NONE: Final = (WhenNone.BEST, WhenNone.BEST, WhenNone.STAY) * 3 + (WhenNone.DROP,)
"""Few drop: where any class does, the check ``hasty`` says nothing."""

_CODE_POINTS: Final = {"voice": 46, "video": 34}


def policy(dice: Dice, transports: Sequence[str]) -> Policy:
    """Draw what an operator may have configured; every combination is allowed."""
    names = CLASSES[-dice.between(1, len(CLASSES)) :]
    hold_ns, doublings = dice.scale(250, 1_500) * MS, dice.one((0, 1, 1, 1, 2))
    classes = [_class(dice.apart(name), name, transports) for name in names]
    if dice.percent(85):
        # It recovers in seconds, the others' alarms take probes by the hundred.
        classes[-1] = _bearing(classes[-1])
    return Policy(
        classes=tuple(classes),
        liveness={name: _liveness(dice.apart(f"liveness {name}")) for name in transports},
        cost={name: dice.between(0, 3) * 10 for name in transports if dice.percent(30)},
        damping=Damping(
            hold_ns=hold_ns,
            hold_max_ns=hold_ns << doublings,
            decay_ns=dice.scale(2, 16) * SECOND,
        ),
        evaluation_ns=dice.one((200, 200, 500)) * MS,
        loss_window=dice.between(3, 8),
        stale_ns=dice.between(2, 4) * SECOND,
        margin_ppm=dice.between(5, 20) * 10_000,
        margin_ns=dice.between(1, 5) * MS,
        kernel_hold_ns=dice.between(1, 8) * SECOND,
        announcement_ns=dice.one((500, 500, 1_000)) * MS,
        features=_features(dice.apart("features")),
    )


def _liveness(dice: Dice) -> LivenessProfile:
    return profile(dice.one(_INTERVALS), dice.between(3, 5))


def _features(dice: Dice) -> Features:
    """Leave nearly everything on: what is switched off is not tested."""
    return Features(
        brownout=not dice.percent(15),
        hysteresis=not dice.percent(10),
        adaptive_multiplier=not dice.percent(20),
        transit=not dice.percent(10),
    )


def _class(dice: Dice, name: str, transports: Sequence[str]) -> TrafficClass:
    """Draw a class."""
    forbid = frozenset(dice.some(transports, 1) if dice.percent(25) else ())
    allowed = [t for t in transports if t not in forbid]
    prefer = dice.some(allowed, dice.between(1, 2)) if dice.percent(70) else ()
    if dice.percent(50):
        prefer = prefer[::-1]
    sla = SlaClass(
        latency_ns=dice.between(150, 600) * MS if dice.percent(40) else None,
        jitter_ns=dice.between(20, 60) * MS if dice.percent(25) else None,
        loss_ppm=dice.between(2, 8) * 10_000 if dice.percent(40) else None,
        prefer=prefer,
        forbid=forbid,
        when_none=dice.one(_WHEN_NONE),
    )
    share = {t: dice.between(1, 3) for t in allowed} if not prefer and dice.percent(40) else {}
    matches = (Match(dscp=frozenset({_CODE_POINTS[name]})),) if name in _CODE_POINTS else ()
    return TrafficClass(name, matches, sla, share)


def _bearing(given: TrafficClass) -> TrafficClass:
    """Return a class without limits."""
    was = given.sla
    sla = SlaClass(prefer=was.prefer, forbid=was.forbid, when_none=was.when_none)
    return replace(given, sla=sla)


def half_applied(dice: Dice, base: Policy, transports: Sequence[str]) -> Policy:
    """Draw another version of a policy, of a kind that the language can write as a change."""
    cost = dict(base.cost) | {name: dice.between(0, 3) * 10 for name in transports}
    number = dice.between(0, len(base.classes) - 1)
    old = base.classes[number]
    sla = replace(
        old.sla,
        latency_ns=dice.between(100, 400) * MS,
        loss_ppm=dice.between(1, 5) * 10_000,
    )
    if not old.share:
        allowed = [t for t in transports if t not in sla.forbid]
        sla = replace(sla, prefer=dice.some(allowed, 1))
    classes = list(base.classes)
    classes[number] = replace(old, sla=sla)
    return replace(base, classes=tuple(classes), cost=cost)
