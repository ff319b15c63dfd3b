"""What a class wants, as numbers: the parts of a grade, and shares by weight.

A grade packs what ranks before the metric, the most significant first: a detour of
a transit site, drained, SLA verdict, place of the announcing site, transit, preferred
transport, cost.
"""

from typing import Final

import numpy as np

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I64, Overlay
from patronus.engine.policy import Policy, SlaClass, WhenNone
from patronus.engine.selection import Bools

DETOUR: Final = 1 << 57
"""A transit site sends through another one only when it has no tunnel of its own: what
came from a tunnel may leave on a direct one alone, and both use the same entry."""
DRAINED: Final = 1 << 56
VERDICT: Final = 1 << 48
PLACE: Final = 1 << 40
TRANSIT: Final = 1 << 36
_PREFERENCE: Final = 1 << 28
COST_MAX: Final = (1 << 28) - 1

_NONE: Final = 1 << 62


class ClassColumns:
    """What one policy says of one class, laid out by transport."""

    def __init__(self, overlay: Overlay, policy: Policy, number: int) -> None:
        wanted, names = policy.classes[number], overlay.transports
        self.number = number
        self.sla: SlaClass = wanted.sla
        self.drops = wanted.sla.when_none is WhenNone.DROP
        self.stays = wanted.sla.when_none is WhenNone.STAY
        self.allowed = np.array([t not in self.sla.forbid for t in names], dtype=np.bool_)
        prefer = self.sla.prefer
        place = [prefer.index(t) if t in prefer else len(prefer) for t in names]
        cost = [min(policy.cost.get(t, 0), COST_MAX) for t in names]
        self.rank: I64 = np.array(place, dtype=np.int64) * _PREFERENCE
        self.rank += np.array(cost, dtype=np.int64)
        self.weights: I64 | None = None
        """Shares by transport; None for a class that does not share."""
        if wanted.share:
            self.weights = np.array([wanted.share.get(t, 0) for t in names], dtype=np.int64)


def drawn_metric(usable: Bools, grade: I64, weights: I64, key: U64) -> I64:
    """Return 0 for one of each pair's best graded candidates and 1 for the others.

    The one is drawn by weight from the pair's key: over many pairs the transports get
    their weights' shares, and a pair stays where it is while its candidates do.

    Args:
        usable: shape (pairs, columns), as ``grade`` and ``weights``.
        grade: lower is better.
        weights: 0 or more.
        key: of each pair.
    """
    best = np.where(usable, grade, _NONE).min(axis=1, keepdims=True, initial=_NONE)
    weight = np.where(usable & (grade == best), weights, 0)
    until = np.cumsum(weight, axis=1)
    total = until[:, -1].astype(np.uint64)
    ticket = (key % np.maximum(total, np.uint64(1))).astype(np.int64)[:, None]
    chosen = (until > ticket) & (until - weight <= ticket)
    return np.where(chosen, 0, 1).astype(np.int64)
