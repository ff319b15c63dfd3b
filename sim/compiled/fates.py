"""What becomes of a probe on links that do what they usually do, loss bursts among that.

Probes of a row that lie further apart than their noise never wait for each other. So the
fate of each is a function of its row and its ordinal alone.
"""

from typing import Any, Final

import numpy as np

from patronus.engine.fingerprint import GOLDEN
from patronus.engine.overlay import I64
from patronus.engine.units import NEVER, PPM
from patronus.sim.compiled.jit import compiled, part
from patronus.sim.compiled.probes import _LOSS_MASK, _S12, _S24, _S44, _noise_ns, _word
from patronus.sim.luck import LOSS_BITS

EVERYTHING: Final = 1 << LOSS_BITS
"""A limit of loss that no probe survives."""


@part
def stirs(row: Any, gusts: Any) -> Any:
    """Tell whether there are bursts on the links of a row at any time of the span."""
    return gusts[4][gusts[6][row]] or gusts[4][gusts[7][row]] or gusts[5][gusts[8][row]]


@compiled
def limit_at(row: Any, at_ns: Any, usual: Any, gusts: Any) -> Any:
    """Return the limit of loss for what departs on a row at a time, and until when it holds.

    Args:
        row: which.
        at_ns: when.
        usual: its limit while no link is bad.
        gusts: ``sim.gusts.Gusts``. A burst on links of a foul row lets nothing survive:
            what it comes to together with a fault is not worked out here.
    """
    first, from_ns, until_ns, keep_ppm, _, _, up, down, segment, route, _, survive_ppm, foul = gusts
    if not stirs(row, gusts):
        return usual, NEVER
    line = segment[row]
    # Link by link in this order, since each step rounds.
    survive, holds_ns, blows = survive_ppm[row], NEVER, False
    for place in range(-1, route.shape[1] + 1):
        link = up[row] if place < 0 else down[row]
        if 0 <= place < route.shape[1]:
            link = route[line, place]
        if link >= 0:
            for period in range(first[link], first[link + 1]):
                if until_ns[period] > at_ns:
                    if from_ns[period] <= at_ns:
                        survive, blows = survive * keep_ppm[link] // PPM, True
                        holds_ns = min(holds_ns, until_ns[period])
                    else:
                        holds_ns = min(holds_ns, from_ns[period])
                    break
    if not blows:
        return usual, holds_ns
    if foul[row]:
        return EVERYTHING, holds_ns
    loss_ppm = PPM - survive
    steps = ((loss_ppm << LOSS_BITS) + PPM // 2) // PPM
    return max(steps, 1 if loss_ppm > 0 else 0), holds_ns


@compiled
def fate(row: Any, n: Any, luck: Any, gusts: Any) -> Any:
    """Return when a probe is sent, arrives at the peer and is back, and what it loses.

    Times are those of a probe that survives; the last two tell whether it gets lost on the
    way out, and on the way home.
    """
    keys, interval, phase, out, home = luck
    word = _word(keys[row], np.uint64(n) * GOLDEN)
    sent = n * interval[row] + phase[row]
    there = sent + out[0][row] + _noise_ns(word >> _S12, out[1][row])
    back = there + home[0][row] + _noise_ns(word, home[1][row])
    limit, _ = limit_at(row, sent, np.int64(out[2][row]), gusts)
    gone = np.int64(word >> _S44) < limit
    limit, _ = limit_at(np.int64(gusts[10][row]), there, np.int64(home[2][row]), gusts)
    return sent, there, back, gone, np.int64((word >> _S24) & _LOSS_MASK) < limit


@compiled
def aloft(rows: I64, n: int, luck: Any, gusts: Any, there_ns: I64, back_ns: I64) -> None:
    """Write when a probe of each row arrives at the peer and is back, ``NEVER`` if it is lost."""
    for place in range(len(rows)):
        _, there, back, gone, lost = fate(rows[place], n, luck, gusts)
        there_ns[place] = NEVER if gone else there
        back_ns[place] = NEVER if gone or lost else back
