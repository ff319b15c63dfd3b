"""A dataplane in memory: the packet-time rule over arrays, for many sites at once.

It answers "where would this packet go?" as the kernel would, from stamps, latches
and entries alone. The driver moves the stamps (in bulk, straight into the arrays)
and reports the rare exact edges in time order: at each instant first :meth:`silence`,
then :meth:`confirm`, then what the engine wants. All rows that share an instant belong
into one call.

Every site has its own agent, its own clock of staleness and its own event ring, as
if each ran on its own machine. Finding the entries behind a row needs no index: the
entries of a site are one slice, so a scan of that slice (3 k entries: 2 µs) does it.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from patronus.dataplane.protocol import KernelMoves
from patronus.dataplane.ring import Ring
from patronus.engine.arrays import hits
from patronus.engine.fastpath import Counter, Verdict, Verdicts, steer_many, usable_rows
from patronus.engine.forwarding import (
    NO_ROW,
    Bool,
    EntrySpace,
    ForwardingDelta,
    ForwardingTable,
)
from patronus.engine.overlay import I32, I64
from patronus.engine.units import LONG_AGO, NEVER, SECOND


class MemoryDataplane:
    """Implements :class:`patronus.dataplane.protocol.Dataplane`."""

    def __init__(
        self,
        source: I32,
        space: EntrySpace,
        *,
        detect_ns: I64,
        hold_ns: int = 10 * SECOND,
        kernel_failover: bool = True,
        ring: int = 65_536,
    ) -> None:
        """Create a dataplane whose tunnels are silent and whose entries are empty.

        Args:
            source: site of each row, ascending (``Overlay.src``).
            space: numbering of the entries.
            detect_ns: of each row; the array is copied.
            hold_ns: unbroken confirmation after which a latch falls without the agent.
            kernel_failover: off: packets always take the primary, dead or not.
            ring: number of moves that one site's ring holds.
        """
        rows = len(source)
        self.space = space
        self.hold_ns = hold_ns
        self.kernel_failover = kernel_failover
        self.heard_ns: I64 = np.full(rows, LONG_AGO, dtype=np.int64)
        self.confirmed_ns: I64 = np.full(rows, LONG_AGO, dtype=np.int64)
        self.detect_ns: I64 = np.array(detect_ns, dtype=np.int64)
        self.latched: Bool = np.ones(rows, dtype=np.bool_)
        self.since_ns: I64 = np.full(rows, NEVER, dtype=np.int64)
        """Start of each row's unbroken confirmation, ``NEVER`` while silent."""
        self.table = ForwardingTable(space.entries)
        self.used: I32 = np.full(space.entries, NO_ROW, dtype=np.int32)
        """The row that carries each entry at present."""
        self.changed: Bool = np.zeros(space.entries, dtype=np.bool_)
        """Where ``used`` may be another one; whoever follows it takes the marks away."""
        self.agent_stale: Bool = np.zeros(space.sites, dtype=np.bool_)
        self._stale_from: dict[int, int] = {}
        self._due_ns = NEVER
        """No latch falls by itself before this."""
        self._source = source
        self._first_row: I64 = np.searchsorted(source, np.arange(space.sites + 1)).astype(np.int64)
        self._rings = tuple(Ring(ring) for _ in range(space.sites))
        assert len(self.detect_ns) == rows, "one detect time a row"

    # What the engine's driver asks

    def apply(self, delta: ForwardingDelta, now_ns: int) -> int:
        """Install new entries and return their generation.

        With every candidate dead, an entry stays on the row it used if that is still
        one of them; otherwise it goes to its new primary.
        """
        self.advance(now_ns)
        self.table.apply(delta)
        self.used[delta.entries] = self.where_many(delta.entries, now_ns).rows
        self.changed[delta.entries] = True
        return delta.generation

    def where(self, entry: int, now_ns: int) -> Verdict:
        """Tell where a packet of this entry would go."""
        rows, counters = self.where_many(np.array([entry], dtype=np.int64), now_ns)
        return Verdict(int(rows[0]), Counter(int(counters[0])))

    def where_many(self, entries: I64, now_ns: I64 | int) -> Verdicts:
        """Tell where packets would go, at one time or at one time each."""
        rows, drop = self.table.rows.take(entries, axis=0), self.table.drop[entries]
        if self.kernel_failover:
            alive = self._alive(rows, now_ns)
        else:
            rows = rows[:, :1]
            alive = np.ones(rows.shape, dtype=np.bool_)
        return steer_many(rows, drop, self.used[entries], alive)

    def clear_latch(self, rows: Sequence[int], now_ns: int) -> None:
        """Let tunnels carry traffic again; those that are silent stay latched."""
        self.advance(now_ns)
        at = np.asarray(rows, dtype=np.int64)
        self.latched[at] = self.since_ns[at] == NEVER
        self._return_to(at, now_ns)

    def set_detect(self, rows: I64, detect_ns: I64, now_ns: int) -> None:
        """Set the detect times of tunnels; what they make silent comes as :meth:`silence`.

        Call it between two slots of the dense stamps, not amid one.
        """
        self.advance(now_ns - 1)
        self.detect_ns[rows] = detect_ns

    def events(self, site: int) -> KernelMoves:
        """Take the moves of one site out of its ring."""
        return self._rings[site].drain()

    def sites_with_events(self) -> list[int]:
        """Return the sites whose rings hold something."""
        return [site for site, ring in enumerate(self._rings) if len(ring)]

    # What the world reports

    def silence(self, rows: Sequence[int], at_ns: int) -> None:
        """The proofs of these rows are stale from this instant on."""
        self.advance(at_ns - 1)
        at = np.asarray(rows, dtype=np.int64)
        self.latched[at] = True
        self.since_ns[at] = NEVER
        for site, gone in self._by_site(at):
            own = self.space.of_site(site)
            self._reconsider(site, own.start + _places(self.used[own], gone), at_ns)

    def confirm(self, rows: Sequence[int], at_ns: int) -> None:
        """These rows were silent and are heard again; the latch stays."""
        self.advance(at_ns)
        at = np.asarray(rows, dtype=np.int64)
        self.since_ns[at] = np.minimum(self.since_ns[at], at_ns)
        if self._stale_from:
            self._due_ns = min(self._due_ns, at_ns + self.hold_ns)

    def set_agent(self, site: int, *, stale: bool, now_ns: int) -> None:
        """The kernel notices that a site's agent stopped, or that it is back."""
        self.advance(now_ns)
        self.agent_stale[site] = stale
        if stale:
            self._stale_from.setdefault(site, now_ns)
            self._due_ns = now_ns
        else:
            self._stale_from.pop(site, None)

    @property
    def due_ns(self) -> int:
        """No latch falls by itself before this; then :meth:`advance` has something to do."""
        return self._due_ns

    def advance(self, now_ns: int) -> None:
        """Clear the latches that are due by now where no agent does."""
        if now_ns >= self._due_ns:
            next_ns = [self._release(site, now_ns) for site in self._stale_from]
            self._due_ns = min(next_ns, default=NEVER)

    # The rule

    def _alive(self, rows: I32, now_ns: I64 | int) -> Bool:
        if not len(self.confirmed_ns):
            return np.zeros(rows.shape, dtype=np.bool_)
        now = now_ns[:, None] if isinstance(now_ns, np.ndarray) else now_ns
        latched = self.latched[rows]
        if self._stale_from:
            # Due, but not yet booked by advance(): the packet itself clears it.
            since_ns = self.since_ns[rows]
            due = (since_ns != NEVER) & (now - since_ns >= self.hold_ns)
            latched &= ~(due & self.agent_stale[self._source[rows]])
        return usable_rows(self.confirmed_ns[rows], self.detect_ns[rows], latched, now)

    def _release(self, site: int, now_ns: int) -> int:
        """Clear a site's latches that are due by now; return when the next one will be."""
        rows = np.arange(self._first_row[site], self._first_row[site + 1])
        rows = rows[self.latched[rows] & (self.since_ns[rows] != NEVER)]
        due = np.maximum(self.since_ns[rows] + self.hold_ns, self._stale_from[site])
        for at_ns in np.unique(due[due <= now_ns]).tolist():
            ready = rows[due == at_ns]
            self.latched[ready] = False
            self._return_to(ready, at_ns)
        return int(due[due > now_ns].min(initial=NEVER))

    def _by_site(self, rows: I64) -> Iterable[tuple[int, I64]]:
        if len(rows) == 1:
            return [(int(self._source[rows[0]]), rows)]
        rows = np.sort(rows)
        sites = self._source[rows]
        cuts = np.flatnonzero(sites[1:] != sites[:-1]) + 1
        firsts = sites[np.append(0, cuts)].tolist() if len(rows) else []
        return zip(firsts, np.split(rows, cuts), strict=False)

    def _return_to(self, rows: I64, at_ns: int) -> None:
        for site, back in self._by_site(rows):
            own = self.space.of_site(site)
            candidates = self.table.rows[own]
            hit = np.unique(_places(candidates.ravel(), back) // candidates.shape[1])
            self._reconsider(site, own.start + hit, at_ns)

    def _reconsider(self, site: int, entries: I64, at_ns: int) -> None:
        if not len(entries) or not self.kernel_failover:
            return
        before, after = self.used[entries], self.where_many(entries, at_ns).rows
        moved = before != after
        if moved.any():
            entries, before, after = entries[moved], before[moved], after[moved]
            self.used[entries] = after
            self.changed[entries] = True
            self._rings[site].push(at_ns, entries, before, after)


def _places(values: I32, rows: I64) -> I64:
    """Return where any of some rows stands; a single one is the common case, and quicker."""
    return hits(values == rows[0] if len(rows) == 1 else np.isin(values, rows))
