"""Sequential detection of a change of loss on counted packets.

For each row three suspicions run side by side (a bit worse than usual, a brownout,
nearly dead), each a CUSUM of Page over log-likelihood weights (``brownout_table.py``):

    S += added * lost - taken * sent,  S >= 0,  alarm at S >= ALARM

*Usual loss* is learnt from calm epochs of ``EPOCH`` packets: an epoch in which a
suspicion stands above half its threshold teaches nothing. The counts are halved at
``MEMORY`` packets, and the weights are those of the first tabled loss that is a standard
deviation above their share, so that what is not known yet makes the test slower and
never rash.

*An alarm* holds the counts since the change point (where the suspicion last left zero)
and their share as ``estimate_ppm``. From then on the mirrored test asks whether loss has
fallen below the estimate; when it has, the counts start again at *its* change point, and
if they speak for the usual loss the alarm is cleared. Loss that stays in between keeps
the alarm. And the gravest suspicion is asked once more, against the estimate in place of
the usual loss: a bad row that is now nearly dead alarms *again*.

After ``ADOPT_INTERVALS`` what is left is the new usual: the alarm ends without being
cleared (:meth:`LossShift.rotate`). Whether a class can live with it is not asked here:
verdicts look at loss, not at alarms.

*Bursts.* The weights take losses for independent. Where they come in bursts, alarms clear
themselves within moments; each that does doubles the row's threshold, up to
``2^PATIENCE_MAX`` times, and each ``PATIENCE_INTERVALS`` of calm halves it again.

Only a lost packet can raise a suspicion and only a run of good ones can clear an alarm,
whose length is known beforehand. So a call counts the good packets down, and touches
nothing else of a row until it loses a packet or the count is over. This changes no
result: a CUSUM that only falls may be lowered in one go.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.arrays import Rows, bounds, hits, index, isqrt
from patronus.engine.brownout_table import ADDED, ALARM, BASE_PPM, SUSPECTED_PPM, TAKEN
from patronus.engine.overlay import I32, I64
from patronus.engine.units import PPM

Bools = npt.NDArray[np.bool_]

EPOCH: Final = 128
"""Packets that are learnt from, or not, as a whole."""

MEMORY: Final = 2**19
"""Counts of usual loss are halved beyond so many packets: 17 minutes at 500 a second."""

PRIOR: Final = (300, 1)
"""Counts that stand for a row of which nothing is known yet: treated as 1 % usual loss."""

ESTIMATE_PACKETS, ESTIMATE_LOSSES = 2048, 64
"""The counts behind an estimate are halved at either; 64 losses are 12 % accurate."""

ADOPT_INTERVALS: Final = 300
"""Evaluation intervals (of 1 s) after which a level that stays is the usual one."""

BURST_INTERVALS: Final = 3
"""An alarm that clears itself earlier than this was a burst of losses, not a new level."""

PATIENCE_INTERVALS: Final = 600
PATIENCE_MAX: Final = 5
"""32 times slower is still 12 s from 0.1 % to 3 % at 500 packets a second."""

WORSE: Final = 2
"""An alarmed row needs four times the evidence to alarm again, so that bursts do not."""

UNKNOWN: Final = -1

_TAKEN: Final = np.array(TAKEN, dtype=np.int64)
_ADDED: Final = np.array(ADDED, dtype=np.int64)
_SUSPECTED: Final = np.array(SUSPECTED_PPM, dtype=np.int64)
_BASE: Final = np.array(BASE_PPM, dtype=np.int64)
_KINDS: Final = len(TAKEN)
_GRAVEST: Final = _KINDS - 1
_COUNT_MAX: Final = 2**30
_NO_ROWS: Final = np.zeros(0, dtype=np.int64)
_ZERO: Final = np.zeros(1, dtype=np.int64)


class Shift(NamedTuple):
    """Rows whose alarm began or ended, ascending."""

    alarmed: I64
    """Or was there already, and the row has become much worse since."""
    cleared: I64


class Epochs(NamedTuple):
    """What a look at a calm row moves, for a driver that compiles it; the arrays themselves."""

    quota: I64
    """Packets until the row must be looked at, as of the last look."""
    level: I32
    """Of its usual loss, in the table."""
    usual: I32
    """Packets and losses that the usual loss is known from, shape (2, rows)."""
    epoch: I32
    """The same of the epoch that runs."""
    score: I32
    """Suspicions, shape (kinds, rows)."""
    since: I32
    """Packets and losses since each left zero, shape (kinds, 2, rows)."""


class LossShift:
    """The loss test of many rows; one element a row in each array."""

    def __init__(self, rows: int) -> None:
        """Create tests of rows of which nothing is known."""
        self.alarmed: Bools = np.zeros(rows, dtype=np.bool_)
        self.estimate_ppm: I64 = np.empty(rows, dtype=np.int64)
        """Loss since the last change point while alarmed, else -1."""
        # Packets until the row must be looked at, and what that was at the last look.
        self.left: I64 = np.empty(rows, dtype=np.int64)
        self._quota: I64 = np.empty(rows, dtype=np.int64)
        self._level: I32 = np.empty(rows, dtype=np.int32)
        self._usual: I32 = np.empty((2, rows), dtype=np.int32)
        self._epoch: I32 = np.zeros((2, rows), dtype=np.int32)
        self._score: I32 = np.zeros((_KINDS, rows), dtype=np.int32)
        # Packets and losses since each suspicion left zero. While alarmed: [0] since the
        # change point, [1] since the mirrored test left zero, [_GRAVEST] since that did.
        self._since: I32 = np.zeros((_KINDS, 2, rows), dtype=np.int32)
        # While alarmed: mirrored test, suspicion it doubts, packets of the alarm, level
        # of the estimate.
        self._episode: I32 = np.zeros((4, rows), dtype=np.int32)
        # Intervals since an alarm began, ended, or patience changed.
        self.age: I32 = np.zeros(rows, dtype=np.int32)
        self.patience: I32 = np.zeros(rows, dtype=np.int32)
        self._assume_prior(slice(None))
        self._rest(slice(None))

    @property
    def epochs(self) -> Epochs:
        """The arrays themselves, not copies."""
        return Epochs(self._quota, self._level, self._usual, self._epoch, self._score, self._since)

    def forget(self, rows: Rows) -> None:
        """Make rows unknown again."""
        self.patience[rows] = 0
        self._assume_prior(rows)
        self.calm(rows)

    def _assume_prior(self, rows: Rows) -> None:
        self._usual[:, rows] = np.array(PRIOR, dtype=np.int32)[:, None]
        self._level[rows] = _level_of(*np.array(PRIOR, dtype=np.int64))

    def calm(self, rows: Rows) -> None:
        """End alarms and suspicions; the usual loss stays."""
        self.alarmed[rows] = False
        self._epoch[:, rows] = self._score[:, rows] = self._episode[:, rows] = 0
        self._since[:, :, rows] = self.age[rows] = 0
        self._rest(rows)

    def _rest(self, rows: Rows) -> None:
        self.estimate_ppm[rows] = UNKNOWN
        self.left[rows] = self._quota[rows] = EPOCH

    def usual_ppm(self, rows: Rows) -> I64:
        """Return the usual loss that rows are tested against."""
        usual: I64 = _BASE[self._level[rows]]
        return usual

    # ------------------------------------------------------------ counting

    def observe(self, rows: Rows, *, sent: I64, lost: I64) -> Shift:
        """Count packets of some rows: ``lost`` of ``sent``, in one batch a row."""
        left = self.left[rows]
        left -= sent
        if not isinstance(rows, slice):
            self.left[rows] = left
        due = lost > 0
        due |= left <= 0
        at = hits(due)
        if not len(at):
            return Shift(_NO_ROWS, _NO_ROWS)
        touched = at + bounds(rows, len(self.left))[0] if isinstance(rows, slice) else rows[at]
        sent, lost = sent[at], lost[at]
        good = self._quota[touched] - self.left[touched] - sent
        loud = self.alarmed[touched]
        if not loud.any():  # nearly always
            return Shift(self._watch(touched, good, sent, lost), _NO_ROWS)
        calm = ~loud
        alarmed = self._watch(touched[calm], good[calm], sent[calm], lost[calm])
        touched, good, sent, lost = touched[loud], good[loud], sent[loud], lost[loud]
        worse = self._worsen(touched, good, sent, lost)
        rest = ~np.isin(touched, worse)
        cleared = self._follow(touched[rest], (good + sent)[rest], lost[rest])
        return Shift(np.sort(np.concatenate([alarmed, worse])), cleared)

    def _watch(self, rows: I64, good: I64, sent: I64, lost: I64) -> I64:
        """Test calm rows; ``good`` packets arrived before this batch and after the last look."""
        level = self._level[rows]
        taken, added = _TAKEN[:, level], _ADDED[:, level]
        score: I64 = self._score[:, rows].astype(np.int64)
        limit = ALARM << self.patience[rows].astype(np.int64)
        since = self._since[:, :, rows].astype(np.int64)
        since = _climb(score, since, (taken, added), (good, sent, lost), limit)
        self._score[:, rows], self._since[:, :, rows] = score, since
        highest = score.max(axis=0)
        self._learn(rows, good + sent, lost, highest >= limit >> 1)
        hit = hits(highest == limit)
        if not len(hit):
            return _NO_ROWS
        alarmed: I64 = rows[hit]
        self._raise(alarmed, score[:, hit] == limit[hit], since[:, :, hit])
        return alarmed

    def _learn(self, rows: I64, sent: I64, lost: I64, raised: Bools) -> None:
        """Add counts to the epoch of each row; a full and calm one is learnt from."""
        epoch = self._epoch[:, rows] + np.stack([sent, lost])
        full = epoch[0] >= EPOCH
        teach = full & ~raised
        if teach.any():
            self._teach(rows[teach], self._usual[:, rows[teach]] + epoch[:, teach])
        epoch[:, full] = 0
        self._epoch[:, rows] = epoch
        self.left[rows] = self._quota[rows] = EPOCH - epoch[0]

    def _teach(self, rows: I64, counts: I64) -> None:
        """Set the counts of usual loss and the level they stand for."""
        counts = np.minimum(counts >> (counts[0] >= MEMORY), _COUNT_MAX)
        self._usual[:, rows] = counts
        self._level[rows] = _level_of(*counts)

    # ------------------------------------------------------------ alarms

    def _raise(self, rows: I64, holds: Bools, since: I64) -> None:
        """Begin alarms; the heaviest suspicion that holds knows the change point best."""
        kind = _KINDS - 1 - np.argmax(holds[::-1], axis=0)
        self._begin(rows, since[kind, :, np.arange(len(rows))].T)

    def _begin(self, rows: I64, counts: I64) -> None:
        """Begin alarms with the counts since the change point."""
        self.alarmed[rows] = True
        self.age[rows] = 0
        self._since[1:, :, rows] = 0
        self._score[:, rows] = self._episode[:, rows] = self._epoch[:, rows] = 0
        self._refer(rows, counts)

    def _refer(self, rows: I64, counts: I64) -> None:
        """Set the counts since the change point, and what the mirrored test doubts."""
        many = (counts[0] >= ESTIMATE_PACKETS) | (counts[1] >= ESTIMATE_LOSSES)
        counts = np.minimum(counts >> many, _COUNT_MAX)
        estimate_ppm = PPM * counts[1] // np.maximum(counts[0], 1)
        level = self._level[rows]
        kind = np.maximum((_SUSPECTED[:, level] <= estimate_ppm).sum(axis=0) - 1, 0)
        missing = ALARM - self._episode[0, rows]
        self.left[rows] = self._quota[rows] = -(-missing // _TAKEN[kind, level])
        self._since[0][:, rows] = counts
        self._episode[1, rows] = kind
        self._episode[3, rows] = _level_of(*np.maximum(counts, [[1], [0]]))
        self.estimate_ppm[rows] = estimate_ppm

    def _worsen(self, rows: I64, good: I64, sent: I64, lost: I64) -> I64:
        """Ask whether alarmed rows are now nearly dead; return those, their alarm begun anew."""
        level = self._episode[3, rows]
        # Beyond the table there is nothing graver to suspect.
        taken = _TAKEN[_GRAVEST, level]
        added = np.where(self.estimate_ppm[rows] < _BASE[-1], _ADDED[_GRAVEST, level], 0)
        score: I64 = self._score[_GRAVEST, rows].astype(np.int64)
        limit = ALARM << self.patience[rows].astype(np.int64) + WORSE
        since = self._since[_GRAVEST][:, rows].astype(np.int64)
        since = _climb(score, since, (taken, added), (good, sent, lost), limit)
        self._score[_GRAVEST, rows], self._since[_GRAVEST][:, rows] = score, since
        hit = score == limit
        worse: I64 = rows[hit]
        self._begin(worse, since[:, hit])
        return worse

    def _follow(self, rows: I64, sent: I64, lost: I64) -> I64:
        """Ask whether the loss of alarmed rows has fallen; return those that are as usual."""
        level, kind = self._level[rows], self._episode[1, rows]
        mirror = self._episode[0, rows] + _TAKEN[kind, level] * sent - _ADDED[kind, level] * lost
        below = _tally(mirror, self._since[1][:, rows].astype(np.int64), sent, lost)
        counts = self._since[0][:, rows] + np.stack([sent, lost])
        fallen = mirror >= ALARM
        counts[:, fallen] = below[:, fallen]
        below[:, fallen] = 0
        mirror[fallen] = 0
        self._since[1][:, rows] = below
        self._episode[0, rows] = np.maximum(mirror, 0)
        self._episode[2, rows] = np.minimum(self._episode[2, rows] + sent, _COUNT_MAX)
        clear = fallen & (_ADDED[0, level] * counts[1] <= _TAKEN[0, level] * counts[0])
        self._refer(rows[~clear], counts[:, ~clear])
        cleared: I64 = rows[clear]
        burst = cleared[self.age[cleared] < BURST_INTERVALS]
        self.patience[burst] = np.minimum(self.patience[burst] + 1, PATIENCE_MAX)
        self.calm(cleared)
        return cleared

    def rotate(self, rows: Rows) -> I64:
        """Let an evaluation interval pass; return rows whose level has become the usual one.

        Their alarms end. It takes ``ADOPT_INTERVALS`` in which at least an epoch was
        counted: a silent row learns nothing.
        """
        rows = index(rows, len(self.alarmed))
        age = self.age[rows] = np.minimum(self.age[rows] + 1, _COUNT_MAX)
        loud = self.alarmed[rows]
        calmed = rows[(age >= PATIENCE_INTERVALS) & ~loud]
        self.patience[calmed] = np.maximum(self.patience[calmed] - 1, 0)
        self.age[calmed] = 0
        return self._adopt(rows[(age >= ADOPT_INTERVALS) & loud])

    def _adopt(self, rows: I64) -> I64:
        good = self._quota[rows] - self.left[rows]
        counted = self._episode[2, rows] + good >= EPOCH
        adopted: I64 = rows[counted]
        counts = self._since[0][:, adopted].astype(np.int64)
        counts[0] += good[counted]
        self._teach(adopted, counts)
        self.calm(adopted)
        return adopted


def _climb(
    score: I64, since: I64, weights: tuple[I64, I64], packets: tuple[I64, I64, I64], limit: I64
) -> I64:
    """Move scores by good packets and then a batch; return the counts since they left zero.

    Args:
        score: shape (..., rows), updated.
        since: counts of packets and losses, shape (..., 2, rows).
        weights: what a packet takes and what a lost one adds to that.
        packets: good ones before the batch; sent and lost in it.
        limit: no score exceeds it.
    """
    (taken, added), (good, sent, lost) = weights, packets
    score -= taken * good
    since = _tally(score, since, good, _ZERO)
    np.maximum(score, 0, out=score)
    score += added * lost - taken * sent
    since = _tally(score, since, sent, lost)
    np.maximum(score, 0, out=score)
    np.minimum(score, limit, out=score)
    return since


def _tally(score: I64, since: I64, sent: I64, lost: I64) -> I64:
    """Add packets to counts since each score left zero, in place, and return them."""
    since[..., 0, :] += sent
    since[..., 1, :] += lost
    np.minimum(since, _COUNT_MAX, out=since)
    since *= (score > 0)[..., None, :]
    return since


def _level_of(sent: I64, lost: I64) -> I64:
    """Return the first tabled loss a standard deviation above a share."""
    ppm = -(-PPM * (lost + isqrt(lost) + 1) // sent)
    return np.minimum(np.searchsorted(_BASE, ppm), len(_BASE) - 1)
