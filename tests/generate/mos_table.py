"""Write ``engine/mos_table.py``: the curves of the E-model that need logarithms.

ITU-T G.107 (06/2015) clauses 7.2 to 7.4 with the default values of its Table 2, for a
connection whose delay is the same both ways (T = Ta, Tr = 2 T). What is left of the model
(packet loss, R to MOS) is rational, so the engine computes it exactly and needs no table.

Run it from the root of the repository: ``python -m tests.generate.mos_table``.
"""

from itertools import accumulate
from math import exp, log2, log10, sqrt
from pathlib import Path
from textwrap import fill

TARGET = Path(__file__).parents[2] / "engine" / "mos_table.py"

DELAY_MS_MAX = 2000
"""The curve is flat enough there: the last second costs less than 6 of 100 points."""

# Default values, named as in Table 2 of the Recommendation.
SLR, RLR, STMR, LSTR = 8.0, 2.0, 15.0, 18.0
DS, DR, TELR, WEPL = 3.0, 3.0, 65.0, 110.0
NC, NFOR, PS, PR = -70.0, -64.0, 35.0, 35.0
QDU, MT_MS, ST = 1.0, 100.0, 1.0
OLR = SLR + RLR


def noise() -> float:
    """Return No, the sum of all noise in dBm0p (7-3 to 7-7)."""
    nos = PS - SLR - DS - 100 + 0.004 * (PS - OLR - DS - 14) ** 2
    pre = PR + 10 * log10(1 + 10 ** ((10 - LSTR) / 10))
    nor = RLR - 121 + pre + 0.008 * (pre - 35) ** 2
    return 10 * log10(sum(10 ** (n / 10) for n in (NC, nos, nor, NFOR + RLR)))


def basic_ratio() -> float:
    """Return Ro, the basic signal-to-noise ratio (7-2)."""
    return 15 - 1.5 * (SLR + noise())


def simultaneous(ro: float) -> float:
    """Return Is, impairments that occur together with speech (7-8 to 7-17)."""
    xolr = OLR + 0.2 * (64 + noise() - RLR)
    iolr = 20 * ((1 + (xolr / 8) ** 8) ** (1 / 8) - xolr / 8)
    stmro = -10 * log10(10 ** (-STMR / 10) + exp(-0 / 4) * 10 ** (-TELR / 10))
    ist = (
        12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8)
        - 28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35)
        - 13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13)
        + 29
    )
    q = 37 - 15 * log10(QDU)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (ro - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    iq = 15 * log10(1 + 10**y + 10**z)
    together: float = iolr + ist + iq
    return together


def talker_echo(t: float) -> float:
    """Return Idte for a one-way delay of ``t`` ms (7-20 to 7-23); none below 1 ms."""
    if t < 1:
        return 0.0
    roe = -1.5 * (noise() - RLR)
    terv = TELR - 40 * log10((1 + t / 10) / (1 + t / 150)) + 6 * exp(-0.3 * t**2)
    half = (roe - 80 - 2.5 * (terv - 14)) / 2
    return (half + sqrt(half**2 + 100) - 1) * (1 - exp(-t))


def listener_echo(t: float, ro: float) -> float:
    """Return Idle for a one-way delay of ``t`` ms (7-24 to 7-25)."""
    half: float = (ro - 10.5 * (WEPL + 7) * (2 * t + 1) ** -0.25) / 2
    return half + sqrt(half**2 + 169)


def long_delay(t: float) -> float:
    """Return Idd for a one-way delay of ``t`` ms (7-27 and 7-28)."""
    if t <= MT_MS:
        return 0.0
    x, n = log2(t / MT_MS), 6 * ST
    idd: float = 25 * ((1 + x**n) ** (1 / n) - 3 * (1 + (x / 3) ** n) ** (1 / n) + 2)
    return idd


def impairments() -> list[float]:
    """Return Id for each ms of one-way delay."""
    ro = basic_ratio()
    curve = (talker_echo(t) + listener_echo(t, ro) + long_delay(t) for t in range(DELAY_MS_MAX + 1))
    # Listener echo falls by 0.06 from 0 to 1 ms; more delay must never rate better.
    return list(accumulate(curve, max))


def module() -> str:
    """Return the text of ``engine/mos_table.py``."""
    ro = basic_ratio()
    entries = ", ".join(str(round(1000 * value)) for value in impairments()) + ","
    return "\n".join(
        [
            '"""Curves of ITU-T G.107; written by ``python -m tests.generate.mos_table``."""',
            "",
            "from typing import Final",
            "",
            f"R_BASE_MILLI: Final = {round(1000 * (ro - simultaneous(ro)))}",
            '"""Ro - Is: the rating before delay and equipment, times 1000."""',
            "",
            "# fmt: off",
            "DELAY_MILLI: Final = (",
            fill(entries, 100, initial_indent="    ", subsequent_indent="    "),
            ")",
            '"""Id, the delay impairment times 1000, by ms of one-way delay."""',
            "",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(module())
