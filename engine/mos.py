"""Speech quality: the E-model of ITU-T G.107, from delay and loss to a mean opinion score.

    R = R_BASE - Id(delay) - Ie-eff(codec, loss)          G.107 (06/2015) 7-1
    Ie-eff = 95 - (95 - Ie) * Bpl / (Bpl + loss)        7-29, rewritten for independent loss
    MOS = 1 + 0.035 R + R (R - 60) (100 - R) 7e-6         Annex B

Only the delay curve needs logarithms and comes from a table (``mos_table.py``); the
rest is rational and computed exactly, rounded down. The score never rises with delay
or loss. A delay or loss that is unknown (negative) has an unknown score, -1.
"""

from typing import Final, NamedTuple

import numpy as np

from patronus.engine.mos_table import DELAY_MILLI, R_BASE_MILLI
from patronus.engine.overlay import I64
from patronus.engine.units import MS, PPM


class Codec(NamedTuple):
    """How a codec sounds and how well it hides loss."""

    name: str
    ie_milli: int
    """Equipment impairment Ie, times 1000."""
    bpl_ppm: int
    """Packet-loss robustness Bpl (given in per cent), as parts per million."""


CODECS: Final = (
    # ITU-T G.113 (11/2007) Appendix I, tables of Ie and Bpl.
    Codec("g711", 0, 251_000),  # with the packet loss concealment of its Appendix I
    Codec("g711-noplc", 0, 43_000),
    Codec("g729", 11_000, 190_000),  # G.729A with voice activity detection
    Codec("g723.1", 15_000, 161_000),  # 6.3 kbit/s with voice activity detection
    Codec("gsm-efr", 5_000, 100_000),
    # Assumption: the ITU has no narrowband figures for Opus. It is taken to be clean and to
    # conceal loss as G.711 does; its forward error correction would do better.
    Codec("opus", 0, 251_000),
)
"""Narrowband scale. G.722 is left out: wideband scores (G.107.1) do not compare with these."""

CODEC_INDEX: Final = {codec.name: index for index, codec in enumerate(CODECS)}
"""What ``SlaClass.codec`` may name, and its number here."""

UNKNOWN_MOS: Final = -1

DELAY: Final = np.array(DELAY_MILLI, dtype=np.int64)
R_MAX: Final = 100_000
_TRILLION: Final = 10**12


def mos_milli(delay_ns: I64, loss_ppm: I64, codec: int) -> I64:
    """Return MOS times 1000, 1000 to 4500, or ``UNKNOWN_MOS``.

    Args:
        delay_ns: one-way delay, negative where unknown.
        loss_ppm: share of packets lost, negative where unknown.
        codec: index into :data:`CODECS`.

    Raises:
        IndexError: no such codec.
    """
    rating = R_BASE_MILLI - _delay_milli(delay_ns) - _equipment_milli(loss_ppm, CODECS[codec])
    known = (delay_ns >= 0) & (loss_ppm >= 0)
    return np.where(known, _score(rating), UNKNOWN_MOS)


def _delay_milli(delay_ns: I64) -> I64:
    # Parts of a millisecond count as a whole one; beyond the table the curve is flat.
    step = (_within(delay_ns, len(DELAY) * MS) + (MS - 1)) // MS
    return DELAY[np.minimum(step, len(DELAY) - 1)]


def _equipment_milli(loss_ppm: I64, codec: Codec) -> I64:
    loss = _within(loss_ppm, PPM)
    robust: I64 = (95_000 - codec.ie_milli) * codec.bpl_ppm // (loss + codec.bpl_ppm)
    return 95_000 - robust


def _score(rating: I64) -> I64:
    r = _within(rating, R_MAX)
    # Both terms over 10^12 at once, so that rounding cannot make a better R score worse.
    exact = 35 * r * 10**9 + 7 * r * (r - 60_000) * (R_MAX - r)
    # Below R = 6.5 the cubic dips under 1; Annex B ends the scale there.
    score: I64 = np.maximum(1000 + exact // _TRILLION, 1000)
    return score


def _within(values: I64, most: int) -> I64:
    """Return values put between 0 and a limit: ``numpy.clip`` at a third of its cost for few."""
    return np.minimum(np.maximum(values, 0), most)
