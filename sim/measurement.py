"""Watching a run from outside: users' packets, exposures, detections, health.

Nothing here is seen by the engine. Moves are noted as they happen; packets are
sent and judged when a slot has ended, since only then is it known who moved when.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.dataplane.protocol import KernelMoves
from patronus.engine.arrays import distinct, hits
from patronus.engine.fingerprint import U64, name_key
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import SECOND
from patronus.sim.agenda import Phase
from patronus.sim.comb import TOOTH_NS, Comb
from patronus.sim.exposures import Exposed, Kind, Ledger, Move
from patronus.sim.faults.kinds import kind_of
from patronus.sim.faults.outages import turns
from patronus.sim.harm import Harm, State
from patronus.sim.pointers import Pointers
from patronus.sim.records import Records
from patronus.sim.scenario import FaultKind
from patronus.sim.tally import Tally, spoiling_teeth, teeth_between
from patronus.sim.timeline import Occurrence
from patronus.sim.wire import WINDOW_NS

if TYPE_CHECKING:
    from patronus.sim.world import World

SETTLE_NS: Final = SECOND
"""An exposure is counted on for so long after it is settled, to see what remains."""

_COMBED: Final = 20_000
"""So many exposures of one fault are counted packet by packet; the choice is keyed."""

_HEALTH_ROWS: Final = 200
_PACKET_BYTES: Final = 1000


class Measurement:
    """Everything that is counted in one run."""

    def __init__(self, world: "World", *, exposing: bool = True) -> None:
        """Count users' packets and, if ``exposing``, what each fault did to whom."""
        self._world, self._exposing = world, exposing
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
        self._stream: I64 = np.zeros(0, dtype=np.int64)
        """By exposure: its stream of the tally, -1 for none."""
        self._active: I64 = np.zeros(0, dtype=np.int64)
        """Exposures whose streams still count."""
        self._began_used: I32 = world.dataplane.used.copy()
        self._moves: list[Move] = []
        self._may_carry: Bools = np.zeros(space.sites, dtype=np.bool_)
        self._may_carry[list(world.overlay.transit)] = True
        self._onto: Bools = np.zeros(space.entries, dtype=np.bool_)
        """Scratch, false between calls."""
        self._harmed: dict[str, I64] = {}
        self.occurrences: list[Occurrence] = []
        self._watched: I64 = np.zeros(0, dtype=np.int64)
        self.harm = Harm(world, sizes)
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
        if self._exposing:
            self._watch_ahead()

    def foresee(self) -> None:
        """Take note of the world's timeline."""
        self.harm.foresee()
        if self._started:
            self._watch_ahead()

    def _watch_ahead(self) -> None:
        """Follow the tunnels of all faults from the start, to see them healthy first."""
        for occurrence in self._world.timeline.occurrences:
            self._watch(self._both_ways(self.harm.rows(occurrence)))

    def _both_ways(self, rows: I64) -> I64:
        back = self._world.overlay.reverse[rows].astype(np.int64)
        return distinct(np.concatenate([rows, back]))

    # ------------------------------------------------------------ notes

    def begin(self, start_ns: int, until_ns: int) -> None:
        """A slot begins."""
        plane = self._world.dataplane
        moved = hits(plane.changed)
        self._began_used[moved] = plane.used[moved]
        plane.changed[moved] = False

    def kernel(self, moves: KernelMoves) -> None:
        """The dataplane moved entries by itself."""
        if not len(moves):
            return
        self._world.checkers.kernel(moves)
        if moves.at_ns[0] == moves.at_ns[-1]:  # nearly always: a ring is in order of time
            self._note(Move(int(moves.at_ns[0]), Kind.KERNEL, moves.entries, moves.to_rows))
            return
        for at_ns in np.unique(moves.at_ns).tolist():
            now = moves.at_ns == at_ns
            self._note(Move(at_ns, Kind.KERNEL, moves.entries[now], moves.to_rows[now]))

    def programmed(self, delta: ForwardingDelta, moved: Bools) -> None:
        """The engine's choice is installed; some of it changed where packets go."""
        now = self._world.now_ns
        used = self._world.dataplane.used[delta.entries]
        if moved.any():
            self._note(Move(now, Kind.ENGINE, delta.entries[moved], used[moved]))
            self._world.checkers.moved(now, delta.entries[moved], used[moved])
        self._note(Move(now, Kind.ACK, delta.entries, used))

    def _note(self, move: Move) -> None:
        """Keep a move, and what it means to waiting entries that lead through its site."""
        self._moves.append(move)
        hit = self._leading_onto(move.entries)
        if len(hit):
            used = self._world.dataplane.used[hit]
            self._moves.append(move._replace(entries=hit, rows=used))

    def _leading_onto(self, entries: I64) -> I64:
        """Return the waiting entries, ascending, whose second leg is one of some entries."""
        world, space = self._world, self._world.engine.space
        waiting = self.ledger.waiting_entries
        if not len(entries) or not len(waiting):
            return entries[:0]
        first, last = int(entries.min()) // space.per_site, int(entries.max()) // space.per_site
        if not self._may_carry[first : last + 1].any():  # mostly they are of one site
            return entries[:0]
        onto = entries[self._may_carry[entries // space.per_site]]
        found = waiting
        if len(onto) * space.sites < len(waiting):
            # Only entries of the same destination and class can lead there.
            site = np.arange(space.sites, dtype=np.int64)[:, None] * space.per_site
            found = (site + distinct(onto % space.per_site)).ravel()
        row = world.dataplane.used[found]
        sites = np.zeros(space.sites, dtype=np.bool_)
        sites[onto // space.per_site] = True
        found = found[(row != NO_ROW) & sites[world.overlay.dst[row]]]
        second, onward = world.second_leg(found)
        self._onto[onto] = True
        found = found[onward & self._onto[second]]
        self._onto[onto] = False
        place = np.minimum(waiting.searchsorted(found), len(waiting) - 1)
        hit: I64 = found[waiting[place] == found]
        return hit

    def detected(self, row: int, at_ns: int, layer: str) -> None:
        """The engine took a tunnel for down, or raised an alarm."""
        if self._started and self._exposing:
            self.records.detections.append((row, at_ns, layer, self._blame(row, at_ns, layer)))

    def _blame(self, row: int, at_ns: int, layer: str) -> Occurrence | None:
        """Return the fault behind a detection, None for a false alarm.

        It is the youngest that was on the tunnel's links (either way) just before. Silence
        is rather blamed on one that lets nothing through; and on a congested tunnel the
        youngest fault is to blame wherever it is, since it moved the traffic that is too much.
        """
        grace = int(self._world.dataplane.detect_ns[row]) + 2 * SECOND
        recent = [o for o in reversed(self.occurrences) if at_ns - grace <= o.end_ns]
        mine = [o for o in recent if _holds(self._harmed[o.name], row)]
        if layer == "liveness":
            mine.sort(key=lambda o: not kind_of(o.fault).black)
        if not mine and recent and self._world.wire.overloaded(row):
            return recent[0]
        return mine[0] if mine else None

    # ------------------------------------------------------------ faults

    def fault_begins(self, occurrence: Occurrence) -> None:
        """Find whom a fault would harm if nothing moved, and start watching them."""
        if not self._exposing:
            return
        harmed = self.harm.rows(occurrence)
        self.occurrences.append(occurrence)
        self._harmed[occurrence.name] = np.zeros(0, dtype=np.int64)
        self._watch(self._both_ways(harmed))
        if occurrence.rows:
            self._await_turns(occurrence)
        else:
            self._strikes(occurrence, harmed)

    def _await_turns(self, occurrence: Occurrence) -> None:
        """Expose what each tunnel of a rekey storm carries when it is that tunnel's turn."""
        agenda = self._world.agenda
        for mute in turns(occurrence):
            both = self._both_ways(np.array([mute.row], dtype=np.int64))
            key = f"{occurrence.name} {mute.row}"
            agenda.at(mute.from_ns, Phase.WIRE, key, partial(self._strikes, occurrence, both))
            agenda.at(mute.until_ns, Phase.WIRE, key, self.wire_mends)

    def _strikes(self, occurrence: Occurrence, harmed: I64) -> None:
        """Some tunnels, or what is behind some sites, are harmed from now on."""
        both = [self._harmed[occurrence.name], self._both_ways(harmed)]
        self._harmed[occurrence.name] = distinct(np.concatenate(both))
        kind, now = occurrence.fault.kind, self._world.now_ns
        if now < 0 or not (len(harmed) or kind is FaultKind.LAN_DOWN):
            return
        expose = partial(self._expose, occurrence, now, harmed, self.harm.state(harmed, now - 1))
        if kind is FaultKind.RATE:
            # Queues follow on the grid of congestion; before that nobody is harmed.
            turn = -(-now // WINDOW_NS) * WINDOW_NS
            self._world.agenda.at(turn, Phase.EVALUATE, len(self.occurrences), expose)
        else:
            expose()

    def _expose(self, occurrence: Occurrence, t0_ns: int, harmed: I64, before: State) -> None:
        number = self.occurrences.index(occurrence)
        self._open(number, t0_ns, self.harm.exposed(occurrence, harmed, before))

    def wire_mends(self) -> None:
        """A fault has ended or a provider routes around it: the path in use may work again."""
        entries = self.ledger.waiting_entries
        if len(entries):
            used = self._world.dataplane.used[entries]
            self._moves.append(Move(self._world.now_ns, Kind.END, entries, used))

    def _watch(self, rows: I64) -> None:
        """Follow the health of some tunnels, the same ones whatever else is watched."""
        key = self._world.overlay.key[rows]
        few = rows[np.argsort(key, kind="stable")[:_HEALTH_ROWS]]
        self._watched = np.union1d(self._watched, few)[: 5 * _HEALTH_ROWS]
        if self._world.sleepers is not None:
            self._world.sleepers.keep_awake(self._watched)

    def _open(self, number: int, t0_ns: int, exposed: Exposed) -> None:
        """Open exposures; those that lose packets by chance, or users', get a comb of their own."""
        numbers = self.ledger.open(number, t0_ns, exposed)
        carrying = np.isin(exposed.entry, self._flows)
        some = [self._few(exposed.entry, a) for a in (~exposed.lost, exposed.lost & carrying)]
        combed = np.sort(np.concatenate(some))
        streams = self.tally.add(exposed.entry[combed] % self._world.engine.space.classes)
        self._stream = np.concatenate([self._stream, np.full(len(numbers), -1, dtype=np.int64)])
        self._stream[numbers[combed]] = streams
        self._active = np.concatenate([self._active, numbers[combed]])

    def _few(self, entries: I64, which: Bools) -> I64:
        """Return the places of so many as are counted, the same ones whatever else there is."""
        at = hits(which)
        return at[np.argsort(self._keys_of(entries[at]), kind="stable")[:_COMBED]]

    @property
    def unsettled(self) -> bool:
        """Some exposure is not switched or failed over yet, or still counted."""
        return bool(len(self._active) or len(self.ledger.waiting_entries))

    # ------------------------------------------------------------ the end of a slot

    def end(self, start_ns: int, until_ns: int) -> None:
        """Settle exposures and count the packets of a slot."""
        # What moves between here and the next beginning belongs to the next slot.
        moves, self._moves = self._moves, []
        if not self._started:
            return
        moved = [m for m in moves if m.kind in {Kind.KERNEL, Kind.ENGINE}]
        pointers = Pointers(self._began_used, moved)
        self.ledger.settle(moves, partial(self.harm.path_truth, pointers))
        self._send(start_ns, until_ns, pointers)
        if until_ns % SECOND == 0:
            self._close_second(until_ns)

    def finish(self, end_ns: int) -> None:
        """The run is over; the second that it ends in may not be whole."""
        if self._started and end_ns > 0 and end_ns % SECOND:
            self._close_second(end_ns)
        self.tally.finish()

    def _send(self, start_ns: int, until_ns: int, pointers: Pointers) -> None:
        active, everything, keys = self._active, self._flows, self._flow_keys
        if len(active):
            entries = self.ledger.entry[active]
            everything = np.concatenate([everything, entries])
            keys = np.concatenate([keys, self._keys_of(entries)])
        if not len(everything):
            return
        teeth = self.comb.send(
            everything,
            keys,
            start_ns,
            until_ns,
            pointers=pointers,
            lan_up=self._world.agents.lan_up,
        )
        self._world.checkers.comb(keys, start_ns, until_ns, teeth)
        # An exposure counts from its own beginning.
        flows = len(self._flows)
        teeth.inside[flows:] &= teeth.sent_ns[flows:] >= self.ledger.t0_ns[active][:, None]
        self.tally.count(np.concatenate([self._flow_streams, self._stream[active]]), teeth)
        if until_ns % WINDOW_NS == 0:
            self._active = active[self.ledger.settled_ns(active) > until_ns - SETTLE_NS]

    # ------------------------------------------------------------ what exposures cost

    def costs(self, stop_ns: int) -> tuple[I64, I64]:
        """Return outage and time outside the SLA of every exposure, -1 where not measured.

        Users' packets and paths that lose by chance were counted packet by packet. For the many
        pairs that send nothing and lost everything the times tell: every tooth until the switch.
        """
        outage, degraded = self._dead_teeth(stop_ns)
        counted = self._stream >= 0
        streams = self._stream[counted]
        outage[counted] = self.tally.outage_ns[streams]
        degraded[counted] = self.tally.degraded_ns[streams]
        unknown = ~self.ledger.lost & ~counted
        outage[unknown] = degraded[unknown] = -1
        return outage, degraded

    def _dead_teeth(self, stop_ns: int) -> tuple[I64, I64]:
        ledger, classes = self.ledger, self._world.scenario.policy.classes
        phase = (self._keys_of(ledger.entry) % np.uint64(TOOTH_NS)).astype(np.int64)
        start = ledger.t0_ns
        left = np.maximum(stop_ns - start, 0)
        end = start + np.minimum(ledger.switch_ns, left)
        teeth = teeth_between(phase, start, end)
        number = ledger.entry % len(classes)
        limit = np.array([spoiling_teeth(c.sla) for c in classes], dtype=np.int64)[number]
        first, last = start // SECOND, (end - 1) // SECOND
        in_first = teeth_between(phase, start, np.minimum(end, (first + 1) * SECOND))
        in_last = np.where(last > first, teeth_between(phase, last * SECOND, end), 0)
        between = np.where(limit <= SECOND // TOOTH_NS, np.maximum(last - first - 1, 0), 0)
        spoilt = between + (in_first >= limit) + (in_last >= limit)
        spoilt[teeth == 0] = 0
        return teeth * TOOTH_NS, spoilt * SECOND

    def _close_second(self, until_ns: int) -> None:
        second = self.tally.close_second(self._flow_streams)
        self._world.checkers.second(second)
        used = self._world.dataplane.used[self._flows]
        start_ns = (until_ns - 1) // SECOND * SECOND
        self.records.seconds.append((start_ns, used.copy(), second))
        others = self._stream[self._stream >= 0]
        if len(others):
            self.tally.close_second(others)
        if len(self._watched):
            self._note_health(until_ns)

    def _note_health(self, now_ns: int) -> None:
        engine, rows = self._world.engine, self._watched
        figures = engine.figures(rows, now_ns)
        self.records.health.append((now_ns, rows, engine.state[rows].copy(), figures))


def _holds(rows: I64, row: int) -> bool:
    """Tell whether a sorted array holds a row."""
    place = int(np.searchsorted(rows, row))
    return place < len(rows) and int(rows[place]) == row


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
