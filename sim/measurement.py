"""Watching a run from outside: users' packets, exposures, detections, health.

Nothing here is seen by the engine. Moves are noted as they happen; packets are
sent and judged when a slot has ended, since only then is it known who moved when.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.dataplane.protocol import KernelMoves
from patronus.engine.fingerprint import U64, name_key
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, PPM, SECOND
from patronus.engine.verdict import COMPLIANT, Figures, verdict
from patronus.sim.comb import Comb, Move
from patronus.sim.exposures import Candidate, Exposure, Ledger, Works
from patronus.sim.records import Records
from patronus.sim.scenario import FaultKind
from patronus.sim.tally import Tally, has_limits
from patronus.sim.timeline import Occurrence

if TYPE_CHECKING:
    from patronus.sim.world import World

SETTLE_NS: Final = SECOND
"""An exposure is counted on for so long after it is settled, to see what remains."""

_HEALTH_ROWS: Final = 200
_PACKET_BYTES: Final = 1000


class Measurement:
    """Everything that is counted in one run."""

    def __init__(self, world: "World") -> None:
        self._world = world
        space, policy = world.engine.space, world.scenario.policy
        sizes = np.full(space.classes, _PACKET_BYTES, dtype=np.int64)
        np.maximum.at(sizes, world.demands.traffic_class, world.demands.packet_bytes)
        self.comb = Comb(world.overlay, space, world.wire, sizes, world.seed)
        self.tally = Tally(policy.classes)
        self.ledger = Ledger()
        self.records = Records()
        self._keys = _names(world)
        self._flows: I64 = world.load.entries
        self._flow_streams = self.tally.add(self._flows % space.classes)
        self._flow_keys = self._keys_of(self._flows)
        self._active: list[Exposure] = []
        self._began_used: I32 = world.dataplane.used.copy()
        self._moves: list[tuple[int, str, I64, I32]] = []
        self._harmed: dict[str, I64] = {}
        self.occurrences: list[Occurrence] = []
        self._watched: I64 = np.zeros(0, dtype=np.int64)
        self.unavoidable = 0
        """Entries that a fault harmed and that had no other path, counted once a fault."""
        self._started = world.scenario.cold

    def _keys_of(self, entries: I64) -> U64:
        site, destination, number = self._keys
        return self.comb.keys(
            entries, site_keys=site, destination_keys=destination, class_keys=number
        )

    def start(self) -> None:
        """Time zero: what was counted in the warm-up is forgotten."""
        self._started = True
        self.tally.reset()
        self.records.clear()

    # ------------------------------------------------------------ notes

    def begin(self, start_ns: int, until_ns: int) -> None:
        """A slot begins."""
        np.copyto(self._began_used, self._world.dataplane.used)
        self._moves = []

    def kernel(self, moves: KernelMoves) -> None:
        """The dataplane moved entries by itself."""
        for at_ns in np.unique(moves.at_ns).tolist():
            now = moves.at_ns == at_ns
            self._moves.append((at_ns, "kernel", moves.entries[now], moves.to_rows[now]))

    def programmed(self, delta: ForwardingDelta, moved: Bools) -> None:
        """The engine's choice is installed; some of it changed where packets go."""
        now = self._world.now_ns
        used = self._world.dataplane.used[delta.entries]
        if moved.any():
            self._moves.append((now, "engine", delta.entries[moved], used[moved]))
        self._moves.append((now, "ack", delta.entries, used))

    def detected(self, row: int, at_ns: int, layer: str) -> None:
        """The engine took a tunnel for down, or raised an alarm."""
        if self._started:
            self.records.detections.append((row, at_ns, layer, self._blame(row, at_ns)))

    def _blame(self, row: int, at_ns: int) -> Occurrence | None:
        """Return the youngest fault that was on the tunnel's links (either way) just before."""
        grace = int(self._world.dataplane.detect_ns[row]) + 2 * SECOND
        for occurrence in reversed(self.occurrences):
            rows = self._harmed[occurrence.name]
            place = int(np.searchsorted(rows, row))
            hit = place < len(rows) and int(rows[place]) == row
            if hit and (occurrence.end_ns == NEVER or at_ns <= occurrence.end_ns + grace):
                return occurrence
        return None

    # ------------------------------------------------------------ faults

    def fault_begins(self, occurrence: Occurrence) -> None:
        """Find whom a fault would harm if nothing moved, and start watching them."""
        harmed = self._rows_harmed(occurrence)
        both = np.union1d(harmed, self._world.overlay.reverse[harmed])
        self._harmed[occurrence.name] = both
        self.occurrences.append(occurrence)
        self._watch(both)
        if self._world.now_ns >= 0 and (len(harmed) or occurrence.fault.kind is FaultKind.LAN_DOWN):
            self._expose(occurrence, harmed)

    def fault_ends(self, occurrence: Occurrence) -> None:
        """The wire is as before: the path in use may work again."""
        entries = self.ledger.waiting_entries()
        if len(entries):
            used = self._world.dataplane.used[entries]
            self._moves.append((self._world.now_ns, "end", entries, used))

    def _rows_harmed(self, occurrence: Occurrence) -> I64:
        wire, overlay = self._world.wire, self._world.overlay
        rows = np.array(occurrence.rows, dtype=np.int64)
        found = np.union1d(rows, overlay.reverse[rows])
        if occurrence.links:
            links = np.array(occurrence.links, dtype=np.int64)
            found = np.union1d(found, wire.rows_of(links))
        return found

    def _watch(self, rows: I64) -> None:
        """Follow the health of some tunnels, the same ones whatever else is watched."""
        key = self._world.overlay.key[rows]
        few = rows[np.argsort(key, kind="stable")[:_HEALTH_ROWS]]
        self._watched = np.union1d(self._watched, few)[: 5 * _HEALTH_ROWS]

    def _expose(self, occurrence: Occurrence, harmed: I64) -> None:
        """Open the exposures of one occurrence."""
        world, now = self._world, self._world.now_ns
        hard, soft = self._harm(harmed, now)
        space, used = world.engine.space, world.dataplane.used
        dead_lan = np.zeros(len(world.overlay.sites), dtype=np.bool_)
        if occurrence.fault.kind is FaultKind.LAN_DOWN:
            dead_lan[list(occurrence.sites)] = True
        second, onward = world.second_leg()
        for number in range(space.classes):
            bad = hard | soft[number]
            entries = np.arange(number, space.entries, space.classes, dtype=np.int64)
            row, on = used[entries], onward[entries]
            beyond = np.where(on, used[np.where(on, second[entries], 0)], NO_ROW)
            end = world.overlay.dst[np.where(on, beyond, row)]
            there = row != NO_ROW
            hit = there & (bad[row] | (on & (beyond != NO_ROW) & bad[beyond]) | dead_lan[end])
            other = self._has_other(entries[hit], bad, dead_lan)
            self.unavoidable += int(np.count_nonzero(~other))
            hit[hit] = other
            black = hard[row] | (on & (beyond != NO_ROW) & hard[beyond]) | dead_lan[end]
            self._open(occurrence, entries[hit], black[hit])

    def _harm(self, harmed: I64, now_ns: int) -> tuple[Bools, Bools]:
        """Return by row what is dead now, and by (class, row) what breaks the SLA."""
        world = self._world
        rows = world.overlay.rows
        hard = np.zeros(rows, dtype=np.bool_)
        soft = np.zeros((world.engine.space.classes, rows), dtype=np.bool_)
        if len(harmed):
            alive, fine = self._truth(harmed, np.full(len(harmed), now_ns, dtype=np.int64))
            hard[harmed] = ~alive
            soft[:, harmed] = ~fine
        return hard, soft

    def _truth(self, rows: I64, at_ns: I64) -> tuple[Bools, Bools]:
        """Return whether tunnels deliver at least half, and by class whether they keep the SLA."""
        wire, policy = self._world.wire, self._world.scenario.policy
        out = wire.passage(rows, at_ns)
        home = wire.passage(self._world.overlay.reverse[rows].astype(np.int64), at_ns)
        # The delay noise has a mean of 0.113 of its bound, successive ones differ by 0.128.
        rtt = out.delay_ns + home.delay_ns + (out.jitter_ns + home.jitter_ns) * 113 // 1000
        figures = Figures(rtt, out.jitter_ns * 128 // 1000, out.loss_ppm)
        alive = out.loss_ppm < PPM // 2
        fine = np.array(
            [
                (verdict(figures, c.sla) == COMPLIANT) if has_limits(c.sla) else alive
                for c in policy.classes
            ]
        )
        return alive, fine

    def _has_other(self, entries: I64, bad: Bools, dead_lan: Bools) -> Bools:
        """Tell which entries have a path at all that the fault does not harm."""
        world = self._world
        space, steering = world.engine.space, world.engine.steering
        pair = entries // space.classes
        site, destination = np.divmod(pair, space.destinations)
        up = world.engine.state >= 2
        rows = steering.candidates.rows(
            site,
            destination,
            dst=world.overlay.dst,
            with_transit=world.scenario.policy.features.transit,
        )
        fine = (rows != NO_ROW) & up[rows] & ~bad[rows] & ~dead_lan[world.overlay.dst[rows]]
        width = steering.candidates.direct.shape[2]
        for column in range(width, rows.shape[1]):
            via = world.overlay.dst[rows[:, column]].astype(np.int64)
            onward = steering.candidates.direct[via, destination]
            fine[:, column] &= ((onward != NO_ROW) & up[onward] & ~bad[onward]).any(axis=1)
        result: Bools = fine.any(axis=1)
        return result

    def _open(self, occurrence: Occurrence, entries: I64, black: Bools) -> None:
        streams = self.tally.add(entries % self._world.engine.space.classes)
        number = len(self.occurrences) - 1
        used = self._world.dataplane.used[entries].tolist()
        for entry, row, hard, stream in zip(
            entries.tolist(), used, black.tolist(), streams.tolist(), strict=True
        ):
            exposure = Exposure(
                number, occurrence.start_ns, entry, row, hard=hard, stream=stream,
                end_ns=occurrence.end_ns,
            )  # fmt: skip
            self.ledger.open(exposure)
            self._active.append(exposure)

    # ------------------------------------------------------------ the end of a slot

    def end(self, start_ns: int, until_ns: int) -> None:
        """Settle exposures and count the packets of a slot."""
        if self._started:
            self._settle()
            self._send(start_ns, until_ns)
        if until_ns % SECOND == 0 and self._started and until_ns > 0:
            self._close_second(until_ns)

    def _settle(self) -> None:
        found: list[Candidate] = []
        for at_ns, kind, entries, rows in self._moves:
            for entry, row in zip(entries.tolist(), rows.tolist(), strict=True):
                if self.ledger.waits(entry):
                    found.append(Candidate(at_ns, entry, row, kind))
        if found:
            self.ledger.settle(found, self._judge(found))

    def _judge(self, found: list[Candidate]) -> Works:
        """Work out the truth of all candidates at once."""
        world = self._world
        space = world.engine.space
        entries = np.array([c.entry for c in found], dtype=np.int64)
        rows = np.array([c.row for c in found], dtype=np.int64)
        at_ns = np.array([c.at_ns for c in found], dtype=np.int64)
        number = entries % space.classes
        destination = (entries // space.classes) % space.destinations
        there = rows != NO_ROW
        alive, fine = self._truth(np.maximum(rows, 0), at_ns)
        end = np.where(there, world.overlay.dst[rows], -1).astype(np.int64)
        onward = there & ~self.comb.is_home(end, destination)
        second = (end * space.destinations + destination) * space.classes + number
        beyond = np.where(onward, world.dataplane.used[np.where(onward, second, 0)], NO_ROW)
        far_alive, far_fine = self._truth(np.maximum(beyond, 0).astype(np.int64), at_ns)
        far = onward & (beyond != NO_ROW)
        alive &= there & (~onward | (far & far_alive))
        mine = fine[number, np.arange(len(found))] & (
            ~onward | far_fine[number, np.arange(len(found))]
        )
        last = np.where(onward, world.overlay.dst[beyond], end)
        alive &= world.agents.lan_up[last]
        return Works(found, alive.tolist(), mine.tolist())

    def _send(self, start_ns: int, until_ns: int) -> None:
        active = [e for e in self._active if not e.closed]
        entries = np.array([e.entry for e in active], dtype=np.int64)
        streams = np.array([e.stream for e in active], dtype=np.int64)
        everything = np.concatenate([self._flows, entries])
        if not len(everything):
            return
        moves = [Move(at, e, r) for at, kind, e, r in self._moves if kind in ("kernel", "engine")]
        teeth = self.comb.send(
            everything,
            np.concatenate([self._flow_keys, self._keys_of(entries)]),
            start_ns,
            until_ns,
            used=self._began_used,
            moves=moves,
            lan_up=self._world.agents.lan_up,
        )
        # An exposure counts from its own beginning.
        since = np.array([e.t0_ns for e in active], dtype=np.int64)
        teeth.inside[len(self._flows) :] &= teeth.sent_ns[len(self._flows) :] >= since[:, None]
        self.tally.count(np.concatenate([self._flow_streams, streams]), teeth)
        for exposure in active:
            exposure.closed = exposure.settled_ns + SETTLE_NS <= until_ns
        self._active = [e for e in active if not e.closed]

    def _close_second(self, until_ns: int) -> None:
        second = self.tally.close_second(self._flow_streams)
        used = self._world.dataplane.used[self._flows]
        self.records.seconds.append((until_ns - SECOND, used.copy(), second))
        others = np.array([e.stream for e in self.ledger.all], dtype=np.int64)
        if len(others):
            self.tally.close_second(others)
        if len(self._watched):
            self._note_health(until_ns)

    def _note_health(self, now_ns: int) -> None:
        engine, rows = self._world.engine, self._watched
        figures = engine.figures(rows, now_ns)
        self.records.health.append((now_ns, rows, engine.state[rows].copy(), figures))


def _names(world: "World") -> tuple[U64, U64, U64]:
    overlay = world.overlay
    names = (
        ("site", overlay.sites),
        ("destination", [d.name for d in overlay.destinations]),
        ("class", [c.name for c in world.scenario.policy.classes]),
    )
    site, destination, number = (
        np.array([name_key(sort, n) for n in which], dtype=np.uint64) for sort, which in names
    )
    return site, destination, number
