"""Rows on which nothing happens but the usual, from one time to another, in one go.

While links do what they usually do, a probe's fate is a function of its row and its
ordinal alone (:mod:`fates`). So a row can be taken through any number of probes and
evaluations at once, or its future can be looked at without touching it.
"""

from typing import Any, Final

import numpy as np

from patronus.engine import delayshift, health, lossshift, verdict
from patronus.engine.fingerprint import GOLDEN
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, NEVER
from patronus.sim.compiled.fates import fate, limit_at, stirs
from patronus.sim.compiled.jit import compiled
from patronus.sim.compiled.judging import badness_ns, floor_ppm, moves, smoothed, verdict_of
from patronus.sim.compiled.losing import TRIAL, begin_trial, keep_trial, try_packets, wanted_ns
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

_BUCKET_MAX: Final = 2**31 - 1

NOWHERE: Final = (-2, -2, -2)
"""No figures at all."""

LIMIT, LOSS, DELAY, COUNT, VERDICT = range(5)
"""Why a row cannot be passed over any longer: no reason yet, losses that somebody notices, a
delay that is suspicious, the loss test raises or follows an alarm, an evaluation changes
something."""


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
    rows: I64, times: Any, luck: Any, known: Any, gusts: Any, write: bool, told: Any
) -> int:
    """Take rows through probes and evaluations on which nothing happens but the usual.

    A row is left before the first of them that is not: such as ``judging.judge`` leaves to
    the engine, an alarm, silence that anybody would notice, or the end. A lost probe is
    nothing unusual, as long as the next reflections come in time.

    Args:
        rows: the rows meant.
        times: end of the probes (they count when they are back before it), end of the
            evaluations (including it), width of the grid on which rows can be woken, and the
            evaluation interval.
        luck: ``sleepers.Luck``: what decides about probes.
        known: ``sleepers.Known``: what is known of the rows.
        gusts: ``gusts.Gusts`` of the time from the oldest probe that is under way to the end.
        write: whether the rows are changed, of which a look has found before that nothing
            happens until then; with False only ``told`` is written.
        told: for each row the time on the grid from which it must be looked at, which is the
            end of the probes if nothing happens before, and why.

    Returns:
        Probes sent before the end that got lost and were not counted yet; 0 without ``write``.
    """
    until_ns, judged_until_ns, grid_ns, period_ns = times
    keys, interval, phase, out, home = luck
    delay_out, jitter_out, limit_out = out
    delay_home, jitter_home, limit_home = home
    meters, window, standing, terms, calendar, patience_of = known
    state, _, due, delay, _, seen = meters
    opened, sums, estimate_ppm, ring, oldest, age, patience, loud, epochs = window
    quota = epochs[0]
    verdicts, _, metric_now, metric_smooth, metric_published = standing
    limits, margin_ns, margin_ppm = terms
    judged_ns, turn = calendar
    habit, detect_ns, configured_ns, adaptive, stale_ns, tallied = patience_of
    reverse, foul = gusts[10], gusts[12]
    wake_ns, why = told
    trial: I64 = np.empty(TRIAL, dtype=np.int64)
    owed = 0
    for place in range(len(rows)):
        row = rows[place]
        key, step, begin = keys[row], interval[row], phase[row]
        out_ns, out_noise, usual_out = delay_out[row], jitter_out[row], np.int64(limit_out[row])
        home_ns, home_noise = delay_home[row], jitter_home[row]
        usual_home = np.int64(limit_home[row])
        back_row = np.int64(reverse[row])
        limit, limit_until = usual_out, LONG_AGO if stirs(row, gusts) else NEVER
        limit_back, limit_back_until = usual_home, LONG_AGO if stirs(back_row, gusts) else NEVER
        n = state[health.NEXT, row]
        heard = state[health.HEARD, row]
        figures = (
            state[health.SRTT, row], state[health.JITTER, row], state[health.TRANSIT, row],
            delay[0, row], delay[1, row], delay[2, row], int(seen[row]),
        )  # fmt: skip
        sent_sum, lost_sum, mark = sums[0, row], sums[1, row], state[health.MARK, row]
        sent_open, lost_open, bucket = opened[0, row], opened[1, row], int(oldest[row])
        calm, doubts = int(age[row]), int(patience[row])
        now, smooth = metric_now[row], metric_smooth[row]
        left, asked, tried = due[row], quota[row], False
        missed, bursts = habit[0, row], habit[1, row]
        detect, fresh = detect_ns[row], True
        counted = tallied[row]
        since = judged_ns[row]
        evaluation = since + period_ns - (since - turn[row]) % period_ns
        end, cause, going = until_ns, LIMIT, True
        box = NOWHERE
        # The last reflection. Without another one for so long the row is silent; and whoever
        # finds one overdue on the grid, and on the next turn again, hears what became of it.
        word = _word(key, np.uint64(n - 1) * GOLDEN)
        there = out_ns + _noise_ns(word >> _S12, out_noise)
        proof = (n - 1) * step + begin + there + home_ns + _noise_ns(word, home_noise)
        silence, overdue = min(detect, stale_ns), step + (step >> 1)
        asked_ns = hole_ns = LONG_AGO
        # Probe m is looked at, n the first one after the last reflection.
        m, gone = n, 0
        while going:
            sent, back, there, more = m * step + begin, NEVER, 0, 0
            if sent < end:
                word = _word(key, np.uint64(m) * GOLDEN)
                if sent >= limit_until:
                    limit, limit_until = limit_at(row, sent, usual_out, gusts)
                there = out_ns + _noise_ns(word >> _S12, out_noise)
                lost = np.int64(word >> _S44) < limit
                gone += int(lost)
                if not lost:
                    if sent + there >= limit_back_until:
                        limit_back, limit_back_until = limit_at(
                            back_row, sent + there, usual_home, gusts
                        )
                    lost = np.int64((word >> _S24) & _LOSS_MASK) < limit_back
                if lost:
                    owed += write and m >= counted
                    m += 1
                    if foul[row] or m - n > health.OUTAGE_PROBES:
                        end, cause = min(end, sent - sent % grid_ns), LOSS
                        break
                    continue
                more = home_ns + _noise_ns(word, home_noise)
                back = sent + there + more
            reach = min(back, end)
            if reach - proof > min(overdue, silence):
                late = (proof + overdue) // grid_ns * grid_ns + grid_ns
                again = late == asked_ns + grid_ns
                if reach - proof > silence or late + (0 if again else grid_ns) <= reach:
                    hole_ns = hole_ns if again else n * step + begin
                    end, cause = hole_ns - hole_ns % grid_ns, LOSS
                    break
                if late <= reach:
                    asked_ns, hole_ns = late, n * step + begin
            while evaluation <= min(reach, judged_until_ns):
                # The bucket closes, as in ``Health.rotate``; then as ``judging.judge``.
                closed = min(sent_open + n - mark, _BUCKET_MAX)
                lacking = min(lost_open, _BUCKET_MAX)
                at_sent = sent_sum + closed - ring[bucket, 0, row]
                at_lost = lost_sum + lacking - ring[bucket, 1, row]
                loss = max(floor_ppm(at_sent, at_lost), estimate_ppm[row])
                rtt, jitter = figures[0], figures[1] >> 4
                metric = badness_ns(rtt, jitter, loss)
                after = smoothed(smooth, metric)
                if not write:
                    probes = n - state[health.BASE, row]
                    odd = probes > health.HABIT_PROBES
                    odd |= loud[row] and calm + 1 >= lossshift.ADOPT_INTERVALS
                    odd |= moves(after, metric_published[row], margin_ns, margin_ppm)
                    if rtt > box[0] or jitter > box[1] or loss > box[2] or loss < 0:
                        box = _box(row, rtt, jitter, loss, verdicts, limits)
                        odd |= box[0] < rtt
                    # A habit asks for more only after a loss, and for less at any time.
                    adapted = detect != configured_ns[row]
                    if adaptive and (adapted or (fresh and bursts > health.UNPROVEN)):
                        odd |= detect != wanted_ns(configured_ns[row], step, probes, missed, bursts)
                    fresh = False
                    if odd:
                        end, cause, going = (evaluation - 1) // grid_ns * grid_ns, VERDICT, False
                        break
                if write:
                    ring[bucket, 0, row], ring[bucket, 1, row] = closed, lacking
                sent_sum, lost_sum, mark, sent_open, lost_open = at_sent, at_lost, n, 0, 0
                bucket = bucket + 1 if bucket + 1 < len(ring) else 0
                calm += 1
                if calm >= lossshift.PATIENCE_INTERVALS and not loud[row]:
                    doubts, calm = max(doubts - 1, 0), 0
                now, smooth, evaluation = metric, after, evaluation + period_ns
            if not going or back >= end:
                break
            score, gap = risen(figures, there + more), m - n
            left -= gap + 1
            if score >= delayshift.RAISED_WIDTHS * figures[4]:
                end, cause = min(end, back - back % grid_ns), DELAY
                break
            if left <= 0 or gone > 0:
                if loud[row]:
                    end, cause = min(end, back - back % grid_ns), COUNT
                    break
                if not tried:
                    begin_trial(row, epochs, trial)
                    tried = True
                left = asked = try_packets(trial, asked - left - gap - 1, gap + 1, gone, doubts)
                if asked == 0:
                    end, cause = min(end, back - back % grid_ns), COUNT
                    break
            figures = learn(figures, there, there + more, score)
            heard += gap + 1 - gone
            lost_open += gone
            if gap > 0:
                missed, bursts, fresh = missed + gap, bursts + 1, True
            proof, gone = back, 0
            m += 1
            n = m
        # What was sent before then and is not back yet.
        while (write or foul[row]) and m * step + begin < end:
            sent, _, _, lost_out, lost_home = fate(row, m, luck, gusts)
            lost = lost_out or lost_home
            owed += write and lost and m >= counted
            if lost and foul[row] and not write:
                end, cause = sent - sent % grid_ns, LOSS
            m += 1
        wake_ns[place], why[place] = end, cause
        if write:
            state[health.SRTT, row], state[health.JITTER, row] = figures[0], figures[1]
            state[health.TRANSIT, row], state[health.NEXT, row] = figures[2], n
            state[health.HEARD, row], state[health.MARK, row] = heard, mark
            delay[0, row], delay[1, row], delay[2, row] = figures[3], figures[4], figures[5]
            due[row], quota[row], seen[row] = left, asked, figures[6]
            if tried:
                keep_trial(row, epochs, trial)
            habit[0, row], habit[1, row] = missed, bursts
            sums[0, row], sums[1, row] = sent_sum, lost_sum
            opened[0, row], opened[1, row] = sent_open, lost_open
            oldest[row], age[row], patience[row] = bucket, calm, doubts
            metric_now[row], metric_smooth[row] = now, smooth
            judged_ns[row] = evaluation - period_ns
            tallied[row] = max(counted, m)
    return owed
