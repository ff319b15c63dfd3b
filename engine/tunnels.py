"""The tunnels as their sites know them: liveness, holds, drains and shared fates.

Edges of silence come in, rows that went down or came up go out. Leaving is never
damped; :meth:`Tunnels.rise` lets a row that is heard again carry traffic when it has
kept its proof for the hold of :mod:`damping`, and :meth:`Tunnels.admit` before that
where no other is left: better unproven than none.
"""

from typing import Final

import numpy as np

from patronus.engine.damping import Damper
from patronus.engine.fingerprint import U64
from patronus.engine.health import Habit
from patronus.engine.liveness import I8, INIT, UP, Action, Input, State, step_many
from patronus.engine.multiplier import adapt
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO, MS, NEVER

_GO_DOWN: Final = int(Action.GO_DOWN)
_START_HOLD: Final = int(Action.START_HOLD)

SETTLE_NS: Final = 500 * MS
"""Down for so long, and every other site has heard it; twice the way of an announcement."""


class Tunnels:
    """One element a row in each array."""

    def __init__(self, overlay: Overlay, policy: Policy, fates: U64 | None = None) -> None:
        rows = overlay.rows
        profiles = [policy.profile(name) for name in overlay.transports]
        self._interval_ns = _by_row(overlay, [p.interval_ns for p in profiles])
        self._multiplier = _by_row(overlay, [p.multiplier for p in profiles])
        self.overdue_ns: I64 = self._interval_ns + (self._interval_ns >> 1)
        """A reflection is overdue so long after the one before."""
        self.damper = Damper(rows, policy)
        self.state: I8 = np.full(rows, State.DOWN, dtype=np.int8)
        self.init_ns: I64 = np.full(rows, NEVER, dtype=np.int64)
        """Since when a row in Init has been heard without a break."""
        self.settled: Bools = np.ones(rows, dtype=np.bool_)
        """Not up, and that for ``SETTLE_NS`` at some evaluation."""
        self._fell_ns: I64 = np.full(rows, LONG_AGO, dtype=np.int64)
        self.drained: Bools = np.zeros(rows, dtype=np.bool_)
        self.crossed: tuple[U64, ...] = ()
        """Bit sets of the shared-risk groups on each row's current route, word by word; words
        that are empty everywhere are left out."""
        self.fates: U64 = np.zeros((rows, 1), dtype=np.uint64)
        self.reroute(np.arange(rows), self.fates if fates is None else fates)
        self.detect_ns: I64 = self._interval_ns * self._multiplier
        """Silence beyond this long means down."""

    def reroute(self, rows: I64, fates: U64) -> None:
        """Take other routes of some rows, shape (rows, words)."""
        if self.fates.shape[1] != fates.shape[1]:
            self.fates = np.zeros((len(self.fates), fates.shape[1]), dtype=np.uint64)
        self.fates[rows] = fates
        self.crossed = tuple(np.ascontiguousarray(w) for w in self.fates.T if w.any())

    def share_fate(self, rows: I32, others: I32) -> Bools:
        """Tell of pairs of rows whether they cross a group together."""
        shared = np.zeros(len(rows), dtype=np.bool_)
        for word in self.crossed:
            shared |= (word[rows] & word[others]) != 0
        return shared

    def fall(self, rows: I64, given: Input, at_ns: int) -> I64:
        """Take ``EXPIRE`` or ``CARRIER_LOST`` on rows; return those that were up."""
        self.state[rows], actions = step_many(self.state[rows], given)
        down: I64 = rows[actions == _GO_DOWN]
        self._fell_ns[down] = at_ns
        self.damper.flap(down, at_ns)
        return down

    def settle(self, rows: I64, now_ns: int) -> I64:
        """Return those of some rows that have come to be down for long."""
        new = (self.state[rows] != UP) & ~self.settled[rows]
        new &= self._fell_ns[rows] <= now_ns - SETTLE_NS
        settled: I64 = rows[new]
        self.settled[settled] = True
        return settled

    def hear(self, rows: I64, at_ns: I64 | int) -> None:
        """Take ``CONFIRM`` on rows, at one time or at one each."""
        self.state[rows], actions = step_many(self.state[rows], Input.CONFIRM)
        start = actions == _START_HOLD
        self.init_ns[rows[start]] = at_ns[start] if isinstance(at_ns, np.ndarray) else at_ns

    def heard_after(self, rows: I64, since_ns: I64) -> I64:
        """Return those of some rows in Init that were silent until after a time of their own."""
        back: I64 = rows[(self.state[rows] == INIT) & (self.init_ns[rows] > since_ns)]
        return back

    def waiting(self, rows: I64) -> I64:
        """Return those of some rows that are heard again and must prove themselves first."""
        waiting: I64 = rows[self.state[rows] == INIT]
        return waiting

    def rise(self, rows: I64, now_ns: int) -> I64:
        """Bring up those of some rows that have kept their proof for the hold; return them."""
        waiting = self.waiting(rows)
        held = now_ns - self.init_ns[waiting] >= self.damper.hold_ns(waiting, now_ns)
        return self.admit(waiting[held], now_ns)

    def admit(self, rows: I64, now_ns: int) -> I64:
        """End the hold of rows in Init and return them."""
        self.state[rows], _ = step_many(self.state[rows], Input.HOLD_ELAPSED)
        self.settled[rows] = False
        self.damper.up(rows, now_ns)
        return rows

    def adapted(self, rows: I64) -> Bools:
        """Tell which rows' detect times are not the configured ones."""
        configured = self._interval_ns[rows] * self._multiplier[rows]
        adapted: Bools = self.detect_ns[rows] != configured
        return adapted

    def adapt(self, rows: I64, habit: Habit) -> list[tuple[I64, I64]]:
        """Let detect times follow the loss that rows usually have; return (rows, new times)."""
        interval_ns = self._interval_ns[rows]
        multiplier = adapt(
            self._multiplier[rows],
            interval_ns=interval_ns,
            loss_ppm=habit.proven_ppm,
            burst_milli=habit.burst_milli,
        )
        wanted = multiplier * interval_ns
        changed = wanted != self.detect_ns[rows]
        self.detect_ns[rows] = wanted
        return [(rows[changed], wanted[changed])] if changed.any() else []

    def forget(self, rows: I64, now_ns: int, *, since_ns: I64, latched: Bools) -> None:
        """Begin again with what the dataplane shows of rows: nothing else is remembered.

        Args:
            rows: whose agent has started.
            now_ns: the time.
            since_ns: start of each row's unbroken confirmation, ``NEVER`` while silent.
            latched: whether the dataplane keeps each row from traffic.
        """
        self.damper.forget(rows)
        heard = since_ns != NEVER
        self.state[rows] = np.where(heard, np.where(latched, State.INIT, State.UP), State.DOWN)
        self.init_ns[rows] = since_ns
        self.settled[rows], self._fell_ns[rows] = False, now_ns
        self.damper.up(rows[heard & ~latched], now_ns)

    def catch_up(self, rows: I64, now_ns: int, *, since_ns: I64, latched: Bools) -> I64:
        """Compare what was believed of rows with the dataplane; return those that were up.

        A row that went silent and came back meanwhile shows it by its latch. Arguments
        are those of :meth:`forget`.
        """
        up = self.state[rows] == UP
        heard = since_ns != NEVER
        down = self.fall(rows[~heard | (up & latched)], Input.EXPIRE, now_ns)
        self.hear(rows[heard], since_ns[heard])
        waiting = self.state[rows] == INIT
        self.init_ns[rows[waiting]] = np.maximum(self.init_ns[rows], since_ns)[waiting]
        return down


def _by_row(overlay: Overlay, by_transport: list[int]) -> I64:
    return np.array(by_transport, dtype=np.int64)[overlay.transport]
