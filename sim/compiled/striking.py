"""Loss bursts: which of the rows that sleep must wake for one."""

from typing import Any

import numpy as np

from patronus.engine.fingerprint import GOLDEN
from patronus.engine.overlay import I64
from patronus.sim.compiled.jit import compiled, part
from patronus.sim.compiled.probes import _LOSS_MASK, _S12, _S24, _S44, _noise_ns, _word


@part
def _worse(row: Any, at_ns: Any, squalls: Any) -> Any:
    """Return what bursts add at most to a row's limit of loss for a packet that departs now."""
    first, from_ns, until_ns, limit, up, down, segment, route, _ = squalls
    line, more = segment[row], 0
    for place in range(-1, route.shape[1] + 1):
        link = up[row] if place < 0 else down[row]
        if 0 <= place < route.shape[1]:
            link = route[line, place]
        if link >= 0:
            for period in range(first[link], first[link + 1]):
                if from_ns[period] <= at_ns < until_ns[period]:
                    more += limit[link]
    return more


@compiled
def struck(rows: I64, span: Any, luck: Any, squalls: Any, hit: Any) -> None:
    """Tell on which rows a probe of a window may get lost in a burst.

    Loss on a way is at most the sum of that of its links, so the others are safe.

    Args:
        rows: the rows meant.
        span: start and end of the window in which the probes are sent.
        luck: ``sleepers.Luck``.
        squalls: ``squalls.Squalls``, of all times at which those or their reflections depart.
        hit: written, by place.
    """
    keys, interval, phase, out, home = luck
    reverse = squalls[8]
    for place in range(len(rows)):
        row = rows[place]
        step, begin = interval[row], phase[row]
        there_of = out[0][row], out[1][row], out[2][row]
        back_of = home[0][row], home[1][row], home[2][row]
        n = -((begin - span[0]) // step)
        hit[place] = False
        while n * step + begin < span[1]:
            word, sent = _word(keys[row], np.uint64(n) * GOLDEN), n * step + begin
            there = sent + there_of[0] + _noise_ns(word >> _S12, there_of[1])
            limit = np.int64(there_of[2]) + _worse(row, sent, squalls)
            limit_back = np.int64(back_of[2]) + _worse(np.int64(reverse[row]), there, squalls)
            lost = np.int64(word >> _S44) < limit
            hit[place] |= lost or np.int64((word >> _S24) & _LOSS_MASK) < limit_back
            n += 1
