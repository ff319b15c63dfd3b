"""What a class wants, as numbers: the parts of a grade.

A grade packs what ranks before the metric, the most significant first: a detour of
a transit site, drained, SLA verdict, place of the announcing site, transit, preferred
transport, cost, share. Among candidates that break the SLA only how bad they are
counts, so theirs ends with the verdict.
"""

from typing import Final

import numpy as np

from patronus.engine.liveness import I8
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy, SlaClass, WhenNone
from patronus.engine.selection import LAST_RESORT, Bools
from patronus.engine.verdict import VIOLATING

DRAINED: Final = LAST_RESORT
DETOUR: Final = DRAINED << 1
"""A transit site sends through another one only when it has no tunnel of its own: what
came from a tunnel may leave on a direct one alone, and both use the same entry."""
VERDICT: Final = 1 << 56
PLACE: Final = 1 << 46
TRANSIT: Final = 1 << 45
_PREFERENCE: Final = 1 << 30
_COST: Final = 1 << 1
NOT_DRAWN: Final = 1
"""The class shares, and the pair's share is on another transport."""

PLACES_MAX: Final = VERDICT // PLACE - 1
TRANSPORTS_MAX: Final = TRANSIT // _PREFERENCE - 1
COST_MAX: Final = _PREFERENCE // _COST - 1


def check_limits(overlay: Overlay) -> None:
    """Refuse an overlay whose candidates do not fit into a grade.

    Raises:
        ValueError: too many transports, or sites of one destination.
    """
    places = max((len(d.sites) for d in overlay.destinations), default=0)
    if len(overlay.transports) > TRANSPORTS_MAX or places > PLACES_MAX:
        raise ValueError(
            f"at most {TRANSPORTS_MAX} transports and {PLACES_MAX} sites of one destination"
        )


class ClassColumns:
    """What one policy says of one class, laid out by transport."""

    def __init__(self, overlay: Overlay, policy: Policy, number: int) -> None:
        wanted, names = policy.classes[number], overlay.transports
        self.number = number
        self.policy = policy
        self.sla: SlaClass = wanted.sla
        self.drops = wanted.sla.when_none is WhenNone.DROP
        self.stays = wanted.sla.when_none is WhenNone.STAY
        self.allowed = np.array([t not in self.sla.forbid for t in names], dtype=np.bool_)
        prefer = {name: place for place, name in reversed([*enumerate(self.sla.prefer)])}
        liked = [prefer.get(t, TRANSPORTS_MAX) for t in names]
        cost = [min(policy.cost.get(t, 0), COST_MAX) for t in names]
        self.rank: I64 = np.array(liked, dtype=np.int64) * _PREFERENCE
        self.rank += np.array(cost, dtype=np.int64) * _COST
        self.weights: I64 | None = None
        """Shares by transport; None for a class that does not share."""
        if wanted.share:
            self.weights = np.array([wanted.share.get(t, 0) for t in names], dtype=np.int64)


def grades(
    columns: ClassColumns, *, tier: I8, lane: I32, place: I64, through: Bools, drained: Bools
) -> I64:
    """Return the grade of each candidate but for detours and shares; lower is better.

    Args:
        columns: of the class.
        tier: verdicts.
        lane: transports.
        place: of the announcing site in the order of its destination.
        through: the candidate leads through a transit site.
        drained: its tunnel is drained.
    """
    liked = columns.rank[lane] + place * PLACE + through * np.int64(TRANSIT)
    graded: I64 = tier * np.int64(VERDICT) + drained * np.int64(DRAINED)
    return graded + np.where(tier < VIOLATING, liked, 0)
