"""The E-model for one call, in floats and straight from the formulas of ITU-T G.107.

Defaults of Table 2 are put in as numbers: Ro = 94.7688, Is = 1.4136, No - RLR = -63.1792.
"""

from math import exp, hypot, log2, log10


def rating(delay_ms: float, loss_percent: float, ie: float, bpl: float) -> float:
    """Return R."""
    return (
        94.7688 - 1.4136 - _delay(delay_ms) - ie - (95 - ie) * loss_percent / (loss_percent + bpl)
    )


def _delay(t: float) -> float:
    far_echo = 65 - 40 * log10((t + 10) * 15 / (t + 150)) + 6 * exp(-0.3 * t * t)
    a = (94.7688 - (80 + 2.5 * (far_echo - 14))) / 2
    talker = (a + hypot(a, 10) - 1) * (1 - exp(-t)) if t >= 1 else 0.0
    b: float = (94.7688 - 1228.5 / (2 * t + 1) ** 0.25) / 2
    x = max(log2(t / 100), 0.0) if t else 0.0
    late = 25 * (_sixth(x) - 3 * _sixth(x / 3) + 2)
    return talker + b + hypot(b, 13) + late


def _sixth(x: float) -> float:
    root: float = (1 + x**6) ** (1 / 6)
    return root


def score(r: float) -> float:
    """Return MOS (Annex B)."""
    if r <= 6.5:
        return 1.0
    if r >= 100:
        return 4.5
    return 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r)
