"""Rows on which nothing happens but the usual, from one time to another, in one go.

While links do what they usually do, a probe's fate is a function of its row and its
ordinal alone: probes of a row that lie further apart than their noise never wait for each
other. So a row can be taken through any number of probes and evaluations at once, or its
future can be looked at without touching it.
"""

from typing import Any, Final

import numpy as np

from patronus.engine import brownout_table, delayshift, health, lossshift, verdict
from patronus.engine.fingerprint import GOLDEN
from patronus.engine.liveness import State
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, NEVER, PPM
from patronus.sim.compiled.jit import compiled, part
from patronus.sim.compiled.judging import badness_ns, floor_ppm, isqrt, moves, smoothed, verdict_of
from patronus.sim.compiled.probes import (
    _LOSS_MASK,
    _S12,
    _S24,
    _S44,
    _noise_ns,
    _word,
    learn,
    risen,
)

_UP: Final = int(State.UP)
_BUCKET_MAX: Final = 2**31 - 1
_COUNT_MAX: Final = 2**30
_TAKEN: Final = np.array(brownout_table.TAKEN, dtype=np.int64)
_BASE: Final = np.array(brownout_table.BASE_PPM, dtype=np.int64)

NOWHERE: Final = (-2, -2, -2)
"""No figures at all."""

LIMIT, LOSS, DELAY, COUNT, VERDICT = range(5)
"""Why a row cannot be passed over any longer: no reason yet, a probe that gets lost, a delay
that is suspicious, the loss test has something to do, an evaluation changes something."""


@part
def _way(key: np.uint64, n: Any, there_of: Any, back_of: Any) -> Any:
    """Tell whether a probe gets lost on either way, and how long both take."""
    word = _word(key, np.uint64(n) * GOLDEN)
    lost = (word >> _S44) < there_of[2] or ((word >> _S24) & _LOSS_MASK) < back_of[2]
    out = there_of[0] + _noise_ns(word >> _S12, there_of[1])
    return lost, out, back_of[0] + _noise_ns(word, back_of[1])


@compiled
def _level_of(sent: int, lost: int) -> Any:
    """Return :func:`lossshift._level_of` of one row."""
    ppm = -(-PPM * (lost + isqrt(lost) + 1) // sent)
    return min(np.searchsorted(_BASE, ppm), len(_BASE) - 1)


@compiled
def _pass_epoch(row: int, packets: Any, epochs: Any, patience: Any) -> None:
    """Look at a row's loss test when ``packets`` in a row have arrived, the last one just now.

    As :meth:`LossShift._watch` where nothing was lost: suspicions can only fall.
    """
    _, level, usual, epoch, score, since = epochs
    highest = 0
    for kind in range(len(score)):
        taken = _TAKEN[kind, level[row]]
        for count in (packets - 1, 1):
            after = score[kind, row] - taken * count
            more = min(since[kind, 0, row] + count, _COUNT_MAX)
            since[kind, 0, row] = more if after > 0 else 0
            since[kind, 1, row] = since[kind, 1, row] if after > 0 else 0
            score[kind, row] = max(after, 0)
        highest = max(highest, score[kind, row])
    raised = highest >= (brownout_table.ALARM << patience) >> 1
    sent, lost = epoch[0, row] + packets, epoch[1, row]
    if sent < lossshift.EPOCH:
        epoch[0, row] = sent
        return
    epoch[0, row] = epoch[1, row] = 0
    if not raised:
        sent += usual[0, row]
        lost += usual[1, row]
        if sent >= lossshift.MEMORY:
            sent, lost = sent >> 1, lost >> 1
        usual[0, row], usual[1, row] = min(sent, _COUNT_MAX), min(lost, _COUNT_MAX)
        level[row] = _level_of(usual[0, row], usual[1, row])


@compiled
def _box(row: int, rtt: int, jitter: int, loss: int, verdicts: Any, limits: Any) -> Any:
    """Return up to which figures the verdicts of a row are surely those in force.

    Verdicts only worsen with each figure. So where the best one is in force, it is also in
    between; a little beyond the figures of the moment few of the next ones have to be asked.
    """
    wide = rtt + (rtt >> 3), jitter + (jitter >> 1), loss
    best = beyond = min(rtt, jitter, loss) >= 0
    same = True
    for number in range(len(limits)):
        inforce = verdicts[number, row]
        best &= inforce == verdict.COMPLIANT
        same &= inforce == verdict_of(rtt, jitter, loss, limits[number])
        beyond &= inforce == verdict_of(wide[0], wide[1], wide[2], limits[number])
    if not same:
        return NOWHERE
    if best and beyond:
        return wide
    if best:
        return rtt, jitter, loss
    return rtt, -1, -1


# One walk in one function: numbers stay in registers and arrays are looked up once. In parts
# it takes twice the time, since numba counts references wherever a tuple of arrays is opened.
@compiled
def doze(  # noqa: C901, PLR0912, PLR0915  # as said above
    rows: I64, times: Any, luck: Any, known: Any, write: bool, told: Any
) -> None:
    """Take rows through probes and evaluations on which nothing happens but the usual.

    A row is left before the first of them that is not: such as ``probes.observe`` and
    ``judging.judge`` leave to the engine, a probe that gets lost, or the end.

    Args:
        rows: the rows meant.
        times: end of the probes (they count when they are back before it), end of the
            evaluations (including it), width of the grid on which rows can be woken, and the
            evaluation interval.
        luck: ``sleepers.Luck``: what decides about probes.
        known: ``sleepers.Known``: what is known of the rows.
        write: whether the rows are changed, of which a look has found before that nothing
            happens until then; with False only ``told`` is written.
        told: for each row the time on the grid from which it must be looked at, which is the
            end of the probes if nothing happens before, and why.
    """
    until_ns, judged_until_ns, grid_ns, period_ns = times
    keys, interval, phase, out, home = luck
    delay_out, jitter_out, limit_out = out
    delay_home, jitter_home, limit_home = home
    meters, window, standing, terms, calendar = known
    state, _, due, delay, _, seen = meters
    opened, sums, estimate_ppm, ring, oldest, age, patience, loud, epochs = window
    quota, _, _, epoch, _, _ = epochs
    verdicts, _, metric_now, metric_smooth, metric_published = standing
    limits, margin_ns, margin_ppm = terms
    judged_ns, turn = calendar
    wake_ns, why = told
    for place in range(len(rows)):
        row = rows[place]
        there_of = delay_out[row], jitter_out[row], limit_out[row]
        back_of = delay_home[row], jitter_home[row], limit_home[row]
        first = n = state[health.NEXT, row]
        figures = (
            state[health.SRTT, row], state[health.JITTER, row], state[health.TRANSIT, row],
            delay[0, row], delay[1, row], delay[2, row], int(seen[row]),
        )  # fmt: skip
        sent_sum, lost_sum, mark = sums[0, row], sums[1, row], state[health.MARK, row]
        sent_open, lost_open, bucket = opened[0, row], opened[1, row], int(oldest[row])
        calm, doubts = int(age[row]), int(patience[row])
        now, smooth = metric_now[row], metric_smooth[row]
        left, asked, learnt = due[row], quota[row], int(epoch[0, row])
        since = judged_ns[row]
        evaluation = since + period_ns - (since - turn[row]) % period_ns
        end, cause, going = until_ns, LIMIT, True
        box = NOWHERE
        while going:
            sent, back, there, more = n * interval[row] + phase[row], NEVER, 0, 0
            if sent < end:
                lost, there, more = _way(keys[row], n, there_of, back_of)
                if lost:
                    end, cause = min(end, sent - sent % grid_ns), LOSS
                else:
                    back = sent + there + more
            while evaluation <= min(back, end, judged_until_ns):
                # The bucket closes, as in ``Health.rotate``; then as ``judging.judge``.
                closed, gone = min(sent_open + n - mark, _BUCKET_MAX), min(lost_open, _BUCKET_MAX)
                at_sent = sent_sum + closed - ring[bucket, 0, row]
                at_lost = lost_sum + gone - ring[bucket, 1, row]
                loss = max(floor_ppm(at_sent, at_lost), estimate_ppm[row])
                rtt, jitter = figures[0], figures[1] >> 4
                metric = badness_ns(rtt, jitter, loss)
                after = smoothed(smooth, metric)
                if not write:
                    odd = n - state[health.BASE, row] > health.HABIT_PROBES
                    odd |= loud[row] and calm + 1 >= lossshift.ADOPT_INTERVALS
                    odd |= moves(after, metric_published[row], margin_ns, margin_ppm)
                    if rtt > box[0] or jitter > box[1] or loss > box[2] or loss < 0:
                        box = _box(row, rtt, jitter, loss, verdicts, limits)
                        odd |= box[0] < rtt
                    if odd:
                        end, cause, going = (evaluation - 1) // grid_ns * grid_ns, VERDICT, False
                        break
                if write:
                    ring[bucket, 0, row], ring[bucket, 1, row] = closed, gone
                sent_sum, lost_sum, mark, sent_open, lost_open = at_sent, at_lost, n, 0, 0
                bucket = bucket + 1 if bucket + 1 < len(ring) else 0
                calm += 1
                if calm >= lossshift.PATIENCE_INTERVALS and not loud[row]:
                    doubts, calm = max(doubts - 1, 0), 0
                now, smooth, evaluation = metric, after, evaluation + period_ns
            if not going or back >= end:
                break
            score = risen(figures, there + more)
            if (left <= 1 and loud[row]) or score >= delayshift.RAISED_WIDTHS * figures[4]:
                end, cause = min(end, back - back % grid_ns), COUNT if left <= 1 else DELAY
                break
            figures = learn(figures, there, there + more, score)
            n, left = n + 1, left - 1
            if left <= 0:
                if write:
                    _pass_epoch(row, asked - left, epochs, doubts)
                learnt += asked - left
                learnt = learnt if learnt < lossshift.EPOCH else 0
                left = asked = lossshift.EPOCH - learnt
        if not write:
            # What is sent before then and comes back after it must not get lost either.
            n += 1
            while n * interval[row] + phase[row] < end:
                if _way(keys[row], n, there_of, back_of)[0]:
                    sent = n * interval[row] + phase[row]
                    end, cause = sent - sent % grid_ns, LOSS
                n += 1
        wake_ns[place], why[place] = end, cause
        if write:
            state[health.SRTT, row], state[health.JITTER, row] = figures[0], figures[1]
            state[health.TRANSIT, row], state[health.NEXT, row] = figures[2], n
            state[health.HEARD, row] += n - first
            state[health.MARK, row] = mark
            delay[0, row], delay[1, row], delay[2, row] = figures[3], figures[4], figures[5]
            due[row], quota[row], seen[row] = left, asked, figures[6]
            sums[0, row], sums[1, row] = sent_sum, lost_sum
            opened[0, row], opened[1, row] = sent_open, lost_open
            oldest[row], age[row], patience[row] = bucket, calm, doubts
            metric_now[row], metric_smooth[row] = now, smooth
            judged_ns[row] = evaluation - period_ns


@compiled
def drowsy(rows: I64, now_ns: int, luck: Any, known: Any, signs: Any, fit: Any) -> None:
    """Tell which rows may be passed over from now on, if nothing happens on them.

    Theirs are the usual links, and have been for long; all probes up to now were answered,
    but for those that cannot be back yet; no test is under way.

    Args:
        rows: the rows meant.
        now_ns: the time, at which all probes that were back before were taken.
        luck: ``sleepers.Luck``.
        known: ``sleepers.Known``.
        signs: ``sleepers.Signs``.
        fit: written, by place.
    """
    keys, interval, phase, out, home = luck
    meters, _, standing, _, _ = known
    state, ahead, _, _, special, seen = meters
    (
        lively,
        calm_before_ns,
        usual_since_ns,
        awake,
        up,
        silent,
        detect,
        sites,
        src,
        dst,
        heard_count,
    ) = signs
    detect_ns, configured_ns = detect
    better_runs = standing[1]
    for place in range(len(rows)):
        row = rows[place]
        fit[place] = False
        n, step = state[health.NEXT, row], interval[row]
        if lively[row] or awake[row] or silent[row] or ahead[row] or special[row]:
            continue
        if up[row] != _UP or not (sites[src[row]] and sites[dst[row]]):
            continue
        if usual_since_ns[row] > calm_before_ns or n == LONG_AGO or seen[row] < 2:
            continue
        # Probes that may wait for each other depend on those before, and detect times that
        # follow a habit of loss do so at every evaluation.
        if out[1][row] + home[1][row] >= step - 1 or detect_ns[row] != configured_ns[row]:
            continue
        last = (now_ns - 1 - phase[row]) // step
        if heard_count[row] != state[health.HEARD, row] + last - n + 1:
            continue
        better = 0
        for number in range(len(better_runs)):
            better += better_runs[number, row]
        there_of = out[0][row], out[1][row], out[2][row]
        back_of = home[0][row], home[1][row], home[2][row]
        lost, there, more = _way(keys[row], n - 1, there_of, back_of)
        before = n * step + phase[row] - step + there + more
        lost_next, there, more = _way(keys[row], n, there_of, back_of)
        after = n * step + phase[row] + there + more
        # What was heard last is what these links do, and the next one is still under way.
        usual = not lost and before == state[health.UPDATED, row] < now_ns
        fit[place] = usual and not lost_next and after >= now_ns and better == 0


@compiled
def rouse(rows: I64, now_ns: int, luck: Any, memory: Any, first: Any, last: Any) -> None:
    """Bring up to now what was left alone of sleeping rows: stamps, order, the peer's count.

    Args:
        rows: the rows meant; the opposite directions are among them.
        now_ns: the time; all probes that were back before were taken.
        luck: ``sleepers.Luck``.
        memory: health state, opposite rows, proofs heard and confirmed, earliest next arrival
            at the peer and of a reflection, and probes heard, by row.
        first: written, by place: the oldest probe that is under way.
        last: written, by place: the youngest probe that was sent.
    """
    keys, interval, phase, out, home = luck
    state, reverse, heard_ns, confirmed_ns, from_heard_ns, from_back_ns, heard_count = memory
    for place in range(len(rows)):
        row = rows[place]
        n, step, begin = state[health.NEXT, row], interval[row], phase[row]
        there_of = out[0][row], out[1][row], out[2][row]
        back_of = home[0][row], home[1][row], home[2][row]
        newest = (now_ns - 1 - begin) // step
        first[place], last[place] = n, newest
        _, there, more = _way(keys[row], n - 1, there_of, back_of)
        proof = (n - 1) * step + begin + there + more
        state[health.UPDATED, row] = proof
        _, there, more = _way(keys[row], newest, there_of, back_of)
        from_heard_ns[row] = newest * step + begin + there + 1
        from_back_ns[row] = newest * step + begin + there + more + 1
        heard_count[row] = state[health.HEARD, row] + newest - n + 1
        # The peer's own probes prove as much, as soon as they arrive.
        peer = np.int64(reverse[row])
        step, begin = interval[peer], phase[peer]
        there_of = out[0][peer], out[1][peer], out[2][peer]
        back_of = home[0][peer], home[1][peer], home[2][peer]
        n = (now_ns - 1 - begin) // step
        while True:
            _, there, more = _way(keys[peer], n, there_of, back_of)
            if n * step + begin + there < now_ns:
                proof = max(proof, n * step + begin + there)
                break
            n -= 1
        heard_ns[row] = confirmed_ns[row] = proof


@compiled
def aloft(rows: I64, n: int, luck: Any, there_ns: I64, back_ns: I64, sent_ns: I64) -> None:
    """Write when a probe of each row was sent, and when it arrives at the peer and is back."""
    keys, interval, phase, out, home = luck
    for place in range(len(rows)):
        row = rows[place]
        there_of = out[0][row], out[1][row], out[2][row]
        back_of = home[0][row], home[1][row], home[2][row]
        _, there, more = _way(keys[row], n, there_of, back_of)
        sent_ns[place] = n * interval[row] + phase[row]
        there_ns[place] = sent_ns[place] + there
        back_ns[place] = there_ns[place] + more
