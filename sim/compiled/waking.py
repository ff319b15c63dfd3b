"""Falling asleep and waking: who may, and what was left alone meanwhile."""

from typing import Any, Final

from patronus.engine import health
from patronus.engine.liveness import State
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO
from patronus.sim.compiled.fates import fate
from patronus.sim.compiled.jit import compiled

_UP: Final = int(State.UP)


@compiled
def drowsy(rows: I64, now_ns: int, luck: Any, known: Any, signs: Any, gusts: Any, fit: Any) -> None:
    """Tell which rows may be passed over from now on, if nothing happens on them.

    Theirs are the usual links, and have been for long; all probes up to now were answered,
    but for those that cannot be back yet; no test is under way.

    Args:
        rows: the rows meant.
        now_ns: the time, at which all probes that were back before were taken.
        luck: ``sleepers.Luck``.
        known: ``sleepers.Known``.
        signs: ``sleepers.Signs``.
        gusts: ``gusts.Gusts``.
        fit: written, by place.
    """
    _, interval, phase, out, home = luck
    meters, _, standing, _, _, _ = known
    state, ahead, _, _, special, seen = meters
    calm_before_ns, usual_since_ns, awake, up, silent, sites, src, dst, heard_count = signs
    better_runs = standing[1]
    for place in range(len(rows)):
        row = rows[place]
        fit[place] = False
        # Whether it is up comes first: while an overlay comes up that is all there is to say.
        if up[row] != _UP or awake[row] or silent[row] or ahead[row] or special[row]:
            continue
        n, step = state[health.NEXT, row], interval[row]
        if usual_since_ns[row] > calm_before_ns or n == LONG_AGO or seen[row] < 2:
            continue
        if not (sites[src[row]] and sites[dst[row]]):
            continue
        # Probes that may wait for each other depend on those before.
        if out[1][row] + home[1][row] >= step - 1:
            continue
        last = (now_ns - 1 - phase[row]) // step
        if heard_count[row] != state[health.HEARD, row] + last - n + 1:
            continue
        better = 0
        for number in range(len(better_runs)):
            better += better_runs[number, row]
        if better:
            continue
        # What was heard last is what these links do, and the next one is still under way.
        _, _, before, gone, lost = fate(row, n - 1, luck, gusts)
        usual = not (gone or lost) and before == state[health.UPDATED, row] < now_ns
        if usual:
            _, _, after, gone, lost = fate(row, n, luck, gusts)
            fit[place] = not (gone or lost) and after >= now_ns


@compiled
def rouse(
    rows: I64, now_ns: int, grid_ns: int, luck: Any, gusts: Any, memory: Any, told: Any
) -> None:
    """Bring up to now what was left alone of sleeping rows: stamps, order, the peer's count.

    Args:
        rows: the rows meant; the opposite directions are among them.
        now_ns: the time; all probes that were back before were taken.
        grid_ns: the last time at which peers were asked what they heard, or now.
        luck: ``sleepers.Luck``.
        gusts: ``gusts.Gusts``.
        memory: health state, opposite rows, proofs heard and confirmed, earliest next arrival
            at the peer and of a reflection, and probes heard, by row.
        told: written, by place: the oldest probe that is under way, the youngest that was
            sent, and how many of those before ``grid_ns`` the peer hears.
    """
    _, interval, phase, _, _ = luck
    state, reverse, heard_ns, confirmed_ns, from_heard_ns, from_back_ns, heard_count = memory
    first, last, counts = told
    for place in range(len(rows)):
        row = rows[place]
        n, step, begin = state[health.NEXT, row], interval[row], phase[row]
        newest = (now_ns - 1 - begin) // step
        first[place], last[place] = n, newest
        _, there, proof, _, _ = fate(row, n - 1, luck, gusts)
        state[health.UPDATED, row] = proof
        from_heard_ns[row], from_back_ns[row] = there + 1, proof + 1
        heard = counts[place] = state[health.HEARD, row]
        for m in range(n, newest + 1):
            sent, there, back, gone, lost = fate(row, m, luck, gusts)
            if not gone:
                heard += 1
                from_heard_ns[row] = there + 1
                if sent < grid_ns:
                    counts[place] = heard
                if not lost:
                    from_back_ns[row] = back + 1
        heard_count[row] = heard
        # The peer's own probes prove as much, as soon as they arrive.
        peer = int(reverse[row])
        m = (now_ns - 1 - phase[peer]) // interval[peer]
        while True:
            _, there, _, gone, _ = fate(peer, m, luck, gusts)
            if not gone and there < now_ns:
                heard_ns[row] = confirmed_ns[row] = max(proof, there)
                break
            m -= 1
