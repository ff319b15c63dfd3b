"""Agents and the paths between them: who runs, who hears whom, what is planned.

Faults of links are the wire's business. This file applies the others: it stops
and starts agents, cuts sites off the controller, steps clocks, drains, and takes
LANs down.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.dataplane.protocol import KernelMoves
from patronus.engine import silence
from patronus.engine.engine import Announcement
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, SECOND
from patronus.sim.agenda import Phase
from patronus.sim.faults.kinds import kind_of
from patronus.sim.luck import word
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
        self._drains: dict[int, int] = {}
        self._kept: dict[int, list[KernelMoves]] = {}
        self.delay_ns: I64 = self._delays()

    @property
    def all_running(self) -> bool:
        """Tell whether no agent is away."""
        return bool(self.running.all())

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
        sites = np.array(occurrence.sites, dtype=np.int64)
        kind = occurrence.fault.kind
        step = 1 if on else -1
        self._lan_down[sites] += step * (kind is FaultKind.LAN_DOWN)
        if on:
            self._world.measurement.fault_begins(occurrence)
        else:
            self._world.measurement.wire_mends()
        if kind in (FaultKind.SITE_CRASH, FaultKind.AGENT_KILL, FaultKind.AGENT_PAUSE):
            for site in occurrence.sites:
                self._hold(site, forgets=kind is not FaultKind.AGENT_PAUSE, on=on)
        elif kind is FaultKind.CONTROLLER_PARTITION:
            self._cut[sites] += step
        elif kind is FaultKind.CLOCK_JUMP:
            self._world.prober.clock_ns[sites] += occurrence.fault.jump_ns * step
        elif kind is FaultKind.LAN_DOWN:
            self._lan(occurrence)
        elif kind is FaultKind.DRAIN:
            self._drain(occurrence, on=on)
        elif kind is FaultKind.HALF_CONFIG:
            policy = occurrence.fault.policy if on else None
            self._world.checkers.configured(occurrence.sites, policy)
            self._world.engine.configure(occurrence.sites, policy, self._world.now_ns)
            self._world.carry_out()
        elif kind_of(occurrence.fault).carrier and on:
            self._carrier(occurrence)

    # ------------------------------------------------------------ stops and starts

    def _hold(self, site: int, *, forgets: bool, on: bool) -> None:
        world, now = self._world, self._world.now_ns
        self._stops[site] += 1 if on else -1
        self._forgetful[site] |= forgets
        if on and self.running[site]:
            self.running[site] = False
            stops = int(self._stops[site])
            world.agenda.at(
                now + STALE_NS, Phase.WIRE, f"stale {site}", lambda: self._stale(site, stops)
            )
        elif not on and self._stops[site] == 0:
            self._start(site)

    def _stale(self, site: int, stops: int) -> None:
        if not self.running[site] and self._stops[site] >= stops:
            self._world.dataplane.set_agent(site, stale=True, now_ns=self._world.now_ns)

    def _start(self, site: int) -> None:
        """An agent is back: it reads what its kernel did, then compares stamps."""
        world, now = self._world, self._world.now_ns
        self.running[site] = True
        world.dataplane.set_agent(site, stale=False, now_ns=now)
        for moves in self._kept.pop(site, []):
            world.engine.kernel_moved(moves.entries, moves.from_rows, moves.to_rows, now)
        silent, latched = world.dataplane.since_ns == NEVER, world.dataplane.latched
        if self._forgetful[site]:
            world.engine.restart(site, now, silent=silent, latched=latched)
        else:
            world.engine.resume(site, now, silent=silent, latched=latched)
        self._forgetful[site] = False
        world.carry_out()

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
        world, site = self._world, announcement.site
        if self._cut[site]:
            return
        sites = np.flatnonzero(self._cut == 0)
        others = sites[sites != site]
        for delay_ns in np.unique(self.delay_ns[others]).tolist():
            observers = others[self.delay_ns[others] == delay_ns]
            world.agenda.at(
                world.now_ns + delay_ns, Phase.LEARN, site,
                partial(self._deliver, observers, announcement),
            )  # fmt: skip

    def _deliver(self, observers: I64, announcement: Announcement) -> None:
        reached = observers[self._cut[observers] == 0]
        if len(reached):
            self._world.learn(reached, announcement)

    # ------------------------------------------------------------ plans and interfaces

    def _lan(self, occurrence: Occurrence) -> None:
        world = self._world
        for site in occurrence.sites:
            if self.running[site]:
                world.engine.set_lan(site, up=bool(self.lan_up[site]), now_ns=world.now_ns)
        world.carry_out()

    def _drain(self, occurrence: Occurrence, *, on: bool) -> None:
        """Drain both ends of the tunnels of some attachments; the far ends hear of it later."""
        overlay, world = self._world.overlay, self._world
        mine = np.isin(overlay.src, occurrence.sites) & np.isin(
            overlay.transport, occurrence.transports
        )
        rows = np.flatnonzero(mine)
        self._drain_rows(rows, on=on)
        far = overlay.reverse[rows].astype(np.int64)
        delay = world.scenario.control.delay_ns + world.scenario.control.jitter_ns
        world.agenda.at(
            world.now_ns + delay, Phase.LEARN, len(overlay.sites),
            lambda: self._drain_rows(far[self._cut[overlay.src[far]] == 0], on=on),
        )  # fmt: skip

    def _drain_rows(self, rows: I64, *, on: bool) -> None:
        world, change = self._world, []
        for row in rows.tolist():
            before = self._drains.get(row, 0)
            self._drains[row] = max(0, before + (1 if on else -1))
            if (before == 0) == on:
                change.append(row)
        running = np.array([r for r in change if self.running[world.overlay.src[r]]], np.int64)
        world.engine.drain(running, world.now_ns, on=on)
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
