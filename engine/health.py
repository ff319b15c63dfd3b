"""Health of each tunnel from its own reflected probes: round trip, jitter, loss.

    srtt      s += (r - s) >> 3                      RFC 6298 section 2, gain 1/8
    jitter    J += |D| - ((J + 8) >> 4)              RFC 3550 A.8, kept times 16
    loss      gaps in the sequence, by direction     RFC 8762: the reflector counts too

D is the difference of two one-way transits of the way out (reflected - sent), so the
clocks of the two ends need not agree. A gap of probes is split by the peer's own count:
what it did not hear was lost on the way out, the rest on the way back. SLA loss is the
way out, since that is where we send. The first sample counts only itself; before it
every figure is unknown (-1), and jitter is until the second.

A sample whose sequence is not newer than the last (reordered or duplicated) changes
nothing but ``late``. Sequences and the peer's count are 32-bit serial numbers (RFC 1982).

Loss is kept in buckets: :meth:`Health.rotate` closes one per evaluation interval, and
the figure is that of the last ``window`` closed ones and the open one.

In a dense call almost every row has one fresh sample, so a block is worked through as
if all had. The odd rows (first, late, missing, wrapped) are then put back as they were
and go through the same arithmetic one by one, after being made ordinary.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.arrays import BLOCK, Rows, blocks, bounds, hits, index, isqrt, runs
from patronus.engine.overlay import I32, I64
from patronus.engine.units import LONG_AGO, PPM

Bools = npt.NDArray[np.bool_]

UNKNOWN: Final = -1

OUTAGE_PROBES: Final = 10
"""More probes lost in a row are an outage, which liveness reports, not a habit of the path."""

UNPROVEN: Final = 4
"""So many bursts are not more than twice their root, so they prove nothing."""

HABIT_PROBES: Final = 2**15
"""The habit is halved beyond so many probes: it reaches back about an hour at 10 Hz."""

SRTT, JITTER, UPDATED, NEXT, TRANSIT, HEARD, MARK, BASE = range(8)
_NOTHING_YET: Final = np.array(
    [UNKNOWN, UNKNOWN, LONG_AGO, LONG_AGO, 0, 0, LONG_AGO, LONG_AGO], dtype=np.int64
)[:, None]

_SERIAL_HALF: Final = 2**31
_SERIAL_MASK: Final = 2**32 - 1
ROUND_TRIP_MAX: Final = 2**62
_BUCKET_MAX: Final = 2**31 - 1
_NONE: Final = np.zeros(0, dtype=np.int64)


class Sample(NamedTuple):
    """What the probe of each row told, for the detectors; 0, 0, -1 where it told nothing."""

    sent: I64
    """Probes that it accounts for: itself and the missing ones before it."""
    lost: I64
    """Those of them that the peer never heard."""
    rtt_ns: I64


class Habit(NamedTuple):
    """How probes usually get lost, both directions together and outages left out."""

    loss_ppm: I64
    """-1 when nothing was counted."""
    burst_milli: I64
    """Mean number of probes lost in a row, times 1000; 1000 while none was."""
    proven_ppm: I64
    """Two standard deviations of the number of bursts below that: one event proves nothing."""


class Probes(NamedTuple):
    """At most one reflected probe for each of some rows."""

    sent_ns: I64
    reflected_ns: I64
    arrived_ns: I64
    sequence: I64
    heard_count: I64

    def at(self, where: slice | I64) -> "Probes":
        """Return those at some places."""
        return Probes(*(field[where] for field in self))


class Health:
    """Figures of many rows; one element a row in each array."""

    def __init__(self, rows: int, window: int = 10) -> None:
        """Create figures of which nothing is known.

        Args:
            rows: number of rows.
            window: closed buckets that loss is judged over, at least 1.
        """
        self.state: I64 = np.empty((8, rows), dtype=np.int64)
        self.srtt_ns: I64 = self.state[SRTT]
        self.jitter_x16: I64 = self.state[JITTER]
        self.updated_ns: I64 = self.state[UPDATED]
        """Arrival of the last sample, ``LONG_AGO`` before the first."""
        self.late: I32 = np.zeros(rows, dtype=np.int32)
        """Samples that came after a newer one, or twice."""
        # Open bucket: data packets sent, packets lost. The probes sent are what the next
        # sequence is ahead of the mark (and of the base, for the habit), so that a dense
        # call need not count them.
        self.opened: I64 = np.zeros((2, rows), dtype=np.int64)
        self.sums: I64 = np.zeros((2, rows), dtype=np.int64)
        # Bucket by bucket, so that closing those of many rows goes straight through memory.
        self.ring: I32 = np.zeros((window, 2, rows), dtype=np.int32)
        self.place: I32 = np.zeros(rows, dtype=np.int32)
        # Probes lost (either way), runs of lost ones.
        self.habits: I64 = np.zeros((2, rows), dtype=np.int64)
        self.state[:] = _NOTHING_YET

    def forget(self, rows: Rows) -> None:
        """Make rows unknown again, as after a restart of the agent."""
        self.state[:, rows] = _NOTHING_YET
        self.opened[:, rows] = self.sums[:, rows] = self.habits[:, rows] = 0
        self.late[rows] = self.place[rows] = 0
        self.ring[:, :, rows] = 0

    # ------------------------------------------------------------ samples

    def observe(
        self,
        rows: Rows,
        *,
        sent_ns: I64,
        reflected_ns: I64,
        arrived_ns: I64,
        sequence: I64,
        heard_count: I64,
    ) -> Sample:
        """Take at most one reflected probe a row.

        Args:
            rows: the rows meant; every array has one element for each of them.
            sent_ns: by our clock.
            reflected_ns: by the peer's.
            arrived_ns: by our clock, ``NEVER`` where no reflection came. A reflection
                that came before it was sent (our clock was set) counts as missing.
            sequence: of the probe.
            heard_count: probes of this row that the peer had heard by then, this one
                included.
        """
        probes = Probes(sent_ns, reflected_ns, arrived_ns, sequence, heard_count)
        if isinstance(rows, slice):
            return self._observe_slice(*bounds(rows, len(self.late)), probes)
        return self._observe_each(rows, probes)

    def _observe_slice(self, start: int, stop: int, probes: Probes) -> Sample:
        state = self.state[:, start:stop]
        gap = probes.sequence - state[NEXT]
        rtt_ns = probes.arrived_ns - probes.sent_ns
        # As unsigned numbers the negative ones are huge: one comparison tells both.
        ordinary = gap.view(np.uint64) < _SERIAL_HALF
        ordinary &= rtt_ns.view(np.uint64) < ROUND_TRIP_MAX
        odd = _NONE if ordinary.all() else hits(~ordinary)
        if len(odd):
            gap[odd] = 0
            before = state[:, odd]
        lost = np.zeros(len(gap), dtype=np.int64)
        holes = hits(gap)
        if len(holes):
            lost[holes] = self._tally(holes + start, gap[holes], probes.heard_count[holes])
        # Not kept: blocks of rows may be observed from several threads.
        scratch = np.empty((2, BLOCK), dtype=np.int64)
        for place in blocks(stop - start):
            _advance(state[:, place], probes.at(place), rtt_ns[place], scratch)
        gap += 1
        out = Sample(gap, lost, rtt_ns)
        if len(odd):
            state[:, odd] = before
            for dense, each in zip(
                out, self._observe_each(odd + start, probes.at(odd)), strict=True
            ):
                dense[odd] = each
        return out

    def _observe_each(self, rows: I64, probes: Probes) -> Sample:
        rtt_ns = probes.arrived_ns - probes.sent_ns
        came = rtt_ns.view(np.uint64) < ROUND_TRIP_MAX
        expected = self.state[NEXT, rows]
        first = expected == LONG_AGO
        gap = np.where(first, 0, _serial(probes.sequence - expected))
        fresh = came & (gap >= 0)
        if fresh.all():
            return Sample(gap + 1, self._take(rows, probes, rtt_ns, gap, first), rtt_ns)
        self.late[rows[came & ~fresh]] += 1
        rtt_ns[~fresh] = UNKNOWN
        sent = np.where(fresh, gap + 1, 0)
        lost = np.zeros(len(rows), dtype=np.int64)
        at = hits(fresh)
        if len(at):
            lost[at] = self._take(rows[at], probes.at(at), rtt_ns[at], gap[at], first[at])
        return Sample(sent, lost, rtt_ns)

    def _take(self, rows: I64, probes: Probes, rtt_ns: I64, gap: I64, first: Bools) -> I64:
        lost = self._tally(rows, gap, probes.heard_count)
        # Rows are made such that the ordinary step gives the right result: a first sample
        # comes as if nothing had changed since one like it, a wrapped one without the wrap.
        state = self.state[:, rows]
        wrap = probes.sequence - gap - state[NEXT]
        if wrap.any():
            for start in (MARK, BASE):
                state[start] = np.where(first, probes.sequence, state[start] + wrap)
        state[SRTT, first] = rtt_ns[first]
        state[TRANSIT, first] = (probes.reflected_ns - probes.sent_ns)[first]
        _advance(state, probes, rtt_ns, np.empty((2, len(rows)), dtype=np.int64))
        state[JITTER, first] = UNKNOWN
        self.state[:, rows] = state
        return lost

    def _tally(self, rows: I64, gap: I64, heard_count: I64) -> I64:
        """Count missing probes (none is fine); return those lost on the way out."""
        # The probe itself was heard, so at most the whole gap was lost; also when the
        # peer has started counting anew.
        if not gap.any():
            return np.zeros(len(gap), dtype=np.int64)
        heard = _serial(heard_count - self.state[HEARD, rows])
        lost: I64 = np.clip(gap + 1 - heard, 0, gap)
        self.opened[1, rows] += lost
        outage = gap > OUTAGE_PROBES
        self.state[BASE, rows] += np.where(outage, gap, 0)
        self.habits[0, rows] += np.where(outage, 0, gap)
        self.habits[1, rows] += (gap > 0) & ~outage
        return lost

    def missing(self, rows: I64, sequence: I64, heard_count: I64) -> tuple[I64, I64]:
        """Return the probes after the last sample up to a sequence, and how many were lost.

        ``heard_count`` is the peer's count when all of them must have arrived. Nothing changes.
        """
        sent = np.maximum(_serial(sequence + 1 - self.state[NEXT, rows]), 0)
        heard = _serial(heard_count - self.state[HEARD, rows])
        return sent, np.clip(sent - heard, 0, sent)

    # ------------------------------------------------------------ loss

    def count(self, rows: Rows, *, sent: I64, lost: I64) -> None:
        """Add data packets that were counted on the way out."""
        self.opened[0, rows] += sent
        self.opened[1, rows] += lost

    def count_anew(self, rows: I64) -> None:
        """Let the window of loss begin here; habits and everything else stay."""
        self.state[MARK, rows] = self.state[NEXT, rows]
        self.opened[:, rows] = self.sums[:, rows] = 0
        self.ring[:, :, rows] = 0

    def rotate(self, rows: Rows) -> None:
        """Close the open bucket of some rows; once per evaluation interval."""
        for part, _ in runs(rows, len(self.late)):
            if isinstance(part, slice):
                self._rotate(part)
                continue
            for at in blocks(len(part)):  # all that a row has is touched twice
                self._rotate(part[at])

    def _rotate(self, rows: Rows) -> None:
        following = self.state[NEXT][rows]
        closed = self.opened[:, rows].copy()
        closed[0] += following - self.state[MARK][rows]
        np.minimum(closed, _BUCKET_MAX, out=closed)
        place = self.place[rows]
        # Mostly all rows are at the same place, which is then one number.
        same = len(place) > 0 and bool((place == place[0]).all())
        if same:
            bucket = self.ring[int(place[0])]
            self.sums[:, rows] += closed - bucket[:, rows]
            bucket[:, rows] = closed
        else:
            each = index(rows, len(self.late))
            self.sums[:, rows] += closed - self.ring[place, :, each].T
            self.ring[place, :, each] = closed.T
        self.place[rows] = ((place[:1] if same else place) + 1) % len(self.ring)
        self.state[MARK][rows] = following
        self.opened[:, rows] = 0
        probes = following - self.state[BASE][rows]
        long = hits(probes > HABIT_PROBES)
        if len(long):
            self._forget_half(index(rows, len(self.late))[long], probes[long])

    def _forget_half(self, rows: I64, probes: I64) -> None:
        self.state[BASE, rows] += probes - (probes >> 1)
        self.habits[:, rows] >>= 1

    def loss_ppm(self, rows: Rows) -> I64:
        """Return the share of packets lost over the window, -1 when nothing was counted."""
        sent, lost = self._window(rows)
        return _share_ppm(lost, sent)

    def loss_floor_ppm(self, rows: Rows) -> I64:
        """Return the loss that the counts prove: two standard deviations below the share.

        One probe lost out of a hundred is no proof of 1 % loss; it is of none. Use this
        where a decision hangs on the figure.
        """
        sent, lost = self._window(rows)
        some = hits(lost)
        # Twice the root, rounded once: else four lost packets would prove less than three.
        lost[some] = np.maximum(lost[some] - isqrt(4 * lost[some]), 0)
        return _share_ppm(lost, sent)

    def habitual(self, rows: I64) -> Bools:
        """Tell of which rows so many bursts were counted that they may prove a habit."""
        proven: Bools = self.habits[1, rows] > UNPROVEN
        return proven

    def habit(self, rows: Rows) -> Habit:
        """Return how probes of some rows usually get lost."""
        lost, bursts = self.habits[:, rows]
        probes = self.state[NEXT][rows] - self.state[BASE][rows]
        burst_milli = np.full(len(lost), 1000, dtype=np.int64)
        some = hits(bursts)
        burst_milli[some] = 1000 * lost[some] // bursts[some]
        # Probes lost in a row are one event: a cable that was once routed around is no habit.
        proven = np.maximum(bursts - isqrt(4 * bursts), 0) * lost // np.maximum(bursts, 1)
        return Habit(_share_ppm(lost, probes), burst_milli, _share_ppm(proven, probes))

    def jitter_ns(self, rows: Rows) -> I64:
        """Return the interarrival jitter, -1 before the second sample."""
        jitter_ns: I64 = self.jitter_x16[rows] >> 4
        return jitter_ns

    def _window(self, rows: Rows) -> I64:
        length = len(rows) if not isinstance(rows, slice) else len(self.late[rows])
        counts: I64 = np.empty((2, length), dtype=np.int64)
        for part, place in runs(rows, len(self.late)):
            counts[:, place] = self.sums[:, part] + self.opened[:, part]
            counts[0, place] += self.state[NEXT][part] - self.state[MARK][part]
        return counts


def _advance(state: I64, probes: Probes, rtt_ns: I64, scratch: I64) -> None:
    """Move the estimators by one fresh sample a row."""
    srtt, jitter = state[SRTT], state[JITTER]
    step, change = scratch[:, : len(rtt_ns)]
    np.subtract(rtt_ns, srtt, out=step)
    step >>= 3
    srtt += step
    np.subtract(probes.reflected_ns, probes.sent_ns, out=step)
    np.subtract(step, state[TRANSIT], out=change)
    state[TRANSIT] = step
    np.abs(change, out=change)
    np.maximum(jitter, 0, out=jitter)  # unknown until now: the RFC starts at 0
    np.add(jitter, 8, out=step)
    step >>= 4
    change -= step
    jitter += change
    np.add(probes.sequence, 1, out=state[NEXT])
    state[HEARD] = probes.heard_count
    state[UPDATED] = probes.arrived_ns


def _serial(difference: I64) -> I64:
    """Return differences of 32-bit serial numbers as signed numbers (RFC 1982 section 3.2)."""
    signed: I64 = ((difference + _SERIAL_HALF) & _SERIAL_MASK) - _SERIAL_HALF
    return signed


def _share_ppm(lost: I64, sent: I64) -> I64:
    share = np.where(sent > 0, 0, UNKNOWN)
    some = hits((lost > 0) & (sent > 0))  # a division costs more than all the rest
    share[some] = PPM * lost[some] // sent[some]
    return share
