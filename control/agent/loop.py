"""The agent's event loop: who is called when, and who hears of it.

Nothing is decided here. Jobs that are due are done in order; each says when it wants to be
called again.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

import numpy as np

from patronus.control.agent import wanted
from patronus.control.agent.answers import Answers
from patronus.control.agent.bfd import Neighbours
from patronus.control.agent.driver import Listeners
from patronus.control.agent.history import History
from patronus.control.agent.meeting import Met
from patronus.control.agent.memory import give_back, trim
from patronus.control.agent.notify import Notifier
from patronus.control.agent.proofs import Proofs
from patronus.control.agent.site import Site
from patronus.control.agent.sockets import MeetingSockets
from patronus.control.config.model import AgentConfig, BfdNeighbour
from patronus.control.members.address import address
from patronus.control.members.driver import Driver as MembersDriver
from patronus.control.members.driver import Listeners as MembersListeners
from patronus.control.members.driver import open_socket
from patronus.control.members.identity import public_key
from patronus.control.members.membership import Membership, Settings
from patronus.control.members.seeker import Places
from patronus.control.recording.engine import RecordedEngine
from patronus.control.recording.recorder import Recorder
from patronus.dataplane.underlay.watcher import Watcher
from patronus.engine.announcement import Announcement
from patronus.engine.engine import Engine
from patronus.engine.overlay import I64
from patronus.engine.units import MS, NEVER, SECOND

RECONCILE_NS: Final = 700 * MS
FLUSH_NS: Final = SECOND
GATHER_NS: Final = 10 * MS
"""Other ends that are met within this are followed together."""
REST_NS: Final = 20 * MS
"""Between two looks at the ground, however much netlink has to tell."""
SIZES_NS: Final = 50 * MS
"""Until what answers say of the paths' MTUs is used."""

log = logging.getLogger("patronus.agent")


class End(Enum):
    """Why the loop ended."""

    STOP = auto()
    RELOAD = auto()


@dataclass(slots=True)
class Outcome:
    """How the loop ended, and what is to follow."""

    end: End
    config: AgentConfig | None = None


@dataclass(slots=True)
class _Job:
    name: str
    do: Callable[[int], int]
    due_ns: int = field(default=0)
    worst_ns: int = 0
    """The longest that it has taken."""
    spent_ns: int = 0


class Agent:
    """One site, running."""

    def __init__(self, site: Site, notifier: Notifier, desk: "Callable[[Agent], Any]") -> None:
        """Bring the site up; packets are forwarded when this returns.

        Args:
            site: looked at, not brought up.
            notifier: to systemd.
            desk: makes who answers questions.
        """
        self.site, self.config, self._notifier = site, site.config, notifier
        self.history = History()
        self.members: MembersDriver | None = None
        self.membership: Membership | None = None
        self._unsaid: Announcement | None = None
        """The newest announcement of before we were a member: it says all."""
        self.recorder = self._recorder()
        self.engine = self._engine()
        listeners = Listeners(self._announce, self._detected, self._suspected)
        self.driver = site.start(self.engine, listeners)
        self.answers = Answers(site, self.history)
        self.started_ns = time.monotonic_ns()
        self._outcome: asyncio.Future[Outcome] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: MeetingSockets | None = None
        self.neighbours: Neighbours | None = None
        self.proofs: Proofs | None = None
        self._watcher = Watcher()
        self._usable = {t.name: site.ground.usable(t) for t in self.config.transports}
        self._looked_ns = 0
        self._jobs = [
            _Job("tick", self._tick),
            _Job("follow", self._follow, NEVER),
            _Job("keys", self._rotate),
            _Job("meeting", self._meet),
            _Job("sizes", self._fit),
            _Job("reconcile", self._reconcile, self.started_ns + RECONCILE_NS),
            _Job("flush", self._flush),
            _Job("watchdog", self._watchdog),
        ]
        self._troubles: list[str] = []
        self.desk = desk(self)

    def _job(self, name: str) -> _Job:
        return next(j for j in self._jobs if j.name == name)

    def wake(self, name: str) -> None:
        """Let a job be done at once."""
        self._job(name).due_ns = 0
        self._arm()

    def jobs(self) -> dict[str, dict[str, int]]:
        """Return how long each job has taken: at worst, and in all."""
        return {j.name: {"worst_ns": j.worst_ns, "spent_ns": j.spent_ns} for j in self._jobs}

    # ------------------------------------------------------------ parts

    def _recorder(self) -> Recorder | None:
        wants = self.config.record
        if wants is None:
            return None
        folder = Path(self.config.recordings)
        return Recorder(folder, max_bytes=wants.max_bytes, keep=wants.keep, tell=log.warning)

    def _engine(self) -> Engine:
        layout, policy = self.site.layout, self.config.policy
        if self.recorder is None:
            return Engine(layout.overlay, policy, fates=layout.fates, sink=self.history.take)
        return RecordedEngine(
            layout.overlay, policy, recorder=self.recorder, fates=layout.fates,
            sink=self.history.take,
        )  # fmt: skip

    def _membership(self) -> Membership:
        config = self.config
        port = wanted.CONTROL_PORT
        configured = {
            peer.name: tuple(
                address(e.address, port) for e in peer.endpoints.values() if e.address
            )[:4]
            for peer in config.peers
        }
        settings = Settings(
            name=config.site,
            folder=Path(config.state),
            here=np.zeros(1, dtype=np.int64),
            identity=Path(config.identity),
            pinned={peer.name: public_key(peer.key) for peer in config.peers},
            operator=public_key(config.enrolment) if config.enrolment else None,
            places=Places(
                seeds=tuple(address(host, port) for host, port in config.seeds),
                configured={name: where for name, where in configured.items() if where},
            ),
        )
        return Membership(settings, wall_ns=time.time_ns(), report=log.warning)

    @property
    def way(self) -> list[str]:
        """Which way the agent runs, and what that costs."""
        told = self.site.way
        return told + ([self.site.devices.notice] if self.site.devices.notice else [])

    def take_policy(self, config: AgentConfig) -> None:
        """Go on under another policy; settings that came with it wait for the next start."""
        self.config = config
        self.site.take_policy(config)
        self.driver.configure(config.policy, time.monotonic_ns())

    # ------------------------------------------------------------ life

    async def run(self) -> Outcome:
        """Run until we are told to stop, or to begin anew."""
        loop = asyncio.get_running_loop()
        self._outcome = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.finish, Outcome(End.STOP))
        loop.add_signal_handler(signal.SIGHUP, self.desk.hang_up)
        self._sockets = MeetingSockets(
            self.config, self.site.ground, self.site.meeting, self._take_met, self.site.path_mtus
        )
        self._sockets.ensure()
        self.neighbours = Neighbours(self.config, self.site.bfd_keys, self._bfd_failed)
        self.proofs = self.answers.proofs = self.site.proofs()
        loop.add_reader(self._watcher, self._changed)
        stop_metrics = self._serve_metrics()
        members = loop.create_task(self._take_part())
        members.add_done_callback(self._took_part)
        await self.desk.start()
        self._notifier.tell("READY=1", f"STATUS={self.site.config.site} forwards")
        give_back()
        log.info("started site=%s tunnels=%d", self.config.site, self.site.layout.overlay.rows)
        try:
            self._work()
            return await self._outcome
        finally:
            if self._timer is not None:
                self._timer.cancel()
            # No farewell: the kernel goes on, and so shall the peers.
            members.cancel()
            await asyncio.wait([members])
            await self.desk.stop()
            stop_metrics()
            self._close(loop)

    def _work(self) -> None:
        """Do the jobs that are due, and come back for the next one."""
        assert self._outcome is not None
        if self._outcome.done():
            return
        try:
            for job in self._jobs:
                began_ns = time.monotonic_ns()
                if began_ns >= job.due_ns:
                    job.due_ns = job.do(began_ns)
                    took_ns = time.monotonic_ns() - began_ns
                    job.worst_ns, job.spent_ns = (
                        max(job.worst_ns, took_ns), job.spent_ns + took_ns
                    )  # fmt: skip
        except Exception as error:  # noqa: BLE001  # it is raised where the loop is waited for
            self._outcome.set_exception(error)
            return
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_ns = min(job.due_ns for job in self._jobs)
        wait_s = min(max(due_ns - time.monotonic_ns(), 0) / SECOND, 1.0)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._work)

    def finish(self, outcome: Outcome) -> None:
        """End the loop."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._watcher)
        self._watcher.close()
        if self._sockets is not None:
            self._sockets.close()
        if self.neighbours is not None:
            self.neighbours.close()
        if self.proofs is not None:
            self.proofs.close()
        if self.recorder is not None:
            self.recorder.stop(self.engine)
        if self.membership is not None:
            self.membership.keep()
        self.site.close()

    async def _take_part(self) -> None:
        """Be a member, for as long as the agent runs."""
        sockets = []
        for host in ("0.0.0.0", "::"):
            try:
                sockets.append(open_socket(address(host, wanted.CONTROL_PORT)))
            except OSError as error:
                log.warning("members cannot listen host=%s reason=%s", host, error.strerror)
        self.membership = self._membership()
        listeners = MembersListeners(
            self.driver.learn, lambda change: log.info(
                "member site=%s was=%s is=%s", change.name, change.before.name, change.after.name
            )
        )  # fmt: skip
        self.members = MembersDriver(self.membership, sockets, listeners)
        asyncio.get_running_loop().call_soon(self._speak)
        await self.members.run(asyncio.Event())

    def _took_part(self, task: "asyncio.Task[None]") -> None:
        """End as for any other bug when the membership has ended by itself."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)

    def _serve_metrics(self) -> Callable[[], None]:
        wants = self.config.metrics
        if wants is None:
            return lambda: None
        from patronus.control.agent import metrics  # 4 MB that only who serves them needs

        try:
            return metrics.serve(wants.address, wants.port, lambda: self.answers, time.monotonic_ns)
        except OSError as error:
            log.warning("no metrics at %s:%d: %s", wants.address, wants.port, error.strerror)
            return lambda: None

    # ------------------------------------------------------------ jobs

    def _tick(self, now_ns: int) -> int:
        self.driver.tick(now_ns)
        return self.driver.next_deadline()

    def _meet(self, now_ns: int) -> int:
        assert self._sockets is not None
        self._sockets.wake(now_ns)
        # Those that are due within a little while are asked together.
        return max(self.site.meeting.next_deadline(), now_ns + GATHER_NS)

    def _follow(self, now_ns: int) -> int:
        self.site.follow(now_ns)
        self.wake("keys")
        return NEVER

    def _rotate(self, now_ns: int) -> int:
        due_ns, meeting = self.site.rotations.wake(now_ns), self._job("meeting")
        # What changed of our keys is said at once.
        meeting.due_ns = min(meeting.due_ns, self.site.meeting.next_deadline())
        return due_ns

    def _fit(self, now_ns: int) -> int:
        sizes = self.site.path_mtus
        sizes.poll(now_ns)
        rows = self.site.fit(now_ns)
        self.driver.large.fitted(rows, now_ns)
        for row in rows.tolist():
            log.info("path mtu tunnel=%s bytes=%d", self._label(row), sizes.mtus[row])
        return min(max(sizes.next_deadline(), now_ns + GATHER_NS), now_ns + SIZES_NS)

    def _suspected(self, rows: I64) -> None:
        self.site.path_mtus.suspect(rows, time.monotonic_ns())
        self._job("sizes").due_ns = 0

    def _reconcile(self, now_ns: int) -> int:
        found = self.site.reconcile(now_ns)
        for what, count in found.items():
            log.warning("repaired what=%s count=%d", what, count)
        self._look(now_ns)
        troubles = self.troubles
        for text in troubles:
            if text not in self._troubles:
                log.warning("trouble: %s", text)
        self._troubles = troubles
        return now_ns + RECONCILE_NS

    @property
    def troubles(self) -> list[str]:
        """What is not as wanted, in sentences."""
        others = (self.neighbours, self.proofs)
        return [*self.site.troubles, *(text for part in others if part for text in part.troubles)]

    def _look(self, now_ns: int) -> None:
        """Follow what the last look at the ground has shown."""
        assert self._sockets is not None
        self._sockets.ensure()
        site, dead = self.site, []
        site.path_mtus.follow(site.meeting.lanes, site.ground, now_ns)
        for number, transport in enumerate(self.config.transports):
            usable = site.ground.usable(transport)
            if self._usable[transport.name] and not usable:
                log.warning("carrier lost transport=%s", transport.name)
                dead.append(number)
            self._usable[transport.name] = usable
        if dead:
            rows = np.flatnonzero(np.isin(site.layout.overlay.transport, dead)).astype(np.int64)
            self.driver.carrier_lost(rows, now_ns)
        assert self.neighbours is not None
        self.neighbours.ensure()
        if self.proofs is not None:
            self.proofs.ensure(site.meeting.lanes, self.driver.stamps.silent, now_ns)
        self._look_at_lan(now_ns)

    def _look_at_lan(self, now_ns: int) -> None:
        beyond = self.neighbours is None or self.neighbours.lan_up
        self.driver.set_lan(now_ns, up=beyond and self.site.ground.lan_up())

    def _changed(self) -> None:
        """Netlink has something to tell: look again, soon."""
        if not self._watcher.drain():
            return
        now_ns = time.monotonic_ns()
        due_ns = max(now_ns, self._looked_ns + REST_NS)
        job = self._job("reconcile")
        if due_ns < job.due_ns:
            job.due_ns, self._looked_ns = due_ns, due_ns
            self._arm()

    def _flush(self, now_ns: int) -> int:
        if self.recorder is not None:
            self.recorder.flush()
        return now_ns + FLUSH_NS

    def _watchdog(self, now_ns: int) -> int:
        self._notifier.tell("WATCHDOG=1")
        trim()
        return min(now_ns + 10 * SECOND, now_ns + self._notifier.watchdog_ns)

    # ------------------------------------------------------------ news

    def _take_met(self, met: Met) -> None:
        row = self.site.meet(met)
        job, soon_ns = self._job("follow"), time.monotonic_ns() + GATHER_NS
        if soon_ns < job.due_ns:
            job.due_ns = soon_ns
            self._arm()
        log.info("met tunnel=%s host=%s", self._label(row), met.host)

    def _bfd_failed(self, neighbour: BfdNeighbour) -> None:
        now_ns = time.monotonic_ns()
        if neighbour.transport is None:
            self._look_at_lan(now_ns)
            return
        number = self.config.transports.index(self.config.transport(neighbour.transport))
        rows = np.flatnonzero(self.site.layout.overlay.transport == number).astype(np.int64)
        self.driver.carrier_lost(rows, now_ns)

    def _detected(self, row: int, at_ns: int, layer: str) -> None:
        del at_ns
        log.info("down tunnel=%s layer=%s", self._label(row), layer)

    def _label(self, row: int) -> str:
        lane = self.site.layout.lanes[row]
        return f"{lane.transport.name}>{lane.peer.name}"

    def _announce(self, announcement: Announcement) -> None:
        if self.members is None:
            self._unsaid = announcement
        elif not self.members.announce(announcement):
            log.warning("an announcement is too long to be sent")

    def _speak(self) -> None:
        if self._unsaid is not None:
            self._announce(self._unsaid)
            self._unsaid = None
