"""SLA verdicts, and one number that says how bad a tunnel is.

A verdict compares figures with the limits of a class. One broken limit is enough to
violate; complying takes every figure that a limit asks for. What is not known is
neither: missing or stale data is never a good value, and never a bad one either.

    COMPLIANT < UNKNOWN < VIOLATING < OUTAGE        a greater code never ranks better

Both functions never improve when a figure gets worse.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.mos import CODEC_INDEX, mos_milli
from patronus.engine.overlay import I64
from patronus.engine.policy import SlaClass
from patronus.engine.units import PPM

I8 = npt.NDArray[np.int8]

COMPLIANT: Final = 0
UNKNOWN: Final = 1
VIOLATING: Final = 2
OUTAGE: Final = 3

OUTAGE_PPM: Final = PPM // 2
"""Where half or more is lost there is an outage. No class complies with that, not even
one without limits: it would stay on a preferred path for ever. And a class whose limits
every path breaks still leaves such a path for one that delivers."""

JITTER_WEIGHT: Final = 4
"""Delay variation counts as often as in the timer of RFC 6298 section 2 (K = 4)."""

LOSS_NS_PER_PPM: Final = 10_000
"""1 % of loss weighs as 100 ms of round trip. (In the E-model it costs a call with loss
concealment as much as 150 ms one way, without concealment far more.)"""

UNKNOWN_BADNESS_NS: Final = 2**42
"""Badness of a tunnel of which something is unknown: worse than any measured one. It is
73 minutes; a path of a thousand such tunnels stays below 2^53."""


class Figures(NamedTuple):
    """What is known of some rows, -1 where nothing is (or where it is stale)."""

    rtt_ns: I64
    jitter_ns: I64
    loss_ppm: I64


def verdict(figures: Figures, sla: SlaClass) -> I8:
    """Return ``COMPLIANT``, ``UNKNOWN``, ``VIOLATING`` or ``OUTAGE`` for each row.

    The mean opinion score is that of half the round trip each way. A class without
    limits still asks for a round trip (of a silent row nothing can be said), and no class
    bears ``OUTAGE_PPM``.
    """
    known = figures.rtt_ns >= 0
    broken = np.zeros(len(known), dtype=np.bool_)
    for figure, limit in (
        (figures.rtt_ns, sla.latency_ns),
        (figures.jitter_ns, sla.jitter_ns),
        (figures.loss_ppm, sla.loss_ppm),
    ):
        if limit is not None:
            known &= figure >= 0
            broken |= figure > limit
    if sla.mos_milli is not None:
        mos = mos_milli(figures.rtt_ns >> 1, figures.loss_ppm, CODEC_INDEX[sla.codec])
        known &= mos >= 0
        broken |= (mos >= 0) & (mos < sla.mos_milli)
    codes = np.where(known, np.int8(COMPLIANT), np.int8(UNKNOWN))
    codes[broken] = VIOLATING
    codes[figures.loss_ppm >= OUTAGE_PPM] = OUTAGE
    return codes


def badness_ns(figures: Figures) -> I64:
    """Return one number for ranking among equal verdicts and preferences; lower is better.

    It is the round trip plus what jitter and loss weigh, saturating just below
    ``UNKNOWN_BADNESS_NS``, which it is where any of the three is unknown.
    """
    worst = UNKNOWN_BADNESS_NS - 1
    rtt_ns, jitter_ns = np.minimum(figures.rtt_ns, worst), np.minimum(figures.jitter_ns, worst)
    loss_ppm = np.minimum(figures.loss_ppm, PPM)
    sum_ns = rtt_ns + JITTER_WEIGHT * jitter_ns + LOSS_NS_PER_PPM * loss_ppm
    known = (rtt_ns >= 0) & (jitter_ns >= 0) & (loss_ppm >= 0)
    return np.where(known, np.minimum(sum_ns, worst), UNKNOWN_BADNESS_NS)
