"""Probes: their way out and back, the stamps they move, and what ordinary ones teach."""

from typing import Any, Final

import numpy as np

from patronus.engine import delayshift, health
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, NEVER
from patronus.sim import luck
from patronus.sim.compiled.jit import compiled

_NOISE: Final = luck.NOISE.astype(np.uint16)
"""8 KB, which stay in the nearest cache beside what a pass works on; 64 bits each would fill it."""
_LOSS_MASK: Final = np.uint64((1 << luck.LOSS_BITS) - 1)
_NOISE_MASK: Final = np.uint64((1 << luck.NOISE_BITS) - 1)
_S12, _S24, _S44 = np.uint64(12), np.uint64(24), np.uint64(44)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@compiled
def _word(key: np.uint64, step: np.uint64) -> np.uint64:
    """Return :func:`luck.words` of one object."""
    z = key + step
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return np.uint64(z ^ (z >> _S31))


@compiled
def _noise_ns(cell: np.uint64, bound_ns: int) -> int:
    return int((np.int64(_NOISE[np.int64(cell & _NOISE_MASK)]) * bound_ns) >> 16)


@compiled
def fly(
    rows: I64,
    sent_ns: I64,
    step: np.uint64,
    sky: Any,
    memory: Any,
    flown: Any,
    odd: I64,
) -> tuple[int, int, int, int]:
    """Send a probe on each of some rows, and reflect it.

    Args:
        rows: the rows meant.
        sent_ns: one time a probe.
        step: what the ordinal adds to a key.
        sky: ``sim.passage.Sky``; lively rows are left out.
        memory: earliest next arrival at the peer, of a reflection, and probes heard, by row.
        flown: where arrivals at the peer, arrivals of reflections and the peer's count go.
        odd: where the places of lively rows go.

    Returns:
        Number of lively rows, reflections lost, last arrival at a peer and of a reflection.
    """
    keys, out, home, lively = sky
    delay, jitter, limit = out
    delay_back, jitter_back, limit_back = home
    from_heard_ns, from_back_ns, heard_count = memory
    there_ns, back_ns, heard = flown
    left, lost, last_there, last_back = 0, 0, LONG_AGO, LONG_AGO
    for place in range(len(sent_ns)):
        row = rows[place]
        if lively[row]:
            odd[left] = place
            left += 1
            continue
        word = _word(keys[row], step)
        there = back = NEVER
        if (word >> _S44) >= limit[row]:
            noise = _noise_ns(word >> _S12, jitter[row])
            there = max(sent_ns[place] + delay[row] + noise, from_heard_ns[row])
            from_heard_ns[row] = there + 1
            heard_count[row] += 1
            last_there = max(last_there, there)
            if ((word >> _S24) & _LOSS_MASK) >= limit_back[row]:
                noise = _noise_ns(word, jitter_back[row])
                back = max(there + delay_back[row] + noise, from_back_ns[row])
                from_back_ns[row] = back + 1
                last_back = max(last_back, back)
        lost += back == NEVER
        there_ns[place], back_ns[place], heard[place] = there, back, heard_count[row]
    return left, lost, last_there, last_back


@compiled
def raise_newest(newest: I64, times_ns: I64, end_ns: int) -> None:
    """Raise each newest proof to a time before the end."""
    for place in range(len(newest)):
        at_ns = times_ns[place]
        if newest[place] < at_ns < end_ns:
            newest[place] = at_ns


@compiled
def raise_newest_by_peer(newest: I64, times_ns: I64, reverse: Any, end_ns: int) -> None:
    """Raise each newest proof to what the opposite direction's probe proves on arrival."""
    for place in range(len(newest)):
        at_ns = times_ns[reverse[place]]
        if newest[place] < at_ns < end_ns:
            newest[place] = at_ns


@compiled
def raise_some(newest: I64, flown: Any, reverse: Any, span: Any) -> None:
    """Raise the newest proofs of some rows by their probes, and those of their opposites.

    Args:
        newest: by row; those of the rows meant and of their opposites.
        flown: rows, arrivals at the peer and of reflections, one element a probe.
        reverse: by row, the opposite direction.
        span: start and end of the slot.
    """
    rows, there_ns, back_ns = flown
    for place in range(len(rows)):
        row = rows[place]
        at_ns = back_ns[place]
        if newest[row] < at_ns < span[1]:
            newest[row] = at_ns
        # What arrived before this slot has been seen in an earlier one.
        at_ns, row = there_ns[place], np.int64(reverse[row])
        if span[0] <= at_ns < span[1] and newest[row] < at_ns:
            newest[row] = at_ns


@compiled
def stamp(
    rows: I64,
    newest: I64,
    odd: Any,
    silent: Any,
    detect_ns: I64,
    stamps: Any,
    end_ns: int,
    left: Any,
) -> tuple[int, int]:
    """Move the stamps of some rows by their newest proofs, which are taken.

    Args:
        rows: the rows meant.
        newest: by row, ``LONG_AGO`` for none; that is what is left there.
        odd: by row, which must be looked at event by event.
        silent: by row.
        detect_ns: by row.
        stamps: heard and confirmed by row; heard moves everywhere, confirmed where nothing
            is strange.
        end_ns: of the slot.
        left: where strange rows and rows that go silent are put.

    Returns:
        How many of both there are.
    """
    heard_ns, confirmed_ns = stamps
    strange, stale = left
    many, gone = 0, 0
    for place in range(len(rows)):
        row = rows[place]
        proof, confirmed = newest[row], confirmed_ns[row]
        newest[row] = LONG_AGO
        heard_ns[row] = max(heard_ns[row], proof)
        gap = proof - confirmed
        if odd[row] or gap > detect_ns[row] or (silent[row] and gap > 0):
            strange[many] = row
            many += 1
            continue
        confirmed = max(confirmed, proof)
        confirmed_ns[row] = confirmed
        if not silent[row] and confirmed + detect_ns[row] < end_ns - 1:
            stale[gone] = row
            gone += 1
    return many, gone


@compiled
def risen(figures: Any, rtt: Any) -> Any:
    """Return the suspicion of a row's delay after a round trip; ``figures`` as :func:`learn`."""
    usual, width, score = figures[3], figures[4], figures[5]
    most = width << delayshift.CLIP
    return max(score + max(min(rtt - usual, most), -most) - width, 0)


@compiled
def learn(figures: Any, there: Any, rtt: Any, score: Any) -> Any:
    """Return what is known of a row after an ordinary reflection.

    Args:
        figures: smoothed round trip, jitter, last transit, usual round trip and its width,
            suspicion, and samples while young.
        there: transit of the way out.
        rtt: round trip.
        score: the suspicion after it.
    """
    srtt, jitter, transit, usual, width, _, young = figures
    most = width << delayshift.CLIP
    x = max(min(rtt - usual, most), -most)
    srtt += (rtt - srtt) >> 3
    jitter += abs(there - transit) - ((jitter + 8) >> 4)
    gain = delayshift.SLOW
    if young < delayshift.YOUNG:
        gain = delayshift.FAST
        young += 1
    low = min(rtt - usual + most, 0) >> delayshift.FAST
    far = min(max(abs(x), jitter >> 4, delayshift.WIDTH_NS_MIN), most)
    width = min(((far - width) >> gain) + width, delayshift.WIDTH_NS_MAX)
    return srtt, jitter, there, usual + low + (x >> gain), width, score, young


@compiled
def observe(rows: I64, probes: Any, span: Any, columns: Any, odd: I64) -> int:
    """Take the reflections of a flight that came in a slot, on rows where all is ordinary.

    Ordinary is a probe that follows the last one, on a row without suspicion: see
    ``Health._observe_slice``, ``LossShift.observe`` and ``DelayShift._observe_block``.

    Args:
        rows: the rows meant.
        probes: times sent, reflected and back, the peer's count, and the number of all.
        span: start and end of the slot.
        columns: ``engine.meters.Columns``.
        odd: where the places of rows go that are left.

    Returns:
        The number of rows that are left.
    """
    sent_ns, reflected_ns, back_ns, heard_count, sequence = probes
    state, ahead, due, delay, special, seen = columns
    left = 0
    for place in range(len(rows)):
        row, arrived = rows[place], back_ns[place]
        if arrived < span[0] or arrived >= span[1]:
            continue
        rtt = arrived - sent_ns[place]
        figures = (
            state[health.SRTT, row], max(state[health.JITTER, row], 0),
            state[health.TRANSIT, row], delay[0, row], delay[1, row], delay[2, row],
            np.int64(seen[row]),
        )  # fmt: skip
        score = risen(figures, rtt)
        if (
            sequence != state[health.NEXT, row]
            or rtt < 0
            or rtt >= health.ROUND_TRIP_MAX
            or ahead[row]
            or due[row] <= 1
            or special[row]
            or score >= delayshift.RAISED_WIDTHS * delay[1, row]
        ):
            odd[left] = place
            left += 1
            continue
        figures = learn(figures, reflected_ns[place] - sent_ns[place], rtt, score)
        state[health.SRTT, row], state[health.JITTER, row] = figures[0], figures[1]
        state[health.TRANSIT, row] = figures[2]
        delay[0, row], delay[1, row], delay[2, row] = figures[3], figures[4], figures[5]
        seen[row] = figures[6]
        state[health.NEXT, row] = sequence + 1
        state[health.HEARD, row] = heard_count[place]
        state[health.UPDATED, row] = arrived
        due[row] -= 1
    return left
