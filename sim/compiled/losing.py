"""The loss test of one row that is not alarmed, and the detect time that follows its habit.

The state of a test is copied to a *trial*, so that a row's future can be looked at without
touching it: three numbers for each suspicion, then five of what is usual.
"""

from typing import Any, Final

import numpy as np

from patronus.engine import brownout_table, lossshift
from patronus.engine.brownout_table import ALARM
from patronus.engine.multiplier import BURST_MILLI_ONE, MONTH_NS
from patronus.engine.overlay import I64
from patronus.engine.policy import MULTIPLIER_CEILING
from patronus.engine.units import PPM
from patronus.sim.compiled.jit import compiled
from patronus.sim.compiled.judging import isqrt

_TAKEN: Final = np.array(brownout_table.TAKEN, dtype=np.int64)
_ADDED: Final = np.array(brownout_table.ADDED, dtype=np.int64)
_BASE: Final = np.array(brownout_table.BASE_PPM, dtype=np.int64)
_COUNT_MAX: Final = 2**30
_KINDS: Final = len(brownout_table.TAKEN)

TRIAL: Final = 3 * _KINDS + 5
"""Numbers of a trial."""
_LEVEL, _USUAL_SENT, _USUAL_LOST, _SENT, _LOST = range(3 * _KINDS, TRIAL)


@compiled
def begin_trial(row: Any, epochs: Any, trial: I64) -> None:
    """Copy the test of a row; ``epochs`` are ``engine.lossshift.Epochs``."""
    _, level, usual, epoch, score, since = epochs
    for kind in range(_KINDS):
        trial[3 * kind] = score[kind, row]
        trial[3 * kind + 1] = since[kind, 0, row]
        trial[3 * kind + 2] = since[kind, 1, row]
    trial[_LEVEL] = level[row]
    trial[_USUAL_SENT], trial[_USUAL_LOST] = usual[0, row], usual[1, row]
    trial[_SENT], trial[_LOST] = epoch[0, row], epoch[1, row]


@compiled
def keep_trial(row: Any, epochs: Any, trial: I64) -> None:
    """Let a row have what its trial has come to."""
    _, level, usual, epoch, score, since = epochs
    for kind in range(_KINDS):
        score[kind, row] = trial[3 * kind]
        since[kind, 0, row] = trial[3 * kind + 1]
        since[kind, 1, row] = trial[3 * kind + 2]
    level[row] = trial[_LEVEL]
    usual[0, row], usual[1, row] = trial[_USUAL_SENT], trial[_USUAL_LOST]
    epoch[0, row], epoch[1, row] = trial[_SENT], trial[_LOST]


@compiled
def _level_of(sent: int, lost: int) -> Any:
    """Return :func:`lossshift._level_of` of one row."""
    ppm = -(-PPM * (lost + isqrt(lost) + 1) // sent)
    return min(np.searchsorted(_BASE, ppm), len(_BASE) - 1)


@compiled
def try_packets(trial: I64, good: Any, sent: Any, lost: Any, patience: Any) -> Any:
    """Take packets as :meth:`LossShift._watch` does; return packets to the next look, 0: alarm.

    Args:
        trial: of the row, moved.
        good: packets that arrived one after the other since the last look.
        sent: packets after those.
        lost: how many of these got lost.
        patience: how often the threshold of the row was doubled.
    """
    limit, highest, level = ALARM << patience, 0, trial[_LEVEL]
    for kind in range(_KINDS):
        at = 3 * kind
        taken, added = _TAKEN[kind, level], _ADDED[kind, level]
        score = max(trial[at] - taken * good, 0)
        counted = min(trial[at + 1] + good, _COUNT_MAX) if score > 0 else 0
        missed = trial[at + 2] if score > 0 else 0
        score = max(score + added * lost - taken * sent, 0)
        trial[at + 1] = min(counted + sent, _COUNT_MAX) if score > 0 else 0
        trial[at + 2] = min(missed + lost, _COUNT_MAX) if score > 0 else 0
        trial[at] = min(score, limit)
        highest = max(highest, trial[at])
    if highest == limit:
        return 0
    trial[_SENT] += good + sent
    trial[_LOST] += lost
    if trial[_SENT] < lossshift.EPOCH:
        return lossshift.EPOCH - trial[_SENT]
    if highest < limit >> 1:
        sent = trial[_USUAL_SENT] + trial[_SENT]
        lost = trial[_USUAL_LOST] + trial[_LOST]
        if sent >= lossshift.MEMORY:
            sent, lost = sent >> 1, lost >> 1
        trial[_USUAL_SENT], trial[_USUAL_LOST] = min(sent, _COUNT_MAX), min(lost, _COUNT_MAX)
        trial[_LEVEL] = _level_of(trial[_USUAL_SENT], trial[_USUAL_LOST])
    trial[_SENT] = trial[_LOST] = 0
    return lossshift.EPOCH


@compiled
def wanted_ns(configured_ns: Any, interval_ns: Any, probes: Any, lost: Any, bursts: Any) -> Any:
    """Return the detect time that a row's habit asks for: ``Health.habit``, ``multiplier.adapt``.

    Args:
        configured_ns: of its liveness profile.
        interval_ns: between two probes.
        probes: that the habit is known from.
        lost: of those.
        bursts: in which they got lost.
    """
    proven = max(bursts - isqrt(4 * bursts), 0) * lost // max(bursts, 1)
    loss = PPM * proven // probes if proven > 0 and probes > 0 else 0
    loss = min(loss, PPM)
    burst_milli = 1000 * lost // bursts if bursts > 0 else 1000
    again = PPM - PPM * BURST_MILLI_ONE // max(burst_milli, BURST_MILLI_ONE)
    again = max(again, loss)
    micro, needed = -(-MONTH_NS // interval_ns) * loss, 1
    while needed < MULTIPLIER_CEILING and micro > PPM:
        needed += 1
        whole = micro // PPM
        micro = whole * again + ((micro - whole * PPM) * again + PPM - 1) // PPM
    return max(configured_ns, needed * interval_ns)
