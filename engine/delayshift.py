"""Sequential detection of a change of delay, against what is usual for the row.

A CUSUM of Page on each round trip, in units of the row's own *width* w, which is its
usual deviation: the greater of the measured jitter and the distance of round trips from
the usual one, and at least ``WIDTH_NS_MIN``.

    x = round trip - usual, at most 4 w either way (one late packet is no change)
    S += x - w, S >= 0                                alarm at S >= 16 w

So a step of five widths is seen after six samples, one of two after sixteen, one of less
than a width never; it is within the noise.

``usual`` and ``width`` follow slowly (gain 1/256; 1/8 for the first samples) and are
frozen while S stands at 8 w or more. Only a fall beyond 4 w is followed at gain 1/8: a
shorter path is no brownout, but the next rise must be seen from there.

An alarm is cleared by the mirrored test, round trips that are within half a width of the
usual for long enough (D += w/2 - x, cleared at D >= 6 w). A level that stays for
``ADOPT_INTERVALS`` becomes the usual one (:meth:`DelayShift.rotate`).

Dense calls treat all rows as calm; the few that are not (new, raised, alarmed, without a
sample, far below) are put back as they were and taken one by one.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.engine.arrays import Rows, blocks, bounds, hits, index
from patronus.engine.lossshift import ADOPT_INTERVALS, Shift
from patronus.engine.overlay import I32, I64
from patronus.engine.units import MS, SECOND

Bools = npt.NDArray[np.bool_]
I8 = npt.NDArray[np.int8]

WIDTH_NS_MIN: Final = MS
"""Changes of less are of no use to anybody who chooses between wide-area paths."""

WIDTH_NS_MAX: Final = SECOND

YOUNG: Final = 32
"""So many samples are learnt from quickly; the width starts generous meanwhile."""

ALARM_WIDTHS: Final = 16
RAISED_WIDTHS: Final = 8
CLEAR_WIDTHS: Final = 6

UNKNOWN: Final = -1

CLIP: Final = 2  # a shift: four widths
FAST: Final = 3  # shifts: gains 1/8 and 1/256
SLOW: Final = 8
USUAL, WIDTH, SCORE, LEVEL = range(4)
_NO_ROWS: Final = np.zeros(0, dtype=np.int64)
_NO_SHIFT: Final = Shift(_NO_ROWS, _NO_ROWS)


class DelayShift:
    """The delay test of many rows; one element a row in each array."""

    def __init__(self, rows: int) -> None:
        """Create tests of rows of which nothing is known."""
        self.state: I64 = np.zeros((4, rows), dtype=np.int64)
        self.usual_ns: I64 = self.state[USUAL]
        """Usual round trip, -1 before the first sample."""
        self.width_ns: I64 = self.state[WIDTH]
        self.alarmed: Bools = np.zeros(rows, dtype=np.bool_)
        self._raised: Bools = np.zeros(rows, dtype=np.bool_)
        self.special: Bools = np.ones(rows, dtype=np.bool_)
        """Unknown, raised or alarmed: what a dense call cannot take."""
        self.seen: I8 = np.zeros(rows, dtype=np.int8)
        self._age: I32 = np.zeros(rows, dtype=np.int32)
        self.usual_ns[:] = UNKNOWN

    def forget(self, rows: Rows) -> None:
        """Make rows unknown again."""
        self.state[:, rows] = np.array([UNKNOWN, 0, 0, 0], dtype=np.int64)[:, None]
        self.alarmed[rows] = self._raised[rows] = False
        self.special[rows] = True
        self.seen[rows] = self._age[rows] = 0

    def observe(self, rows: Rows, *, rtt_ns: I64, jitter_ns: I64) -> Shift:
        """Take at most one sample a row.

        Args:
            rows: the rows meant.
            rtt_ns: round trips, negative where there is no sample.
            jitter_ns: measured jitter of each row, negative where unknown.
        """
        if isinstance(rows, slice):
            start, stop = bounds(rows, len(self.alarmed))
            odd = [
                self._observe_block(start, at, rtt_ns[at], jitter_ns[at])
                for at in blocks(stop - start)
            ]
            at = np.concatenate([_NO_ROWS, *odd])
            rows, rtt_ns, jitter_ns = at + start, rtt_ns[at], jitter_ns[at]
        came = rtt_ns >= 0
        if not came.all():
            rows, rtt_ns, jitter_ns = rows[came], rtt_ns[came], jitter_ns[came]
        return self._observe_each(rows, rtt_ns, jitter_ns) if len(rows) else _NO_SHIFT

    def _observe_each(self, rows: I64, rtt_ns: I64, jitter_ns: I64) -> Shift:
        new, loud = self.usual_ns[rows] == UNKNOWN, self.alarmed[rows]
        odd = new | loud
        if not odd.any():  # nearly always
            return Shift(self._watch(rows, rtt_ns, jitter_ns), _NO_ROWS)
        calm = ~odd
        self._meet(rows[new], rtt_ns[new], jitter_ns[new])
        alarmed = self._watch(rows[calm], rtt_ns[calm], jitter_ns[calm])
        return Shift(alarmed, self._follow(rows[loud], rtt_ns[loud]))

    def _observe_block(self, start: int, at: slice, rtt_ns: I64, jitter_ns: I64) -> I64:
        """Take the calm rows of a block; return the places of the others in the call."""
        rows = slice(start + at.start, start + at.stop)
        state, seen = self.state[:, rows], self.seen[rows]
        after = _step(state, rtt_ns, jitter_ns, _gain(seen))
        odd = after[SCORE] >= RAISED_WIDTHS * state[WIDTH]
        odd |= rtt_ns < 0
        odd |= self.special[rows]
        others = hits(odd) if odd.any() else _NO_ROWS
        for field, value in zip(state, after, strict=False):
            value[others] = field[others]
            field[:] = value
        if seen.min(initial=YOUNG) < YOUNG:
            seen += ~odd & (seen < YOUNG)
        places: I64 = others + at.start
        return places

    def _meet(self, rows: I64, rtt_ns: I64, jitter_ns: I64) -> None:
        """Take first samples. The width begins as RFC 6298 begins its variance, generously."""
        width_ns = np.clip(np.maximum(rtt_ns >> 1, jitter_ns), WIDTH_NS_MIN, WIDTH_NS_MAX)
        self.state[:, rows] = np.stack([rtt_ns, width_ns, 0 * rtt_ns, rtt_ns])
        self.special[rows] = False
        self.seen[rows] = 1

    def _watch(self, rows: I64, rtt_ns: I64, jitter_ns: I64) -> I64:
        """Test calm rows, raised ones among them; return those that alarm."""
        state, seen, frozen = self.state[:, rows], self.seen[rows], self._raised[rows]
        after = _step(state, rtt_ns, jitter_ns, _gain(seen))
        usual_ns, width_ns, score = after
        hit = score >= ALARM_WIDTHS * state[WIDTH]
        raised = score >= RAISED_WIDTHS * state[WIDTH]
        state[SCORE] = np.where(hit, 0, score)
        state[USUAL] = np.where(frozen, state[USUAL], usual_ns)
        state[WIDTH] = np.where(frozen, state[WIDTH], width_ns)
        state[LEVEL] = rtt_ns
        self.state[:, rows] = state
        self.seen[rows] = np.minimum(seen + 1, YOUNG)
        self.alarmed[rows] = hit
        self._raised[rows] = raised & ~hit
        self.special[rows] = raised
        alarmed: I64 = rows[hit]
        self._age[alarmed] = 0
        return alarmed

    def _follow(self, rows: I64, rtt_ns: I64) -> I64:
        """Ask whether alarmed rows are as usual again; return those that are."""
        usual_ns, width_ns, mirror, level_ns = self.state[:, rows]
        most = width_ns << CLIP
        mirror += (width_ns >> 1) - np.clip(rtt_ns - usual_ns, -most, most)
        clear = mirror >= CLEAR_WIDTHS * width_ns
        self.state[SCORE, rows] = np.where(clear, 0, np.maximum(mirror, 0))
        self.state[LEVEL, rows] = level_ns + ((rtt_ns - level_ns) >> FAST)
        cleared: I64 = rows[clear]
        self.alarmed[cleared] = self.special[cleared] = False
        return cleared

    def rotate(self, rows: Rows) -> I64:
        """Let an evaluation interval pass; return rows whose level has become the usual one."""
        loud = index(rows, len(self.alarmed))[self.alarmed[rows]]
        age = self._age[loud] = self._age[loud] + 1
        adopted: I64 = loud[age >= ADOPT_INTERVALS]
        self.state[USUAL, adopted] = self.state[LEVEL, adopted]
        self.state[SCORE, adopted] = 0
        self.alarmed[adopted] = self.special[adopted] = False
        return adopted


def _step(state: I64, rtt_ns: I64, jitter_ns: I64, gain: int | I64) -> tuple[I64, I64, I64]:
    """Return usual, width and score after one sample a row, nothing frozen."""
    usual_ns, width_ns, score = state[USUAL], state[WIDTH], state[SCORE]
    # In place wherever it can be: a block and what is made of it stay in the nearest caches.
    most = width_ns << CLIP
    beyond = rtt_ns - usual_ns
    x = np.minimum(beyond, most)
    beyond += most  # below zero where a round trip is further down than what counts
    np.maximum(x, -most, out=x)
    after = score + x
    after -= width_ns
    np.maximum(after, 0, out=after)
    np.minimum(beyond, 0, out=beyond)
    beyond >>= FAST
    beyond += usual_ns
    beyond += x >> gain
    far = np.abs(x, out=x)
    np.maximum(far, jitter_ns, out=far)
    np.maximum(far, WIDTH_NS_MIN, out=far)
    # No sample counts for more than four widths, however odd the peer's clock.
    np.minimum(far, most, out=far)
    far -= width_ns
    far >>= gain
    far += width_ns
    np.minimum(far, WIDTH_NS_MAX, out=far)
    return beyond, far, after


def _gain(seen: I8) -> int | I64:
    """Return the shift of each row's gain, as one number where it is the same."""
    if seen.min(initial=YOUNG) == YOUNG:
        return SLOW
    return np.where(seen < YOUNG, FAST, SLOW)
