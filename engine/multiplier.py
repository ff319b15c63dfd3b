"""The adaptive detect multiplier: enough silent intervals that loss is not taken for death.

A tunnel goes down falsely when ``m`` probes in a row are lost. With loss ``p`` and a
mean burst of ``b`` probes the next probe after a lost one is lost with probability
``q = max(p, 1 - 1/b)`` (two-state Gilbert model; independent loss is ``q = p``), so

    false downs <= probes * p * q^(m - 1)

over any time (each position that can end such a run counted: the union bound). The
multiplier is the smallest at or above the configured one for which this is at most one
in 30 days a tunnel, at most ``MULTIPLIER_CEILING``. Example: 1 % independent loss, ×3 at
10 ms: 60,000 probes in ten minutes over 1000 tunnels give 10^-6 * 6e4 * 1000 = 60.

Arithmetic is exact to a millionth of an event and rounds up, so the figure never
promises less than the formula; it never falls when loss, burst or rate rise.
"""

from typing import Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.policy import MULTIPLIER_CEILING
from patronus.engine.units import MINUTE, PPM, US

MONTH_NS: Final = 30 * 24 * 60 * MINUTE

INTERVAL_NS_MIN: Final = 1000 * US
"""Shorter probe intervals are refused; this also keeps every product within 63 bits."""

BURST_MILLI_ONE: Final = 1000
"""Mean burst length of independent loss, in thousandths of a probe."""

_ONE_MICRO: Final = 1_000_000


def adapt(configured: I64, *, interval_ns: I64, loss_ppm: I64, burst_milli: I64) -> I64:
    """Return the detect multiplier of each row.

    Args:
        configured: multiplier of the liveness profile.
        interval_ns: between two probes.
        loss_ppm: measured share of lost probes, negative where unknown.
        burst_milli: measured mean length of a loss burst in thousandths of a probe,
            ``BURST_MILLI_ONE`` for independent loss.

    Returns:
        Multipliers; the configured one where loss is unknown or within the bound, and
        where it is above the ceiling already.
    """
    micro, again = _single(interval_ns, loss_ppm, burst_milli, MONTH_NS)
    needed = np.ones(len(micro), dtype=np.int64)
    for _ in range(2, MULTIPLIER_CEILING + 1):
        above = micro > _ONE_MICRO
        if not above.any():
            break
        # Predictions fall with m, so the number of those above the bound is the answer.
        needed += above
        micro = _one_more(micro, again)
    return np.maximum(configured, needed)


def false_downs_micro(
    multiplier: int, *, interval_ns: I64, loss_ppm: I64, burst_milli: I64, over_ns: int = MONTH_NS
) -> I64:
    """Return the predicted false downs of each row, in millionths; -1 where loss is unknown.

    Args:
        multiplier: lost probes in a row that make a down, at least 1.
        interval_ns: between two probes.
        loss_ppm: as in :func:`adapt`.
        burst_milli: as in :func:`adapt`.
        over_ns: over this time, at most ``MONTH_NS``.
    """
    micro, again = _single(interval_ns, loss_ppm, burst_milli, over_ns)
    for _ in range(multiplier - 1):
        micro = _one_more(micro, again)
    return np.where(loss_ppm < 0, -1, micro)


def _single(interval_ns: I64, loss_ppm: I64, burst_milli: I64, over_ns: int) -> tuple[I64, I64]:
    """Return the prediction for a multiplier of 1, in millionths, and q in ppm."""
    if (interval_ns < INTERVAL_NS_MIN).any() or not 0 <= over_ns <= MONTH_NS:
        raise ValueError("needs probe intervals of at least 1 ms and at most 30 days")
    loss = np.clip(loss_ppm, 0, PPM)  # an unknown one asks for nothing
    again = PPM - PPM * BURST_MILLI_ONE // np.maximum(burst_milli, BURST_MILLI_ONE)
    probes = -(-over_ns // interval_ns)
    # At most 2.6e9 * 1e6, and it only falls from here.
    return probes * loss, np.maximum(again, loss)


def _one_more(micro: I64, again: I64) -> I64:
    """Multiply by q, rounding up. In two parts, since the product of both has 73 bits."""
    whole = micro // PPM
    rest = micro - whole * PPM
    return whole * again + (rest * again + PPM - 1) // PPM
