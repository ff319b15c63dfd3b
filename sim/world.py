"""The simulated world: SimPy carries what is rare, arrays carry the probes.

One *slot* is at most 100 ms. When it begins, all its probes are worked out ahead
(:mod:`prober`); the few edges and alarms that result become events at their exact
times, beside faults, announcements and acknowledgements. When it ends, users'
packets are counted, congestion and provider routes follow, and the sites whose
turn it is re-rank their paths. The engine is the one that runs in production; it
is told only what its sites could know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Final

import numpy as np
import simpy

from patronus.dataplane.memory import MemoryDataplane
from patronus.engine.arrays import hits
from patronus.engine.engine import Engine, Received
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.liveness import I8, Input
from patronus.engine.meters import Alarmed
from patronus.engine.overlay import I64
from patronus.engine.ranking import terms
from patronus.engine.selection import Bools, select
from patronus.engine.silence import Edges
from patronus.engine.units import NEVER, US
from patronus.engine.verdict import Figures
from patronus.sim.agenda import Agenda, Phase
from patronus.sim.agents import Agents
from patronus.sim.checkers import Checkers
from patronus.sim.fates import row_fates
from patronus.sim.faults.compile import compile_faults
from patronus.sim.faults.effects import effects
from patronus.sim.faults.outages import mutes
from patronus.sim.flight import Counts, Samples
from patronus.sim.foresight import Foresight
from patronus.sim.gauges import Gauges
from patronus.sim.instants import turns
from patronus.sim.interruption import Interruption
from patronus.sim.load import Load
from patronus.sim.measurement import Measurement
from patronus.sim.passes import Quick, passes
from patronus.sim.prober import Prober
from patronus.sim.reflections import Takers
from patronus.sim.scenario import Scenario
from patronus.sim.selection_policy import PolicySelector, SelectionPolicy
from patronus.sim.sizes import row_mtus
from patronus.sim.sleepers import Sleepers
from patronus.sim.topology import build
from patronus.sim.traffic import demands
from patronus.sim.wire import WINDOW_NS, Wire

PROGRAM_NS: Final = 300 * US
"""From the engine's decision to the dataplane's acknowledgement."""

_BULK: Final = 1_000
"""More edges than this in a slot, and those that only begin are taken as arrays."""

_EXPIRE: Final = int(Input.EXPIRE)


@dataclass(frozen=True, slots=True)
class Stop:
    """How a run ended."""

    at_ns: int
    interrupted: bool


class Halt(Exception):
    """Raised by ``progress`` to end a run where it is, as if its scenario ended there."""


class World:
    """One scenario under one seed."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        *,
        slot_ns: int = WINDOW_NS,
        sink: Callable[[bytes], object] | None = None,
        selection: SelectionPolicy | None = None,
        compiled: bool | None = None,
        lazy: bool | None = False,
        reported: bool = True,
    ) -> None:
        """Build everything; nothing has happened yet.

        Args:
            scenario: validated.
            seed: of all luck.
            slot_ns: width of a batch; it changes nothing but the speed.
            sink: receives the lines of the journal.
            selection: chooses paths in place of the engine's own selection.
            compiled: whether dense passes are compiled, which changes nothing but the
                speed; None: where it pays.
            lazy: whether rows that cannot change a decision are left out, which changes
                nothing but the speed; None: where passes are compiled.
            reported: whether faults and whom they expose are measured, for a report; it
                changes nothing else.

        Raises:
            ValueError: the scenario describes no network, or a fault hits nothing.
        """
        self.scenario, self.seed, self.slot_ns = scenario, seed, slot_ns
        # The network is the scenario's; the seed of the run is what happens on it.
        self.network = build(scenario, scenario.seed)
        overlay, underlay = self.network.overlay, self.network.underlay
        policy = scenario.policy
        self.overlay, self.underlay = overlay, underlay
        self.timeline = compile_faults(scenario, self.network, seed)
        shaped = effects(self.timeline, underlay.links, seed)
        self.wire = Wire(overlay, underlay, shaped, mutes(self.timeline, overlay), seed)
        fates = row_fates(self.wire)
        selector = PolicySelector(overlay, selection) if selection is not None else select
        self.engine = Engine(overlay, policy, fates=fates, sink=sink, selector=selector)
        begin_ns = 0 if scenario.cold else -scenario.warmup_ns
        mtu = row_mtus(self.wire, underlay.links.mtu)
        self.engine.set_mtu(np.arange(overlay.rows, dtype=np.int64), mtu, begin_ns)
        detect = np.array([policy.profile(t).detect_ns for t in overlay.transports], dtype=np.int64)
        self.dataplane = MemoryDataplane(
            overlay.src,
            self.engine.space,
            detect_ns=detect[overlay.transport],
            hold_ns=policy.kernel_hold_ns,
            kernel_failover=policy.features.kernel_failover,
        )
        found = passes(scenario, overlay, lazy or compiled)
        self.prober = Prober(overlay, policy, self.wire, self.dataplane, seed, found)
        self._quick = None if found is None else Quick(found, self.engine, self.prober.by_blocks)
        # A cold start is what is studied, so nothing comes before it.
        self.begin_ns = begin_ns
        self.env = simpy.Environment(initial_time=self.begin_ns)
        self.agenda = Agenda(self.env)
        self.agents = Agents(self)
        self.demands = demands(scenario, self.network, seed)
        self.load = Load(self.demands, self.engine.space, self.wire)
        self.measurement = Measurement(self, exposing=reported)
        self.checkers = Checkers(self)
        self.gauges = Gauges(self, self.timeline.occurrences if reported else ())
        self.converged = scenario.cold
        self._turn = turns(overlay, scenario.policy.evaluation_ns, seed)
        self.sleepers = None if found is None else self._sleepers(found, lazy)
        self._interruption = Interruption()
        self._release_ns = NEVER
        self.foresight = Foresight(self.timeline, underlay.links, len(overlay.transports))

    def _sleepers(self, found: ModuleType, lazy: bool | None) -> Sleepers | None:
        """Return who keeps account of rows that are not simulated, where that can be and pays."""
        asked = terms(self.scenario.policy)
        if asked is None or lazy is False or not self.overlay.rows:
            return None
        sleepers = Sleepers(
            found, self.engine, self.wire, self.dataplane, asked, self.prober.probes, self._turn
        )
        self.prober.lazily(sleepers, lambda: self.agents.ordinary)
        return sleepers

    @property
    def now_ns(self) -> int:
        """The time; negative in the warm-up."""
        return int(self.env.now)

    def run(self, until_ns: int = NEVER, progress: Callable[[int], None] | None = None) -> Stop:
        """Run to the end, or to an earlier time; Ctrl-C ends it in good order."""
        end_ns = min(until_ns, self.scenario.duration_ns)
        self.engine.recording = self.scenario.cold
        self.agents.schedule(self.timeline)
        over = simpy.Event(self.env)

        def finish() -> None:
            over.succeed()

        self.agenda.at(self.now_ns, Phase.SLOT, 0, lambda: self._slot(end_ns, progress))
        self.agenda.at(end_ns, Phase.SLOT, 0, finish)
        stop = Stop(end_ns, interrupted=False)
        with self._interruption:
            try:
                self.env.run(until=over)
            except KeyboardInterrupt:
                stop = Stop(self.now_ns, interrupted=True)
            except Halt:
                stop = Stop(self.now_ns, interrupted=False)
        self.measurement.finish(stop.at_ns)
        return stop

    # ------------------------------------------------------------ slots

    def _slot(self, end_ns: int, progress: Callable[[int], None] | None) -> None:
        """Work out a slot ahead and put what follows from it on the agenda."""
        start = self.now_ns
        grid = start - start % WINDOW_NS + WINDOW_NS
        until = min(grid, start + self.slot_ns, end_ns, self.foresight.next_break(start))
        if progress is not None:
            progress(start)
        self._interruption.check()
        self.measurement.begin(start, until)
        ordinary = self.agents.all_running and not self.gauges.sampling
        quick = self._quick.observe if self._quick is not None and ordinary else None
        takers = Takers(self._take, self._count, quick)
        edges, alarms = self.prober.step(start, until, takers)
        if until % WINDOW_NS == 0:
            alarms += self._inquire(until)
        self._plan_edges(edges)
        self._plan_alarms([alarmed for alarmed in alarms if len(alarmed.rows)])
        self.agenda.at(until, Phase.MEASURE, 0, lambda: self._measure(start, until))
        if until % WINDOW_NS == 0:
            self.agenda.at(until, Phase.EVALUATE, 0, self._evaluate)
        if until < end_ns:
            self.agenda.at(until, Phase.SLOT, 0, lambda: self._slot(end_ns, progress))

    def _plan_edges(self, edges: Edges) -> None:
        if not len(edges.row):
            return
        if len(edges.row) > _BULK:
            edges = self._bring_up(edges)
        cuts = hits(np.diff(edges.at_ns)) + 1
        rows, kinds = np.split(edges.row, cuts), np.split(edges.kind, cuts)
        times = edges.at_ns[np.concatenate([[0], cuts])].tolist() if len(edges.row) else []
        for at_ns, row, kind in zip(times, rows, kinds, strict=False):
            self.agenda.at(at_ns, Phase.EDGES, 0, partial(self.edges, row, kind))

    def _bring_up(self, edges: Edges) -> Edges:
        """Take the tunnels of a large overlay that are heard for the first time; return the rest.

        Nothing reads these rows before the next evaluation, so their exact times can be
        noted now instead of at a million separate instants.
        """
        busy = self.dataplane.agent_stale[self.overlay.src]  # there latches fall by themselves
        busy[edges.row[edges.kind == _EXPIRE]] = True
        fresh = ~busy[edges.row]
        row, at_ns = edges.row[fresh], edges.at_ns[fresh]
        self.dataplane.since_ns[row] = at_ns
        mine = self.agents.running[self.overlay.src[row]]
        self.engine.heard(row[mine], at_ns[mine])
        return Edges(edges.at_ns[~fresh], edges.row[~fresh], edges.kind[~fresh])

    def _take(self, samples: Samples) -> Alarmed:
        """Hand reflections to the engine of sites whose agent runs; return its alarms."""
        self.gauges.sample(samples)
        arrived = samples.arrived_ns
        if not self.agents.all_running:
            deaf = ~self.agents.running[self.overlay.src[samples.rows]]
            arrived = np.where(deaf, NEVER, arrived)
        return self.engine.observe(
            samples.rows,
            sent_ns=samples.sent_ns,
            reflected_ns=samples.reflected_ns,
            arrived_ns=arrived,
            sequence=samples.sequence,
            heard_count=samples.heard_count,
        )

    def _count(self, counts: Counts) -> Alarmed:
        """Hand the peers' counts of data packets to the engine of sites whose agent runs."""
        mine = self.agents.running[self.overlay.src[counts.rows]]
        rows, sent, lost = counts.rows[mine], counts.sent[mine], counts.lost[mine]
        return self.engine.count(rows, sent=sent, lost=lost, at_ns=counts.at_ns[mine])

    def _inquire(self, now_ns: int) -> list[Alarmed]:
        """Let the engines read what peers say where reflections are overdue."""
        among = slice(None) if self.sleepers is None else self.sleepers.awake
        rows, round_trip_ns = self.engine.overdue(now_ns, among)
        mine = self.agents.running[self.overlay.src[rows]]
        told = self.prober.inquire(rows[mine], round_trip_ns[mine], now_ns)
        if not len(told.rows):
            return []
        at_ns = np.full(len(told.rows), now_ns, dtype=np.int64)
        sent, lost = told.data.T
        return [
            self.engine.report(
                told.rows, sequence=told.sequence, heard_count=told.heard_count, at_ns=at_ns
            ),
            self.engine.count(told.rows, sent=sent, lost=lost, at_ns=at_ns),
        ]

    def _plan_alarms(self, alarms: list[Alarmed]) -> None:
        """Put the alarms of the slot on the agenda, those of one instant together.

        Samples are taken ahead, so each alarm brings along what was known at its time.
        """
        if not alarms:
            return
        rows, at_ns = (np.concatenate([a[i] for a in alarms]) for i in range(2))
        figures = np.concatenate([np.stack(a.figures) for a in alarms], axis=1)
        order = np.lexsort((rows, at_ns))
        again = (np.diff(at_ns[order]) == 0) & (np.diff(rows[order]) == 0)
        order = order[~np.append(again, False)]  # of two alarms of a row the later knows more
        cuts = hits(np.diff(at_ns[order])) + 1
        for part in np.split(order, cuts):
            known = Figures(*figures[:, part])
            self.agenda.at(
                int(at_ns[part[0]]), Phase.ALARMS, 0, partial(self._alarm, rows[part], known)
            )

    # ------------------------------------------------------------ events

    def edges(self, rows: I64, kinds: I8) -> None:
        """Stamps went stale or fresh: the kernel moves first, then the engine."""
        now = self.now_ns
        gone, back = rows[kinds == _EXPIRE], rows[kinds != _EXPIRE]
        if len(gone):
            self.dataplane.silence(gone.tolist(), now)
            self.kernel_moves(gone)
        if len(back):
            self.dataplane.confirm(back.tolist(), now)
            self.mind_latches()
        mine = self.agents.running[self.overlay.src[rows]]
        if mine.any():
            self.engine.edges(rows[mine], kinds[mine], now)
            self.carry_out()

    def kernel_moves(self, rows: I64) -> None:
        """Note the moves that the dataplane made by itself at the sites of some rows."""
        for site in sorted(set(self.overlay.src[rows].tolist())):
            self.note_moves(site)

    def note_moves(self, site: int) -> None:
        """Note the moves in the ring of one site; an agent that is away reads them later."""
        moves = self.dataplane.events(site)
        self.measurement.kernel(moves)
        if not self.agents.running[site]:
            self.agents.keep(site, moves)

    def mind_latches(self) -> None:
        """Look again when the next latch falls by itself."""
        due_ns = max(self.dataplane.due_ns, self.now_ns)
        if due_ns < self._release_ns:
            self._release_ns = due_ns
            self.agenda.at(due_ns, Phase.RELEASE, 0, self._release)

    def _release(self) -> None:
        self._release_ns = NEVER
        self.dataplane.advance(self.now_ns)
        for site in self.dataplane.sites_with_events():
            self.note_moves(site)
        self.mind_latches()

    def _alarm(self, rows: I64, figures: Figures) -> None:
        mine = self.agents.running[self.overlay.src[rows]]
        if mine.any():
            known = Figures(*(f[mine] for f in figures))
            self.engine.alarm(rows[mine], self.now_ns, known)
            self.carry_out()

    def carry_out(self) -> None:
        """Do what the engine wants done."""
        out, now = self.engine.take(), self.now_ns
        for row, at_ns, layer in out.detections:
            self.measurement.detected(row, at_ns, layer)
        for rows, detect_ns in out.detect:
            self.dataplane.set_detect(rows, detect_ns, now)
        if out.unlatch:
            self.dataplane.clear_latch(out.unlatch, now)
            self.kernel_moves(np.array(out.unlatch, dtype=np.int64))
        for delta in out.deltas:
            self.agenda.at(
                now + PROGRAM_NS, Phase.PROGRAMMED, delta.generation,
                partial(self._program, delta),
            )  # fmt: skip
        for announcement in out.announcements:
            self.agents.spread(announcement)

    def _program(self, delta: ForwardingDelta) -> None:
        before = self.dataplane.used[delta.entries]
        self.dataplane.apply(delta, self.now_ns)
        after = self.dataplane.used[delta.entries]
        moved = before != after
        self.engine.programmed(delta)
        self.measurement.programmed(delta, moved)

    def rouse(self, sites: Sequence[int]) -> None:
        """Something changes at some sites: what is known of their tunnels must be up to date."""
        if self.sleepers is not None:
            self.sleepers.rouse_sites(np.array(sites, dtype=np.int64))

    def learn(self, received: Sequence[Received]) -> None:
        """Announcements arrive at some sites."""
        running = self.agents.running
        heard = [(sites[running[sites]], a) for sites, a in received]
        self.gauges.heard(heard)
        self.engine.learn(heard, self.now_ns)
        self.carry_out()

    # ------------------------------------------------------------ the end of a slot

    def _measure(self, start_ns: int, until_ns: int) -> None:
        self.measurement.end(start_ns, until_ns)
        self.checkers.end(until_ns)
        self.gauges.end(start_ns, until_ns)

    def _evaluate(self) -> None:
        """The grid of 100 ms: routes and congestion change, sites take their turns."""
        now = self.now_ns
        self._reroute(now)
        if self.load.changed(self.dataplane.used, now):
            self.checkers.fluid(self.demands.rate_bps, self.load.spread(self.prober, now))
        called = None if self.sleepers is None else self.sleepers.call(now)
        period = self.scenario.policy.evaluation_ns
        due = hits((self._turn == now % period) & self.agents.running)
        if len(due):
            self.engine.evaluate(due.tolist(), now)
            self.carry_out()
        if self.sleepers is not None and called is not None:
            self.sleepers.dismiss(called, now)
        if now == 0 and not self.scenario.cold:
            self._start()

    def _start(self) -> None:
        """Time zero: the overlay has converged, or the run is void."""
        used = self.dataplane.used
        reachable = self.engine.steering.wanted.rows[:, 0] != NO_ROW
        self.converged = bool((used[reachable] != NO_ROW).all() and reachable.any())
        self.engine.recording = True
        self.measurement.start()
        self.checkers.start()

    def _reroute(self, now_ns: int) -> None:
        """Let each provider's routes follow its visible failures after its own delay."""
        for number, provider in enumerate(self.underlay.providers):
            failed = self.foresight.down(number, now_ns - provider.reroute_ns)
            changed = self.wire.reroute(number, failed)
            if len(changed):
                self.engine.set_fates(changed, row_fates(self.wire, changed))
                self.checkers.rerouted(changed)
                self.measurement.wire_mends()

    def second_leg(self, entries: I64) -> tuple[I64, Bools]:
        """Return the entry of each entry's second leg, and whether it has one now."""
        space, used = self.engine.space, self.dataplane.used[entries]
        destination = (entries // space.classes) % space.destinations
        end = np.where(used == NO_ROW, -1, self.overlay.dst[used]).astype(np.int64)
        onward = (used != NO_ROW) & ~self.overlay.is_home(end, destination)
        second = (end * space.destinations + destination) * space.classes
        return second + entries % space.classes, onward
