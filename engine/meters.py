"""What is measured on the tunnels: health, and the tests for brownouts, side by side."""

from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import Rows, bounds, distinct
from patronus.engine.brownout import Brownout
from patronus.engine.delayshift import I8
from patronus.engine.health import Bools, Habit, Health, Sample
from patronus.engine.lossshift import Epochs
from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Policy
from patronus.engine.units import LONG_AGO, MS
from patronus.engine.verdict import Figures


class Alarmed(NamedTuple):
    """Rows whose loss or delay has changed for the worse, ascending."""

    rows: I64
    at_ns: I64
    """When the proof arrived."""
    figures: Figures
    """What was known of them at that time."""


class Columns(NamedTuple):
    """The state that an ordinary reflection moves, for a driver that compiles this pass."""

    health: I64
    """Shape (fields, rows), see :mod:`health`."""
    ahead: Bools
    """Rows whose peer has told more than their last reflection did."""
    due: I64
    """Packets until a row's loss test has something to do."""
    delay: I64
    """Shape (fields, rows), see :mod:`delayshift`."""
    special: Bools
    """Rows that the test of delays must take one by one."""
    seen: I8
    """Samples of young rows."""


class Window(NamedTuple):
    """What :meth:`Meters.figures` is worked out from, for a driver that compiles that."""

    health: I64
    """Shape (fields, rows), see :mod:`health`."""
    opened: I64
    """Open bucket, shape (2, rows): data packets sent, packets lost."""
    sums: I64
    """Closed buckets of the window, shape (2, rows): packets sent and lost."""
    estimate_ppm: I64
    """Loss since the change point of alarmed rows, else -1."""
    stale_ns: int


class Buckets(NamedTuple):
    """The state that an evaluation moves where nothing is the matter, for such a driver."""

    ring: I32
    """Closed buckets, shape (window, 2, rows): packets sent and lost."""
    place: I32
    """Of each row's oldest bucket in the ring."""
    age: I32
    """Intervals since an alarm began, ended, or patience changed."""
    patience: I32
    """How often the threshold of a row's loss test was doubled."""
    alarmed: Bools
    """For loss."""
    epochs: Epochs


_NOTHING: Final = np.zeros(0, dtype=np.int64)
_NONE: Final = Alarmed(_NOTHING, _NOTHING, Figures(_NOTHING, _NOTHING, _NOTHING))


class Meters:
    """Measurements of many rows."""

    def __init__(self, rows: int, policy: Policy) -> None:
        """Create meters that have seen nothing."""
        self.health = Health(rows, policy.loss_window)
        self.brownout = Brownout(rows)
        self._rows, self._policy = rows, policy
        # Probes sent and lost that a peer has told of before their next reflection came.
        self._ahead: I32 = np.zeros((2, rows), dtype=np.int32)
        self._is_ahead: Bools = np.zeros(rows, dtype=np.bool_)

    @property
    def columns(self) -> Columns:
        """The arrays themselves, not copies."""
        loss, delay = self.brownout.loss, self.brownout.delay
        return Columns(
            health=self.health.state,
            ahead=self._is_ahead,
            due=loss.left,
            delay=delay.state,
            special=delay.special,
            seen=delay.seen,
        )

    @property
    def window(self) -> Window:
        """The arrays themselves, not copies."""
        health = self.health
        estimate_ppm = self.brownout.loss.estimate_ppm
        return Window(health.state, health.opened, health.sums, estimate_ppm, self._policy.stale_ns)

    @property
    def buckets(self) -> Buckets:
        """The arrays themselves, not copies."""
        health, loss = self.health, self.brownout.loss
        return Buckets(
            health.ring, health.place, loss.age, loss.patience, loss.alarmed, loss.epochs
        )

    def observe(
        self,
        rows: Rows,
        *,
        sent_ns: I64,
        reflected_ns: I64,
        arrived_ns: I64,
        sequence: I64,
        heard_count: I64,
    ) -> Alarmed:
        """Take at most one reflected probe a row; return the rows that raised an alarm.

        Args:
            rows: the rows meant; every array has one element for each.
            sent_ns: by our clock, as ``arrived_ns`` (``NEVER``: no reflection came).
            reflected_ns: by the peer's clock.
            arrived_ns: of the reflection.
            sequence: of the probe.
            heard_count: probes of this row that the peer had heard by then.
        """
        sample = self.health.observe(
            rows,
            sent_ns=sent_ns,
            reflected_ns=reflected_ns,
            arrived_ns=arrived_ns,
            sequence=sequence,
            heard_count=heard_count,
        )
        self._catch_up(rows, sample)
        loss = self.brownout.observe_loss(rows, sent=sample.sent, lost=sample.lost)
        delay = self.brownout.observe_delay(
            rows, rtt_ns=sample.rtt_ns, jitter_ns=self.health.jitter_ns(rows)
        )
        if not (len(loss.alarmed) or len(delay.alarmed)):  # nearly always
            return _NONE
        alarmed = distinct(np.concatenate([loss.alarmed, delay.alarmed]))
        if isinstance(rows, slice):
            place = alarmed - bounds(rows, self._rows)[0]
        else:
            place = np.searchsorted(rows, alarmed)
        return self._alarmed(alarmed, arrived_ns[place])

    def _catch_up(self, rows: Rows, sample: Sample) -> None:
        """Take off what was known before these samples came."""
        at = np.flatnonzero(self._is_ahead[rows])
        at = at[sample.sent[at] > 0]
        if len(at):
            row = at + bounds(rows, self._rows)[0] if isinstance(rows, slice) else rows[at]
            for given, told in zip((sample.sent, sample.lost), self._ahead[:, row], strict=True):
                given[at] = np.maximum(given[at] - told, 0)
            self._ahead[:, row], self._is_ahead[row] = 0, False

    def overdue(self, rows: Rows, after_ns: I64, now_ns: int) -> tuple[I64, I64]:
        """Return those of some rows without a reflection for so long, and how long a trip may take.

        Args:
            rows: the rows meant.
            after_ns: one element for each of them.
            now_ns: the time.
        """
        updated_ns = self.health.updated_ns
        at = np.flatnonzero(updated_ns[rows] < now_ns - after_ns)
        late = at + bounds(rows, self._rows)[0] if isinstance(rows, slice) else rows[at]
        late = late[updated_ns[late] != LONG_AGO]
        # The timer of RFC 6298 section 2: beyond it a packet counts as lost.
        jitter_ns = np.maximum(self.health.jitter_ns(late), 0)
        return late, self.health.srtt_ns[late] + 4 * jitter_ns + MS

    def report(self, rows: I64, *, sequence: I64, heard_count: I64, at_ns: I64) -> Alarmed:
        """Take what peers say of some rows (ascending) in packets that are no reflections.

        It speaks of loss alone, and only earlier than the next reflection would.

        Args:
            rows: the rows meant; every array has one element for each.
            sequence: of a probe that must have reached the peer if it ever does.
            heard_count: probes of this row that the peer had heard by then.
            at_ns: when that became known.
        """
        before = self._ahead[:, rows].astype(np.int64)
        known = np.maximum(before, self.health.missing(rows, sequence, heard_count))
        self._ahead[:, rows], self._is_ahead[rows] = known, known[0] > 0
        sent, lost = known - before
        return self._counted(rows, sent, lost, at_ns)

    def count(self, rows: I64, *, sent: I64, lost: I64, at_ns: I64) -> Alarmed:
        """Take the peers' counts of data packets on some rows (ascending), as :meth:`observe`.

        Args:
            rows: the rows meant; every array has one element for each.
            sent: since the last report.
            lost: of those.
            at_ns: when the report arrived.
        """
        self.health.count(rows, sent=sent, lost=lost)
        return self._counted(rows, sent, lost, at_ns)

    def _counted(self, rows: I64, sent: I64, lost: I64, at_ns: I64) -> Alarmed:
        """Ask whether counts of some rows (ascending) speak of a brownout."""
        alarmed = self.brownout.observe_loss(rows, sent=sent, lost=lost).alarmed
        if not len(alarmed):
            return _NONE
        return self._alarmed(alarmed, at_ns[np.searchsorted(rows, alarmed)])

    def _alarmed(self, rows: I64, at_ns: I64) -> Alarmed:
        # The figures of this instant: before the driver hands over the alarm, later
        # samples of its batch may have been taken.
        return Alarmed(rows, at_ns, self.figures(rows, at_ns))

    def figures(self, rows: I64, now_ns: I64 | int) -> Figures:
        """Return what is known of some rows now, or at one time for each.

        What is older than ``stale_ns`` is unknown. Loss is what the counts of the window
        prove, and after a brownout alarm at least what was lost since the change.
        """
        stale = now_ns - self.health.updated_ns[rows] > self._policy.stale_ns
        loss = self.health.loss_floor_ppm(rows)
        if self._policy.features.brownout:
            loss = np.maximum(loss, self.brownout.estimate_ppm(rows))
        return Figures(
            rtt_ns=np.where(stale, -1, self.health.srtt_ns[rows]),
            jitter_ns=np.where(stale, -1, self.health.jitter_ns(rows)),
            loss_ppm=np.where(stale, -1, loss),
        )

    def habitual(self, rows: I64) -> Bools:
        """Tell of which rows the habit may be one that counts."""
        return self.health.habitual(rows)

    def habit(self, rows: I64) -> Habit:
        """Return how probes of some rows usually get lost."""
        return self.health.habit(rows)

    def count_anew(self, rows: I64) -> None:
        """Forget what was lost before rows were heard again: that was silence, not loss."""
        self.health.count_anew(rows)
        self.brownout.count_anew(rows)

    def rotate(self, rows: I64) -> None:
        """Let an evaluation interval of some rows pass."""
        self.health.rotate(rows)
        self.brownout.rotate(rows)

    def forget(self, rows: I64) -> None:
        """Make rows unknown again."""
        self._ahead[:, rows], self._is_ahead[rows] = 0, False
        self.health.forget(rows)
        self.brownout.forget(rows)
