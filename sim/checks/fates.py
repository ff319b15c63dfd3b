"""Shared fates: what a table says of its backups must be true of the routes of today.

Two tunnels are *apart* if they share neither transport, nor group on their present routes,
nor far end. When a provider routes another way, sites look at the backups that this
concerns at their next evaluation; what a table says two evaluations later is held to it,
at sites whose agents have run all the while.
"""

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from patronus.engine.fingerprint import U64
from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO
from patronus.sim.fates import row_fates

if TYPE_CHECKING:
    from patronus.sim.world import World


class Fates:
    """Looks at the tables of one world."""

    def __init__(self, world: "World") -> None:
        self._world, self._overlay = world, world.overlay
        self._space, self._table = world.dataplane.space, world.dataplane.table
        policy = world.scenario.policy
        self._applies = policy.features.backups
        self._patience_ns = 2 * policy.evaluation_ns
        self._rerouted_ns: I64 = np.full(self._overlay.rows, LONG_AGO, dtype=np.int64)
        self._queue: deque[tuple[int, I64]] = deque()
        self._crossed: U64 | None = None

    def rerouted(self, rows: I64, now_ns: int) -> None:
        """Take note that the routes under some rows have changed."""
        self._crossed = None
        if self._applies:
            self._rerouted_ns[rows] = now_ns
            self._queue.append((now_ns, rows))

    def apart(self, entries: I64, rows: I32, others: I32) -> Bools:
        """Tell which pairs of rows are apart for an entry; shapes broadcast, -1 shares all."""
        if self._crossed is None:
            self._crossed = row_fates(self._world.wire)
        overlay, crossed = self._overlay, self._crossed
        apart: Bools = (overlay.transport[rows] != overlay.transport[others]) & (others != NO_ROW)
        apart &= ((crossed[rows] & crossed[others]) == 0).all(axis=-1)
        homes = overlay.home[entries // self._space.classes % self._space.destinations]
        end = overlay.dst[rows]
        only_end = (homes == homes[..., :1]).all(axis=-1) & (end == homes[..., 0])
        apart &= (end != overlay.dst[others]) | only_end
        return apart

    def mistaken(self, entries: I64) -> I64:
        """Return those of some entries whose backup is called apart and is not, or vice versa."""
        primary, backup = self._table.rows[entries, 0], self._table.rows[entries, 1]
        both = (primary != NO_ROW) & (backup != NO_ROW)
        entries, primary, backup = entries[both], primary[both], backup[both]
        told = ~self._table.shared_fate[entries]
        wrong: I64 = entries[told != self.apart(entries, primary, backup)]
        return wrong

    def look(self, well_ns: I64, now_ns: int) -> I64:
        """Return the entries that go by old routes; ``well_ns``: since when each agent runs."""
        found = [np.zeros(0, dtype=np.int64)]
        while self._queue and now_ns - self._queue[0][0] > self._patience_ns:
            since_ns, rows = self._queue.popleft()
            found.append(self._old(rows, since_ns, well_ns))
        return np.concatenate(found)

    def _old(self, rows: I64, since_ns: int, well_ns: I64) -> I64:
        held = self._table.rows[:, :2]
        entries = np.flatnonzero(np.isin(held, rows).any(axis=1))
        # What has been routed anew since then is asked about later.
        last_ns = self._rerouted_ns[held[entries]].max(axis=1)
        steady = (last_ns <= since_ns) & (well_ns[entries // self._space.per_site] <= since_ns)
        return self.mistaken(entries[steady])
