"""Rows whose evaluation changes nothing: same verdicts, nearly the same metric."""

from typing import Any, Final

import numpy as np

from patronus.engine import health, mos, ranking, verdict
from patronus.engine.mos_table import R_BASE_MILLI
from patronus.engine.overlay import I64
from patronus.engine.units import MS, PPM
from patronus.sim.compiled.jit import compiled

_SRTT, _JITTER, _UPDATED = health.SRTT, health.JITTER, health.UPDATED
_NEXT, _MARK = health.NEXT, health.MARK
_DELAY_MILLI: Final = mos.DELAY
_R_BASE, _R_MAX = R_BASE_MILLI, mos.R_MAX
_ROOT_MAX: Final = 4096
_UNKNOWN_BADNESS_NS: Final = verdict.UNKNOWN_BADNESS_NS
_WORST_NS: Final = _UNKNOWN_BADNESS_NS - 1


@compiled
def isqrt(number: Any) -> Any:
    """Return :func:`arrays.isqrt` of one number."""
    # A float's root of a number below 2^53 is off by less than one: put right.
    root = int(np.sqrt(number))
    while root * root > number:
        root -= 1
    while (root + 1) * (root + 1) <= number:
        root += 1
    return min(root, _ROOT_MAX)


@compiled
def floor_ppm(sent: int, lost: int) -> int:
    """Return :meth:`Health.loss_floor_ppm` of one row."""
    if sent <= 0:
        return -1
    if lost <= 0:
        return 0
    proven = max(lost - isqrt(4 * lost), 0)
    return PPM * proven // sent if proven > 0 else 0


@compiled
def _mos_milli(rtt_ns: int, loss_ppm: int, ie_milli: int, bpl_ppm: int) -> int:
    """Return :func:`mos.mos_milli` of a round trip."""
    if rtt_ns < 0 or loss_ppm < 0:
        return -1
    step = (min(rtt_ns >> 1, len(_DELAY_MILLI) * MS) + (MS - 1)) // MS
    delay = _DELAY_MILLI[min(step, len(_DELAY_MILLI) - 1)]
    equipment = 95_000 - (95_000 - ie_milli) * bpl_ppm // (min(loss_ppm, PPM) + bpl_ppm)
    r = min(max(_R_BASE - delay - equipment, 0), _R_MAX)
    exact = 35 * r * 10**9 + 7 * r * (r - 60_000) * (_R_MAX - r)
    return int(max(1000 + exact // 10**12, 1000))


@compiled
def verdict_of(rtt_ns: int, jitter_ns: int, loss_ppm: int, limits: I64) -> int:
    """Return :func:`verdict.verdict` of one row; a limit of -1 is none."""
    latency, jitter, loss, score, ie_milli, bpl_ppm = limits
    if loss_ppm >= verdict.OUTAGE_PPM:
        return verdict.OUTAGE
    known = rtt_ns >= 0
    broken = False
    if latency >= 0:
        broken |= rtt_ns > latency
    if jitter >= 0:
        known &= jitter_ns >= 0
        broken |= jitter_ns > jitter
    if loss >= 0:
        known &= loss_ppm >= 0
        broken |= loss_ppm > loss
    if score >= 0:
        heard = _mos_milli(rtt_ns, loss_ppm, ie_milli, bpl_ppm)
        known &= heard >= 0
        broken |= 0 <= heard < score
    if broken:
        return verdict.VIOLATING
    return verdict.COMPLIANT if known else verdict.UNKNOWN


@compiled
def whole_of(first: I64, rest: I64, limits: I64) -> int:
    """Return :meth:`Ranking.whole` of one way; figures are (rtt_ns, jitter_ns, loss_ppm)."""
    rtt = jitter = loss = -1
    if first[0] >= 0 and rest[0] >= 0:
        rtt = first[0] + rest[0]
    if first[1] >= 0 and rest[1] >= 0:
        jitter = first[1] + rest[1]
    if first[2] >= 0 and rest[2] >= 0:
        loss = first[2] + rest[2] - first[2] * rest[2] // PPM
    return verdict_of(rtt, jitter, loss, limits)


@compiled
def badness_ns(rtt_ns: int, jitter_ns: int, loss_ppm: int) -> int:
    """Return :func:`verdict.badness_ns` of one row."""
    if rtt_ns < 0 or jitter_ns < 0 or loss_ppm < 0:
        return _UNKNOWN_BADNESS_NS
    weight = verdict.JITTER_WEIGHT * min(jitter_ns, _WORST_NS)
    weight += verdict.LOSS_NS_PER_PPM * min(loss_ppm, PPM)
    return min(min(rtt_ns, _WORST_NS) + weight, _WORST_NS)


@compiled
def smoothed(smooth: Any, now: Any) -> Any:
    """Return the smoothed metric after an evaluation that finds ``now``."""
    if _UNKNOWN_BADNESS_NS in (smooth, now):
        return now
    return smooth + ((now - smooth) >> ranking.GAIN_SHIFT)


@compiled
def moves(smooth: Any, published: Any, margin_ns: int, margin_ppm: int) -> Any:
    """Tell whether the published metric must follow the smoothed one."""
    band = 0
    if margin_ns >= 0:
        band = max(margin_ns, published * margin_ppm // PPM) // 2
    moved = abs(smooth - published) > band
    moved |= (smooth == _UNKNOWN_BADNESS_NS) != (published == _UNKNOWN_BADNESS_NS)
    return moved


@compiled
def judge(rows: I64, now_ns: int, known: Any, terms: Any, told: Any, odd: I64) -> int:
    """Judge rows whose verdicts stay, and whose published metric does.

    As ``Meters.figures`` and ``Ranking.evaluate``; nothing is written for the others.

    Args:
        rows: the rows meant.
        now_ns: the time.
        known: ``engine.meters.Window``.
        terms: ``engine.ranking.Terms``.
        told: ``engine.ranking.Standing``.
        odd: where the places in ``rows`` of all others are put.

    Returns:
        The number of others.
    """
    state, opened, sums, estimate_ppm, stale_ns = known
    limits, margin_ns, margin_ppm = terms
    verdicts, better_runs, metric_now, metric_smooth, metric_published = told
    left = 0
    for place in range(len(rows)):
        row = rows[place]
        rtt = jitter = loss = -1
        if now_ns - state[_UPDATED, row] <= stale_ns:
            sent = sums[0, row] + opened[0, row] + state[_NEXT, row] - state[_MARK, row]
            loss = floor_ppm(sent, sums[1, row] + opened[1, row])
            loss = max(loss, estimate_ppm[row])
            rtt, jitter = state[_SRTT, row], state[_JITTER, row] >> 4
        same = True
        for number in range(len(limits)):
            if better_runs[number, row] > 0 or verdicts[number, row] != verdict_of(
                rtt, jitter, loss, limits[number]
            ):
                same = False
        now = badness_ns(rtt, jitter, loss)
        smooth = smoothed(metric_smooth[row], now)
        if not same or moves(smooth, metric_published[row], margin_ns, margin_ppm):
            odd[left] = place
            left += 1
            continue
        metric_now[row], metric_smooth[row] = now, smooth
    return left
