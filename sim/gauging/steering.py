"""Gauges of faults that move traffic by plan: drains and half-applied configurations.

At each step of the grid a packet of each watched entry goes where the dataplane sends
it, over the wire, and the receiver notes the tunnel that it came out of.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from patronus.dataplane.memory import MemoryDataplane
from patronus.engine.arrays import distinct
from patronus.engine.fingerprint import U64, name_key
from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.units import MS, NEVER
from patronus.sim.gauging.company import EVERY, Company, Ways
from patronus.sim.gauging.evidence import NO, UNOBSERVED, YES, Reading, tell
from patronus.sim.gauging.gauge import Gauge
from patronus.sim.gauging.instruments import BYTES
from patronus.sim.gauging.spans import Patience, Spans, When
from patronus.sim.luck import object_keys, words
from patronus.sim.scenario import ControlSpec
from patronus.sim.timeline import Occurrence
from patronus.sim.wire import WINDOW_NS, Wire

ENTRIES: Final = 64
_LOOKED_AT: Final = 1024
_SETTLE_NS: Final = 200 * MS
"""A decision is installed within a step of the grid; one more to be sure."""


class World(NamedTuple):
    """What these gauges look at."""

    overlay: Overlay
    wire: Wire
    dataplane: MemoryDataplane
    company: Company
    policy: Policy
    control: ControlSpec
    seed: int
    end_ns: int


class Arrivals(NamedTuple):
    """The packets of one step that arrived; arrays of one length."""

    entries: I64
    rows: I32


class SteeringGauge(Gauge):
    """Watches where the packets of some entries come out."""

    def __init__(
        self,
        occurrences: Sequence[Occurrence],
        patience: Callable[[Occurrence], Patience],
        world: World,
    ) -> None:
        self.world = world
        super().__init__(occurrences, patience, world.end_ns)
        self._entries: I64 | None = None
        self._keys: U64 = np.zeros(0, dtype=np.uint64)
        self.counts: dict[int, I64] = {}
        """By occurrence, shape (3, 2): packets that arrived, and those that :meth:`_marks`."""

    @abstractmethod
    def _choose(self, occurrence: Occurrence) -> I64:
        """Return the entries on which an occurrence can be seen."""

    @abstractmethod
    def _fair(self, entry: int, met: set[int]) -> bool:
        """Tell whether the fault alone decides, although some tunnels meet other faults."""

    @abstractmethod
    def _marks(self, occurrence: Occurrence, arrivals: Arrivals) -> Bools:
        """Tell which packets went where the fault decides."""

    def see(self, start_ns: int, until_ns: int) -> None:
        """Measure in a slot that has ended."""
        if until_ns % WINDOW_NS:
            return
        near = list(self.near(until_ns, until_ns + 1))
        if not near:
            self._entries = None
            return
        if self._entries is None:
            self._entries = self._choose(near[0][0])
            self._keys = self._keys_of(self._entries, near[0][0])
        arrivals = self._send(until_ns)
        for occurrence, spans in near:
            self._count(occurrence, spans, arrivals, until_ns)

    def _count(self, occurrence: Occurrence, spans: Spans, arrivals: Arrivals, now_ns: int) -> None:
        counts = self.counts.setdefault(occurrence.ordinal, np.zeros((3, 2), dtype=np.int64))
        for when, (from_ns, until_ns) in zip(When, spans, strict=True):
            if from_ns <= now_ns < until_ns:
                marked = self._marks(occurrence, arrivals)
                counts[when] += len(marked), int(np.count_nonzero(marked))

    def _send(self, now_ns: int) -> Arrivals:
        """Send a packet of each entry now; leave out those that other faults may steer."""
        assert self._entries is not None, "there is something to send"
        rows = self.world.dataplane.where_many(self._entries, now_ns).rows
        word = words(self._keys, now_ns // WINDOW_NS)
        fair = np.array(list(self._undisturbed(now_ns)), dtype=np.bool_)
        at = np.flatnonzero((rows != NO_ROW) & fair)
        sent = np.full(len(at), now_ns, dtype=np.int64)
        size = np.full(len(at), BYTES, dtype=np.int64)
        arrived, _ = self.world.wire.deliver(rows[at].astype(np.int64), sent, word[at], size)
        at = at[arrived != NEVER]
        return Arrivals(self._entries[at], rows[at])

    def _undisturbed(self, now_ns: int) -> Iterator[bool]:
        """Tell of each watched entry whether no other fault steers it."""
        assert self._entries is not None, "there is something to look at"
        per_site = self.world.dataplane.space.per_site
        silenced = self.world.company.silenced(now_ns)
        for entry, met in zip(self._entries.tolist(), self._met(now_ns), strict=True):
            yield entry // per_site not in silenced and self._fair(entry, met)

    def _met(self, now_ns: int) -> list[set[int]]:
        """Return, for each watched entry, those of its direct tunnels that meet a fault now."""
        assert self._entries is not None, "there is something to look at"
        tunnels = [self.direct(entry) for entry in self._entries.tolist()]
        rows = np.array([row for of in tunnels for row in of], dtype=np.int64)
        ways = Ways(rows, self.world.wire.links_of(rows))
        now = np.full((len(rows), 1), now_ns, dtype=np.int64)
        met = set(rows[self.world.company.present(ways, now, EVERY)[:, 0] > 0].tolist())
        return [met.intersection(of) for of in tunnels]

    def direct(self, entry: int) -> list[int]:
        """Return the direct tunnels of an entry."""
        overlay, key = self.world.overlay, self.world.dataplane.space.key(entry)
        homes = overlay.destinations[key.destination].sites
        return [row for home in homes if home != key.site for row in overlay.direct(key.site, home)]

    def rank(self, policy: Policy, entry: int, row: int) -> tuple[bool, int, int]:
        """Return where a policy puts a tunnel for an entry, the best first."""
        overlay, number = self.world.overlay, self.world.dataplane.space.key(entry).traffic_class
        transport, sla = overlay.transports[overlay.transport[row]], policy.classes[number].sla
        place = sla.prefer.index(transport) if transport in sla.prefer else len(sla.prefer)
        return transport in sla.forbid, place, policy.cost.get(transport, 0)

    def few(self, entries: I64, occurrence: Occurrence) -> I64:
        """Return some entries by luck, so many that they can be looked at one by one."""
        keys = self._keys_of(entries, occurrence)
        return entries[np.argsort(keys, kind="stable")[:_LOOKED_AT]]

    def _keys_of(self, entries: I64, occurrence: Occurrence) -> U64:
        overlay, space = self.world.overlay, self.world.dataplane.space
        names = [space.key(entry) for entry in entries.tolist()]
        keys = [
            name_key(overlay.sites[k.site], overlay.destinations[k.destination].name,
                     self.world.policy.classes[k.traffic_class].name)
            for k in names
        ]  # fmt: skip
        named = np.array(keys, dtype=np.uint64)
        return object_keys(self.world.seed, f"gauge/{occurrence.fault.name}", named)

    def shares(self, class_number: int) -> bool:
        """Tell whether a class spreads its entries by weight; then nothing follows for one."""
        return bool(self.world.policy.classes[class_number].share)


class DrainGauge(SteeringGauge):
    """Counts users' packets on drained tunnels."""

    def __init__(self, occurrences: Sequence[Occurrence], world: World) -> None:
        spread = world.control.delay_ns + world.control.jitter_ns
        self._calm = Patience(settle_ns=world.policy.evaluation_ns + spread + _SETTLE_NS)
        overlay, first = world.overlay, occurrences[0]
        mine = np.isin(overlay.src, first.sites) & np.isin(overlay.transport, first.transports)
        rows = np.flatnonzero(mine)
        self._rows = distinct(np.concatenate([rows, overlay.reverse[rows].astype(np.int64)]))
        self._must_return = False
        super().__init__(occurrences, self._patience, world)

    def _patience(self, occurrence: Occurrence) -> Patience:
        """Where all tunnels fail while they are drained, wait until their hold is over."""
        back = 0 if len(self._steady_rows(occurrence)) else self._hold_ns
        return self._calm._replace(return_ns=back)

    @property
    def _hold_ns(self) -> int:
        damping = self.world.policy.damping
        return min(2 * damping.hold_ns, damping.hold_max_ns)

    def _steady_rows(self, occurrence: Occurrence) -> I64:
        """Return the drained tunnels that nothing else happens to."""
        ways = Ways(self._rows, self.world.wire.links_of(self._rows))
        since, until = occurrence.start_ns - self._hold_ns, occurrence.end_ns
        crowd = self.world.company.crowd(ways, since, min(until, self.world.end_ns), EVERY)
        steady: I64 = self._rows[crowd == 0]
        return steady

    def _choose(self, occurrence: Occurrence) -> I64:
        plane, steady = self.world.dataplane, self._steady_rows(occurrence)
        entries = np.flatnonzero(np.isin(plane.used, steady if len(steady) else self._rows))
        backups = plane.table.rows[entries, 1:]
        free = (backups != NO_ROW) & ~np.isin(backups, self._rows)
        entries = self.few(entries[free.any(axis=1)], occurrence)
        sure = [e for e in entries.tolist() if self._prefers(e, int(plane.used[e]))]
        self._must_return = bool(sure)
        chosen = sure or entries.tolist()
        return np.array(sorted(chosen[:ENTRIES]), dtype=np.int64)

    def _fair(self, entry: int, met: set[int]) -> bool:
        # There is somewhere to go.
        return any(row not in self._rows and row not in met for row in self.direct(entry))

    def _prefers(self, entry: int, row: int) -> bool:
        """Tell whether an entry has to come back to a tunnel by its policy."""
        if self.shares(entry % self.world.dataplane.space.classes):
            return False
        others = [r for r in self.direct(entry) if r not in self._rows]
        mine = self.rank(self.world.policy, entry, row)
        return all(mine < self.rank(self.world.policy, entry, r) for r in others)

    def _marks(self, occurrence: Occurrence, arrivals: Arrivals) -> Bools:
        return np.isin(arrivals.rows, self._rows)

    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of an occurrence."""
        counts = self.counts.get(occurrence.ordinal, np.zeros((3, 2), dtype=np.int64))
        shown = [hits if packets else -1 for packets, hits in counts.tolist()]
        undone = self.undone(occurrence)
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        if shown[When.BEFORE] > 0 and shown[When.DURING] >= 0:
            there = NO if shown[When.DURING] else YES
        if undone and shown[When.BEFORE] > 0 and shown[When.AFTER] >= 0:
            # Who has no preference may well stay where it went; the others return.
            packets, hits = counts[When.AFTER].tolist()
            stays = NO if self._must_return else UNOBSERVED
            then = YES if 2 * hits > packets or (hits and not self._must_return) else stays
        return tell(shown, there, then)


class PolicyGauge(SteeringGauge):
    """Counts how many policies other than the common one packets follow: none or one.

    Entries are watched on which the two policies want different transports.
    """

    def __init__(self, occurrences: Sequence[Occurrence], world: World) -> None:
        super().__init__(occurrences, lambda _: Patience(settle_ns=_SETTLE_NS), world)
        self._other = occurrences[0].fault.policy or world.policy

    def _choose(self, occurrence: Occurrence) -> I64:
        space = self.world.dataplane.space
        own = [np.arange(*space.of_site(s).indices(space.entries)) for s in occurrence.sites]
        entries = self.few(np.concatenate(own).astype(np.int64), occurrence)
        differ = [e for e in entries.tolist() if self._differ(e)]
        return np.array(sorted(differ[:ENTRIES]), dtype=np.int64)

    def _fair(self, entry: int, met: set[int]) -> bool:
        return not met & (self._best(self.world.policy, entry) | self._best(self._other, entry))

    def _differ(self, entry: int) -> bool:
        if self.shares(entry % self.world.dataplane.space.classes):
            return False
        common, other = (self._best(p, entry) for p in (self.world.policy, self._other))
        return not common & other and bool(common)

    def _best(self, policy: Policy, entry: int) -> set[int]:
        ranks = {row: self.rank(policy, entry, row) for row in self.direct(entry)}
        return {row for row, rank in ranks.items() if rank == min(ranks.values())}

    def _marks(self, occurrence: Occurrence, arrivals: Arrivals) -> Bools:
        pairs = zip(arrivals.entries.tolist(), arrivals.rows.tolist(), strict=True)
        return np.array([row in self._best(self._other, e) for e, row in pairs], dtype=np.bool_)

    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of an occurrence."""
        counts = self.counts.get(occurrence.ordinal, np.zeros((3, 2), dtype=np.int64))
        shown = [int(2 * hits > packets) if packets else -1 for packets, hits in counts.tolist()]
        undone = self.undone(occurrence)
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        if shown[When.BEFORE] == 0:
            there = {1: YES, 0: NO}.get(shown[When.DURING], UNOBSERVED)
            if undone:
                then = {0: YES, 1: NO}.get(shown[When.AFTER], UNOBSERVED)
        return tell(shown, there, then)
