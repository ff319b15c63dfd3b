"""Moving traffic: away from what is bad, at once or at an evaluation, journalled and handed down.

Every change of the wanted table goes through :meth:`Moves.commit`: what moved is
journalled, and what the dataplane does not have yet becomes a delta.
"""

from collections.abc import Callable

import numpy as np

from patronus.engine.change import Cause, Change, join, moved
from patronus.engine.forwarding import ForwardingDelta, ForwardingTable, diff
from patronus.engine.journal import DecisionJournal, Reason
from patronus.engine.narrative import Narrator
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.steering import Steering
from patronus.engine.tunnels import Tunnels


class Moves:
    """The journal, and what the dataplane has been told so far."""

    def __init__(
        self,
        steering: Steering,
        tunnels: Tunnels,
        narrator: Narrator,
        sink: Callable[[bytes], object] | None,
    ) -> None:
        self.journal = DecisionJournal(sink)
        self.recording = True
        """Off during a warm-up: decisions are taken but not journalled."""
        self.deltas: list[ForwardingDelta] = []
        """Not taken by the driver yet."""
        self._steering, self._tunnels, self._narrator = steering, tunnels, narrator
        self._sent = ForwardingTable(len(steering.wanted))
        self._generation = 0

    def leave(self, rows: I64, now_ns: int, reason: Reason) -> I64:
        """Leave tunnels (ascending) that went down: for the backups, else by choosing anew.

        Returns:
            Tunnels that came up for it, since there was no other: if need be before their time.
        """
        entries = self._steering.over(rows)
        change, stuck = self._steering.promote(entries)
        up = rows[:0]
        if len(stuck):
            # Who has kept its proof by now goes before who is just back.
            proven = self._tunnels.rise(self._steering.unproven(stuck), now_ns)
            let_up = self._tunnels.admit(self._steering.unproven(stuck), now_ns)
            up = np.concatenate([proven, let_up])
            change = join([change, self._steering.reselect(stuck).change])
        self.commit(change, entries, now_ns, reason)
        return up

    def avoid(self, entries: I64, held: Bools, now_ns: int, reason: Reason | None) -> None:
        """Leave what some entries should not use, and let no backup be of that kind.

        Args:
            entries: ascending, each once.
            held: shape (entries, 3), the places in which they hold such rows.
            now_ns: the time.
            reason: the cause; None to read it off the paths.
        """
        if not len(entries):  # nearly always
            return
        first = held[:, 0]
        behind = held.any(axis=1) & ~first
        change = self._steering.reselect(entries[first]).change
        other = self._steering.reselect(entries[behind], keep=True).change
        self.commit(join([change, other]), entries[first | behind], now_ns, reason)

    def choose(self, entries: I64, now_ns: int, reason: Reason | None) -> I64:
        """Choose anew for entries; return the pairs that are to be asked again."""
        found = self._steering.reselect(entries)
        self.commit(found.change, found.written, now_ns, reason)
        return found.waiting

    def by_kernel(self, entries: I64, before: I32, after: I32, now_ns: int) -> None:
        """Journal what the kernel did by itself."""
        self._tell(moved(entries, before, after, Cause.RANK), now_ns, Reason.KERNEL_MOVED)

    def commit(self, change: Change, entries: I64, now_ns: int, reason: Reason | None) -> None:
        """Journal what moved; hand down what is new of some entries, if anything is."""
        self._tell(change, now_ns, reason)
        delta = diff(
            self._steering.wanted, self._sent, generation=self._generation + 1, entries=entries
        )
        if len(delta):
            self._generation += 1
            self._sent.apply(delta)
            self.deltas.append(delta)

    def take(self) -> list[ForwardingDelta]:
        """Return the deltas that were not taken yet."""
        deltas, self.deltas = self.deltas, []
        return deltas

    def _tell(self, change: Change, now_ns: int, reason: Reason | None) -> None:
        if not len(change.entries):  # often
            return
        if self.recording:
            for decision in self._narrator.tell(change, now_ns, reason):
                self.journal.append(decision)
