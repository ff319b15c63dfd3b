"""Drives the engine of one site over its kernel: one tick at a time, with the time given.

    stamps    edges of silence, also those that healed between two ticks     every 20 ms or more
    moves     what the kernel did by itself: inputs of the journal           with them
    samples   probes that came back; then what peers say where none did      every 100 ms
    sizes     how large packets tunnels carry, where that has changed        with them
    evaluate  at the site's own phase of the interval

After each of them the engine's wishes are carried out at once: detect times, latches, the
table, and announcements, which go to whoever listens.

The journal's times never go back. An edge that is found later than something already told is
dated by that.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.control.agent.delays import OneWay
from patronus.control.agent.drains import Drains
from patronus.control.agent.kernel import Kernel
from patronus.control.agent.largeloss import LargeLosses
from patronus.control.agent.stamps import Stamps
from patronus.control.config.model import DRAIN_NS
from patronus.dataplane.stamp.losses import Losses
from patronus.engine.announcement import Announcement
from patronus.engine.engine import Engine, Received
from patronus.engine.fingerprint import name_key
from patronus.engine.forwarding import ForwardingDelta, diff
from patronus.engine.meters import Alarmed
from patronus.engine.overlay import I64
from patronus.engine.policy import Policy
from patronus.engine.silence import Edges
from patronus.engine.units import MS, NEVER, SECOND

LOOK_NS: Final = 20 * MS
"""Between two looks at the stamps, or a quarter of the shortest detect time where that is longer:
the kernel has moved packets by then, what is late is the next backup."""
SAMPLE_NS: Final = 100 * MS
"""The kernel keeps 32 samples a tunnel: 320 ms at 10 ms."""
SETTLE_NS: Final = 10 * SECOND
"""Who has just started knows of no way beyond others until they have spoken. What stood in the
table before stays for so long, where nothing is known that would do."""
OWN: Final = 0
"""Our site, in its own engine."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told of what the driver does."""

    announce: Callable[[Announcement], object]
    detected: Callable[[int, int, str], object]
    """Row, time, layer."""
    suspected: Callable[[I64], object] = lambda rows: rows
    """Rows on which large packets get lost and small ones do not."""


class Driver:
    """One engine, one kernel."""

    def __init__(
        self,
        engine: Engine,
        kernel: Kernel,
        listeners: Listeners,
        *,
        now_ns: int,
        drain_ns: int = DRAIN_NS,
        drains: Drains | None = None,
    ) -> None:
        """Take over from whatever the kernel has been doing; it forwards meanwhile.

        Args:
            engine: that has not been told anything yet.
            kernel: with its rows in place.
            listeners: of what happens.
            now_ns: the time.
            drain_ns: after so long, pinned flows without a gap leave what is drained by force.
            drains: that were under way before; None: none.
        """
        self._drain_ns = drain_ns
        none: I64 = np.zeros(engine.overlay.rows, dtype=np.int64)
        self.drains = drains or Drains(none)
        self.engine, self.kernel, self._listeners = engine, kernel, listeners
        self.table = kernel.standing()
        """What the kernel was told to do, by us or by whoever ran before."""
        self._told_ns = now_ns
        rows = engine.overlay.rows
        self._out = Losses(rows)
        self.large = LargeLosses(rows)
        self._told_at_ns: I64 = np.zeros(rows, dtype=np.int64)
        interval_ns = engine.policy.evaluation_ns
        self._phase_ns = name_key("site", engine.overlay.sites[OWN]) % interval_ns
        self.one_way = OneWay(engine.overlay.dst)
        self._due = dict.fromkeys((self._look, self._sample), now_ns)
        self._due[self._evaluate] = now_ns
        self._due[self._settle] = now_ns + SETTLE_NS
        self.kernel_moves = self.kernel_moves_lost = 0
        fresh = kernel.listening_ns(now_ns) - kernel.confirmed_ns <= kernel.detect_ns
        since_ns = np.where(fresh, kernel.since_ns, NEVER)
        latched = kernel.latched
        self.stamps = Stamps(since_ns)
        kernel.heartbeat(now_ns)
        self._moves(now_ns)
        engine.restart(OWN, now_ns, since_ns=since_ns, latched=latched)
        self._mtu: I64 = np.zeros(rows, dtype=np.int64)
        self._measure(now_ns)
        self.drains.hear(kernel.told().drains, now_ns)
        self._plan(now_ns)
        self._carry_out(now_ns)

    # ------------------------------------------------------------ time

    def next_deadline(self) -> int:
        """Return when to call :meth:`tick`."""
        return min(self._due.values())

    def tick(self, now_ns: int) -> None:
        """Do all that is due."""
        self.kernel.heartbeat(now_ns)
        for job, due_ns in self._due.items():
            if now_ns >= due_ns:
                self._due[job] = job(now_ns)
        self._carry_out(now_ns)

    def _time(self, at_ns: int) -> int:
        self._told_ns = max(self._told_ns, at_ns)
        return self._told_ns

    # ------------------------------------------------------------ in

    def _look(self, now_ns: int) -> int:
        self._moves(now_ns)
        kernel = self.kernel
        edges = self.stamps.look(
            since_ns=kernel.since_ns,
            confirmed_ns=kernel.confirmed_ns,
            detect_ns=kernel.detect_ns,
            now_ns=kernel.listening_ns(now_ns),
        )
        for at_ns, rows, kinds in _by_instant(edges, self._told_ns):
            self.engine.edges(rows, kinds, self._time(at_ns))
        shortest_ns = int(kernel.detect_ns.min(initial=NEVER))
        return now_ns + min(max(LOOK_NS, shortest_ns // 4), SAMPLE_NS)

    def _measure(self, now_ns: int) -> None:
        """Tell the engine how large packets tunnels carry, where that is news."""
        mtu = self.kernel.mtu
        other = np.flatnonzero(mtu != self._mtu)
        if len(other):
            self._mtu = mtu.copy()
            self.engine.set_mtu(other, mtu[other], self._time(now_ns))

    def _moves(self, now_ns: int) -> None:
        moves = self.kernel.events(OWN)
        self.kernel_moves_lost = moves.lost
        if not len(moves):
            return
        self.kernel_moves += len(moves)
        known = moves.entries < self.engine.space.entries
        self.engine.kernel_moved(
            moves.entries[known],
            moves.from_rows[known],
            moves.to_rows[known],
            self._time(now_ns),
        )

    def _sample(self, now_ns: int) -> int:
        self._measure(now_ns)
        alarms = []
        for columns in self.kernel.samples():
            self.one_way.take(columns)
            alarms.append(self.engine.observe(**columns._asdict()))
        alarms += self._inquire(now_ns)
        self._alarm([a for a in alarms if len(a.rows)], now_ns)
        return now_ns + SAMPLE_NS

    def _inquire(self, now_ns: int) -> list[Alarmed]:
        """Take what peers say: of our probes where reflections are overdue, of our data always."""
        told = self.kernel.told()
        self.drains.hear(told.drains, now_ns)
        self._plan(now_ns)
        news = (told.at_ns > self._told_at_ns) & ~self.stamps.silent
        self._told_at_ns = told.at_ns.copy()
        overdue, _ = self.engine.overdue(now_ns)
        late = overdue[news[overdue]]
        at_ns = np.minimum(told.at_ns, now_ns)
        alarms = []
        if len(late):
            # Numbers begin at 0: so many were sent by the newest one that was heard.
            alarms.append(
                self.engine.report(
                    late,
                    sequence=told.out_probes_told[late] - 1,
                    heard_count=told.out_probes_heard[late],
                    at_ns=at_ns[late],
                )
            )
        rows = np.flatnonzero(news)
        sent, lost = self._out.take(
            rows, told=told.out_data_told[rows], heard=told.out_data_heard[rows]
        )
        sent, lost = self.large.take(
            rows, sent=sent, lost=lost, now_ns=now_ns,
            large=(told.out_large_sent[rows], told.out_large_heard[rows]),
        )  # fmt: skip
        suspects = self.large.suspects(now_ns)
        if len(suspects):
            self._listeners.suspected(suspects)
        some = sent > 0
        if some.any():
            rows, sent, lost = rows[some], sent[some], lost[some]
            alarms.append(self.engine.count(rows, sent=sent, lost=lost, at_ns=at_ns[rows]))
        return alarms

    def _alarm(self, alarms: list[Alarmed], now_ns: int) -> None:
        at_ns = self._time(now_ns)
        for alarmed in alarms:
            self.engine.alarm(alarmed.rows, at_ns, alarmed.figures)

    def _evaluate(self, now_ns: int) -> int:
        self.engine.evaluate([OWN], self._time(now_ns))
        self._carry_out(now_ns)
        self._spread(now_ns)
        self._tell_delays()
        interval_ns = self.engine.policy.evaluation_ns
        return now_ns + interval_ns - (now_ns - self._phase_ns) % interval_ns

    def _spread(self, now_ns: int) -> int:
        """Let flows of sharing classes take backups as well; return how many entries differed."""
        sharing, shares = self.engine.flow_shares(OWN)
        every: I64 = np.arange(self.engine.space.per_site, dtype=np.int64)
        wanted = np.zeros((len(every), 2), dtype=np.int64)
        wanted[sharing] = shares
        other = np.flatnonzero((self.kernel.shares(every) != wanted).any(axis=1))
        if len(other):
            self.kernel.set_shares(other, wanted[other], now_ns)
        return len(other)

    def _tell_delays(self) -> None:
        rows: I64 = np.arange(self.engine.overlay.rows, dtype=np.int64)
        self.kernel.set_delay(rows, self.one_way.estimates())

    def _settle(self, now_ns: int) -> int:
        """Give up what was left of before, where the engine wants nothing by now."""
        delta = diff(self.engine.steering.wanted, self.table, generation=0)
        if len(delta):
            self._install(delta, now_ns)
        return NEVER

    def repair(self, now_ns: int) -> int:
        """Bring the kernel's table back to what it was told; return how many entries differed."""
        delta = diff(self.table, self.kernel.standing(), generation=0)
        if len(delta):
            self.kernel.apply(delta, now_ns)
        return len(delta) + self._spread(now_ns) + self._plan(now_ns)

    # ------------------------------------------------------------ what others tell

    def learn(self, received: Iterable[Received], now_ns: int) -> None:
        """Take announcements of other sites."""
        self.engine.learn(list(received), self._time(now_ns))
        self._carry_out(now_ns)

    def drain(self, rows: I64, now_ns: int, *, on: bool) -> None:
        """Begin or end a planned move away from rows."""
        self._tell_delays()
        self.drains.ask(rows, now_ns + self._drain_ns if on else 0)
        self._plan(now_ns)
        self._carry_out(now_ns)

    def _plan(self, now_ns: int) -> int:
        """Let kernel and engine leave what is drained; return how many rows had it otherwise."""
        engine, wanted = self.engine, self.drains.in_force
        every: I64 = np.arange(engine.overlay.rows, dtype=np.int64)
        differed = self.kernel.drain(every, wanted.until_ns, wanted.told)
        drained = wanted.until_ns != 0
        began, ended = (np.flatnonzero((engine.drained != drained) & (drained == on))
                        for on in (True, False))  # fmt: skip
        if len(began):
            engine.drain(began, self._time(now_ns), on=True)
        if len(ended):
            engine.drain(ended, self._time(now_ns), on=False)
            self._due[self._evaluate] = now_ns
        return differed

    def carrier_lost(self, rows: I64, now_ns: int) -> None:
        """The interface under some rows has gone."""
        self.kernel.cut(rows, now_ns)
        self.stamps.cut(rows)
        self.engine.carrier_lost(rows, self._time(now_ns))
        self._carry_out(now_ns)

    def set_lan(self, now_ns: int, *, up: bool) -> None:
        """Our own side of our prefixes has gone or come back."""
        if bool(self.engine.lan_up[OWN]) != up:
            self.engine.set_lan(OWN, up=up, now_ns=self._time(now_ns))
            self._carry_out(now_ns)

    def configure(self, policy: Policy, now_ns: int) -> None:
        """Run under another policy from now on."""
        self.engine.configure([OWN], policy, self._time(now_ns))
        self._carry_out(now_ns)

    # ------------------------------------------------------------ out

    def _carry_out(self, now_ns: int) -> None:
        out, kernel = self.engine.take(), self.kernel
        for row, at_ns, layer in out.detections:
            self._listeners.detected(row, at_ns, layer)
        for rows, detect_ns in out.detect:
            kernel.set_detect(rows, detect_ns, now_ns)
        if out.unlatch:
            kernel.clear_latch(out.unlatch, now_ns)
        if out.deltas:
            delta = merged(out.deltas)
            self._install(delta, now_ns)
            self.engine.programmed(delta)
        for announcement in out.announcements:
            self._listeners.announce(announcement)

    def _install(self, delta: ForwardingDelta, now_ns: int) -> None:
        self.kernel.apply(delta, now_ns)
        self.table.apply(delta)
        self._spread(now_ns)


def _by_instant(
    edges: Edges, not_before_ns: int
) -> Iterable[tuple[int, I64, "np.typing.NDArray[np.int8]"]]:
    """Yield the edges of one instant at a time; none is dated before what was told."""
    at_ns = np.maximum(edges.at_ns, not_before_ns)
    cuts = np.flatnonzero(np.diff(at_ns)) + 1
    parts = zip(*(np.split(column, cuts) for column in (at_ns, edges.row, edges.kind)), strict=True)
    for times, rows, kinds in parts:
        if len(times):
            yield int(times[0]), rows, kinds


def merged(deltas: list[ForwardingDelta]) -> ForwardingDelta:
    """Return deltas as one: the last value of each entry, one switch of the table."""
    if len(deltas) == 1:
        return deltas[0]
    entries = np.concatenate([d.entries for d in deltas])
    _, last = np.unique(entries[::-1], return_index=True)
    last = len(entries) - 1 - last
    return ForwardingDelta(
        generation=deltas[-1].generation,
        entries=entries[last],
        rows=np.concatenate([d.rows for d in deltas])[last],
        drop=np.concatenate([d.drop for d in deltas])[last],
        shared_fate=np.concatenate([d.shared_fate for d in deltas])[last],
    )
