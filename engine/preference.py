"""What a class wants, as numbers: the parts of a grade.

A grade packs what ranks before the metric, the most significant first: a detour of
a transit site, drained, SLA verdict, place of the announcing site, transit, preferred
transport and cost, share. Among candidates that break the SLA only how bad they are
counts, so theirs ends with the verdict. It has ``GRADE_BITS``, so that a grade and a
metric fit into one integer together.
"""

from typing import Final

import numpy as np

from patronus.engine.liveness import I8
from patronus.engine.overlay import I64, Overlay
from patronus.engine.policy import Policy, SlaClass, WhenNone
from patronus.engine.selection import GRADE_BITS, LAST_RESORT, Bools
from patronus.engine.verdict import OUTAGE, VIOLATING

DRAINED: Final = LAST_RESORT
DETOUR: Final = DRAINED << 1
"""A transit site sends through another one only when it has no tunnel of its own: what
came from a tunnel may leave on a direct one alone, and both use the same entry."""
VERDICT: Final = 1 << 16
PLACE: Final = 1 << 7
TRANSIT: Final = 1 << 6
_RANK: Final = 1 << 1
NOT_DRAWN: Final = 1
"""The class shares, and the pair's share is on another transport."""

PLACES_MAX: Final = VERDICT // PLACE
TRANSPORTS_MAX: Final = TRANSIT // _RANK

assert DETOUR << 1 == 1 << GRADE_BITS, "a grade has no bit more"


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
        self.forbidden: Bools = np.array([t in self.sla.forbid for t in names], dtype=np.bool_)
        self.lanes = len(names)
        self.graded: I64 = _by_tier(_ranks(policy, self.sla, names) * _RANK)
        """Verdict and rank as parts of a grade, by (verdict, transport), flat."""
        self.weights: I64 | None = None
        """Shares by transport; None for a class that does not share."""
        if wanted.share:
            self.weights = np.array([wanted.share.get(t, 0) for t in names], dtype=np.int64)

    def grades(self, tier: I8, lane: I64) -> I64:
        """Return verdict and rank of candidates as parts of their grades.

        Args:
            tier: verdicts.
            lane: transports, of the same shape.
        """
        place = np.multiply(tier, self.lanes, dtype=np.int64)
        place += lane
        # A column without a row reads the verdict of some other row, whatever that is.
        graded: I64 = np.take(self.graded, place, mode="clip")
        return graded


def _ranks(policy: Policy, sla: SlaClass, names: tuple[str, ...]) -> I64:
    """Rank transports by preference, then by cost; equals are equal."""
    liked = {name: place for place, name in reversed([*enumerate(sla.prefer)])}
    wish = [(liked.get(t, len(names)), policy.cost.get(t, 0)) for t in names]
    order = sorted(set(wish))
    return np.array([order.index(w) for w in wish], dtype=np.int64)


def _by_tier(rank: I64) -> I64:
    """Lay out verdict and rank by (verdict, transport), flat."""
    verdict = np.arange(OUTAGE + 1, dtype=np.int64)[:, None]
    grade: I64 = verdict * VERDICT + np.where(verdict < VIOLATING, rank, 0)
    return grade.ravel()
