"""How the flows of one entry are spread over its candidates: shares of a router's kernel.

The engine draws one transport for each pair of site and destination (:mod:`sharing`). A kernel
that knows flows spreads those of one pair as well: among the primary and the backups that are
as good as it in all that ranks before the metric, by the weights of their transports.
"""

from typing import Final

import numpy as np

from patronus.engine.forwarding import CANDIDATES, NO_ROW
from patronus.engine.overlay import I64
from patronus.engine.policy import Policy
from patronus.engine.preference import NOT_DRAWN, ClassColumns
from patronus.engine.selection import Bools
from patronus.engine.steering import Steering
from patronus.engine.units import NEVER
from patronus.engine.verdict import VIOLATING

PARTS: Final = 16
"""Shares are counted in sixteenths, as the kernel keeps them."""


def flow_shares(steering: Steering, site: int, policy: Policy) -> tuple[I64, I64]:
    """Return the entries of a site's classes that share, and the shares of their backups.

    Returns:
        Entries ascending; sixteenths of the flows for the first and second backup, shape (n, 2).
    """
    sharing = [n for n, c in enumerate(policy.classes) if c.share]
    found = [_of_class(steering, site, policy, number) for number in sharing]
    entries = np.concatenate([np.zeros(0, dtype=np.int64), *(e for e, _ in found)])
    shares = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(s for _, s in found)])
    order = np.argsort(entries)
    return entries[order], shares[order]


def _of_class(steering: Steering, site: int, policy: Policy, number: int) -> tuple[I64, I64]:
    overlay, space = steering.overlay, steering.space
    destinations: I64 = np.arange(space.destinations, dtype=np.int64)
    entries = (site * space.destinations + destinations) * space.classes + number
    if not overlay.rows:
        return entries, np.zeros((len(entries), CANDIDATES - 1), dtype=np.int64)
    held = steering.wanted.rows[entries].T
    columns = ClassColumns(overlay, policy, number)
    pairs = steering.prospects.pairs(np.full_like(destinations, site), destinations, policy)
    field, tier = steering.prospects.field(columns, pairs, held[0])
    grade = np.where(field.usable & (tier < VIOLATING), field.grade | NOT_DRAWN, NEVER)
    as_held = [_grade_of(field.rows == row, grade, row != NO_ROW) for row in held]
    equal = np.stack([(each == as_held[0]) & (each != NEVER) for each in as_held])
    assert columns.weights is not None, "asked of classes that share"
    return entries, sixteenths(np.where(equal, columns.weights[overlay.transport[held]], 0))


def _grade_of(here: Bools, grade: I64, known: Bools) -> I64:
    """Return the grade of the column that holds a row, ``NEVER`` where none does."""
    least: I64 = np.where(here & known, grade, NEVER).min(axis=0, initial=NEVER)
    return least


def sixteenths(weights: I64) -> I64:
    """Return what part of the flows each backup gets, rounded to sixteenths.

    Args:
        weights: of primary and backups, 0 for one that takes no part; shape (3, n).

    Returns:
        Shape (n, 2). Together they are at most 15: a part of the flows stays with the primary.
    """
    total = np.maximum(weights.sum(axis=0), 1)
    upto = (PARTS * 2 * np.cumsum(weights[1:], axis=0) + total) // (2 * total)
    upto = np.minimum(upto, PARTS - 1)
    shares: I64 = np.diff(upto, axis=0, prepend=0).T
    return shares
