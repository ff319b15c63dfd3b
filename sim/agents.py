"""Agents and the paths between them: who runs, who hears whom, what is planned.

Faults of links are the wire's business. This file applies the others: it stops
and starts agents, cuts sites off the controller, steps clocks and takes LANs down;
what operators do is in :mod:`plans`.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.dataplane.protocol import KernelMoves
from patronus.engine import silence
from patronus.engine.announcement import Announcement
from patronus.engine.engine import Received
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, SECOND
from patronus.sim.agenda import Phase
from patronus.sim.faults.kinds import kind_of
from patronus.sim.luck import word
from patronus.sim.plans import Plans
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence, Timeline

if TYPE_CHECKING:
    from patronus.sim.world import World

STALE_NS: Final = SECOND
"""A kernel takes its agent for dead after so long without a heartbeat."""

_SPREAD: Final = 8
"""Announcements take one of so many delays to each site, so that arrivals batch."""


class Agents:
    """The agents of all sites."""

    def __init__(self, world: "World") -> None:
        self._world = world
        sites = len(world.overlay.sites)
        self.running: Bools = np.ones(sites, dtype=np.bool_)
        self._stops = np.zeros(sites, dtype=np.int64)
        """How many faults hold each agent down at present."""
        self._forgetful: Bools = np.zeros(sites, dtype=np.bool_)
        self._cut = np.zeros(sites, dtype=np.int64)
        self._lan_down = np.zeros(sites, dtype=np.int64)
        self._stopped_ns: I64 = np.full(sites, NEVER, dtype=np.int64)
        self._post: dict[int, list[Received]] = {}
        """Announcements under way by their time of arrival."""
        self._plans = Plans(world)
        self._kept: dict[int, list[KernelMoves]] = {}
        self.delay_ns: I64 = self._delays()

    @property
    def all_running(self) -> bool:
        """Tell whether no agent is away."""
        return bool(self.running.all())

    @property
    def ordinary(self) -> Bools:
        """Which sites have an agent that runs, with the common policy."""
        return self.running & ~self._plans.special

    @property
    def lan_up(self) -> Bools:
        """Which sites' own sides deliver."""
        up: Bools = self._lan_down == 0
        return up

    @property
    def reached(self) -> Bools:
        """Which sites the controller reaches."""
        reached: Bools = self._cut == 0
        return reached

    def schedule(self, timeline: Timeline) -> None:
        """Put the beginning and the end of every occurrence on the agenda."""
        world = self._world
        for occurrence in timeline.occurrences:
            world.agenda.at(
                occurrence.start_ns, Phase.WIRE, occurrence.name,
                partial(self._apply, occurrence, on=True),
            )  # fmt: skip
            if occurrence.end_ns < world.scenario.duration_ns:
                world.agenda.at(
                    occurrence.end_ns, Phase.WIRE, occurrence.name,
                    partial(self._apply, occurrence, on=False),
                )  # fmt: skip

    def _apply(self, occurrence: Occurrence, *, on: bool) -> None:
        kind, step = occurrence.fault.kind, 1 if on else -1
        if kind is FaultKind.LAN_DOWN:
            self._lan_down[list(occurrence.sites)] += step
        if on:
            self._world.measurement.fault_begins(occurrence)
        else:
            self._world.measurement.wire_mends()
        if kind is FaultKind.DRAIN:
            self._plans.drain(occurrence, on=on)
        elif kind is FaultKind.HALF_CONFIG:
            self._plans.configure(occurrence, on=on)
        elif kind_of(occurrence.fault).carrier:
            if on:
                self._carrier(occurrence)
        else:
            self._strike(occurrence, on=on)

    def _strike(self, occurrence: Occurrence, *, on: bool) -> None:
        """Let sites feel a fault of their own, or its end."""
        kind, step, sites = occurrence.fault.kind, 1 if on else -1, occurrence.sites
        self._world.rouse(sites)
        if kind in (FaultKind.SITE_CRASH, FaultKind.AGENT_KILL, FaultKind.AGENT_PAUSE):
            for site in sites:
                self._hold(site, forgets=kind is not FaultKind.AGENT_PAUSE, on=on)
        elif kind is FaultKind.CONTROLLER_PARTITION:
            self._partition(occurrence, step)
        elif kind is FaultKind.CLOCK_JUMP:
            by_ns = step * occurrence.fault.jump_ns
            self._world.prober.reflections.jump(sites, by_ns, self._world.now_ns)
        elif kind is FaultKind.LAN_DOWN:
            for site in sites:
                self._announce_lan(site)

    # ------------------------------------------------------------ stops and starts

    def _hold(self, site: int, *, forgets: bool, on: bool) -> None:
        world, now = self._world, self._world.now_ns
        self._stops[site] += 1 if on else -1
        self._forgetful[site] |= forgets
        if on and self.running[site]:
            self.running[site] = False
            self._stopped_ns[site] = now
            world.agenda.at(
                now + STALE_NS, Phase.WIRE, f"stale {site}", lambda: self._stale(site, now)
            )
        elif not on and self._stops[site] == 0:
            self._start(site)

    def _stale(self, site: int, stopped_ns: int) -> None:
        """The kernel has missed the heartbeats of an agent that has not run since."""
        if not self.running[site] and self._stopped_ns[site] == stopped_ns:
            self._world.dataplane.set_agent(site, stale=True, now_ns=self._world.now_ns)
            self._world.mind_latches()

    def _start(self, site: int) -> None:
        """An agent is back: it reads what its kernel did, then compares stamps."""
        world, now = self._world, self._world.now_ns
        self.running[site] = True
        world.dataplane.set_agent(site, stale=False, now_ns=now)
        for moves in self._kept.pop(site, []):
            world.engine.kernel_moved(moves.entries, moves.from_rows, moves.to_rows, now)
        since_ns, latched = world.dataplane.since_ns, world.dataplane.latched
        if self._forgetful[site]:
            world.engine.restart(site, now, since_ns=since_ns, latched=latched)
        else:
            world.engine.resume(site, now, since_ns=since_ns, latched=latched)
        self._forgetful[site] = False
        world.carry_out()
        self._announce_lan(site)
        self._plans.catch_up(site)

    def keep(self, site: int, moves: KernelMoves) -> None:
        """Keep what a kernel did while its agent was away."""
        if len(moves):
            self._kept.setdefault(site, []).append(moves)

    # ------------------------------------------------------------ announcements

    def _delays(self) -> I64:
        """Return how long announcements take to each site."""
        control, world = self._world.scenario.control, self._world
        steps = [word(world.seed, "control", name) % _SPREAD for name in world.overlay.sites]
        return control.delay_ns + np.array(steps, dtype=np.int64) * (control.jitter_ns // _SPREAD)

    def spread(self, announcement: Announcement) -> None:
        """Send an announcement to every other site that the controller reaches."""
        world = self._world
        site = world.overlay.site_index[announcement.origin]
        if self._cut[site]:
            return
        sites = np.flatnonzero(self._cut == 0)
        others = sites[sites != site]
        for delay_ns in np.unique(self.delay_ns[others]).tolist():
            observers = others[self.delay_ns[others] == delay_ns]
            at_ns = world.now_ns + delay_ns
            if at_ns not in self._post:
                self._post[at_ns] = []
                world.agenda.at(at_ns, Phase.LEARN, 0, partial(self._deliver, at_ns))
            self._post[at_ns].append((observers, announcement))

    def _deliver(self, at_ns: int) -> None:
        """Hand over all that arrives at one instant."""
        self._world.learn([(o[self._cut[o] == 0], a) for o, a in self._post.pop(at_ns)])

    def _partition(self, occurrence: Occurrence, step: int) -> None:
        world, sites = self._world, list(occurrence.sites)
        self._cut[sites] += step
        control = world.scenario.control
        for site in sites if step < 0 else []:
            world.agenda.at(
                world.now_ns + control.delay_ns + control.jitter_ns, Phase.LEARN,
                len(world.overlay.sites) + 1 + site, partial(self._plans.catch_up, site),
            )  # fmt: skip

    # ------------------------------------------------------------ interfaces

    def _announce_lan(self, site: int) -> None:
        """Let an agent that runs tell the others how its own side is, if that is news."""
        world, up = self._world, bool(self.lan_up[site])
        if self.running[site] and up != world.engine.lan_up[site]:
            world.engine.set_lan(site, up=up, now_ns=world.now_ns)
            world.carry_out()

    def _carrier(self, occurrence: Occurrence) -> None:
        """A dead access link is seen at once by the site whose interface it is."""
        world, overlay = self._world, self._world.overlay
        rows = np.flatnonzero(np.isin(world.wire.up, np.array(occurrence.links, dtype=np.int64)))
        if not len(rows):
            return
        plane, now = world.dataplane, world.now_ns
        rows = rows.astype(np.int64)
        at_ns = np.full(len(rows), now, dtype=np.int64)
        edges = silence.cut(plane.confirmed_ns, plane.detect_ns, world.prober.silent, rows, at_ns)
        gone = edges.row
        if len(gone):
            plane.silence(gone.tolist(), now)
            world.kernel_moves(gone)
            mine = gone[self.running[overlay.src[gone]]]
            world.engine.carrier_lost(mine, now)
            world.carry_out()
