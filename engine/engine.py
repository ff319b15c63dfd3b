"""The engine: what it is told goes in with the time, what must be done comes out.

It has no clock, no socket and no luck. A driver (simulation, lab or agent) calls
the verbs below in order of time and carries out what :meth:`Engine.take` returns.
One engine may hold the rows of many sites; each of them knows only its own rows
and what it has received from others.

    observe     reflections of probes, counted packets        (dense, every slot)
    edges       silence and its end, from the stamps          (at once: fast down)
    alarm       brownout alarms                               (at once)
    learn       announcements of other sites                  (withdrawals at once)
    drain       planned moves
    evaluate    verdicts, ranking, return of tunnels          (once an interval a site)
    programmed  the dataplane has installed a generation

This file wires the parts together; what it means to be silent, damped, compliant
or better is said in the modules of those names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import Rows, distinct
from patronus.engine.brownout import Brownout
from patronus.engine.configured import Configured
from patronus.engine.damping import Damper
from patronus.engine.fingerprint import U64
from patronus.engine.forwarding import NO_ROW, ForwardingDelta, ForwardingTable, diff
from patronus.engine.health import Health
from patronus.engine.journal import DecisionJournal, Reason
from patronus.engine.knowledge import Knowledge, Reach
from patronus.engine.liveness import I8, Action, Input, State, step_many
from patronus.engine.narrative import Narrator
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.ranking import Ranking, figures_of
from patronus.engine.selection import Bools, Selector, select
from patronus.engine.steering import Change, RowState, Steering
from patronus.engine.units import LONG_AGO, NEVER
from patronus.engine.verdict import Figures

TRANSIT_TURNS: Final = 10
"""Paths through other sites are re-ranked by metric at every so many evaluations only;
what goes down, breaks an SLA or is withdrawn is acted on at once as everywhere."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What one announcer tells the others now."""

    site: int
    counter: int
    """Grows by one with each new content."""
    reach: Reach
    """Also when it is repeated: who was away has never heard it."""


@dataclass(slots=True)
class Output:
    """What the driver has to do; empty after :meth:`Engine.take`."""

    deltas: list[ForwardingDelta] = field(default_factory=list)
    unlatch: list[int] = field(default_factory=list)
    """Rows whose down latch the dataplane clears."""
    detect: list[tuple[I64, I64]] = field(default_factory=list)
    """(rows, new detect times)."""
    announcements: list[Announcement] = field(default_factory=list)
    detections: list[tuple[int, int, str]] = field(default_factory=list)
    """(row, time, layer) of each liveness-Down and brownout alarm."""


class Alarmed(NamedTuple):
    """Rows whose loss or delay has changed for the worse, with the times of proof."""

    rows: I64
    at_ns: I64
    figures: Figures
    """What was known of each row at its time."""


class Engine:
    """The routing and failover engine of one or many sites."""

    def __init__(
        self,
        overlay: Overlay,
        policy: Policy,
        *,
        fates: U64 | None = None,
        sink: Callable[[bytes], object] | None = None,
        selector: Selector = select,
    ) -> None:
        """Create an engine that knows nothing yet.

        Args:
            overlay: sites and tunnels.
            policy: the same at every site.
            fates: shape (rows, words), bit sets of the shared-risk groups each tunnel
                crosses on its current route; None: nothing is known of them.
            sink: receives each line of the journal.
            selector: chooses among candidates.
        """
        self.overlay, self.policy = overlay, policy
        rows, sites = overlay.rows, len(overlay.sites)
        self.health = Health(rows, policy.loss_window)
        self.brownout = Brownout(rows)
        self.configured = Configured(policy, sites)
        self.ranking = Ranking(overlay, policy, self.configured)
        self.damper = Damper(rows, policy)
        self.knowledge = Knowledge(overlay)
        self.state: I8 = np.full(rows, State.DOWN, dtype=np.int8)
        self.detect_ns: I64 = self.ranking.detect_times(self.health, np.arange(rows))
        self.init_ns: I64 = np.full(rows, NEVER, dtype=np.int64)
        """When a row in Init was heard again."""
        self.drained: Bools = np.zeros(rows, dtype=np.bool_)
        self.fates: U64 = np.zeros((rows, 1), dtype=np.uint64) if fates is None else fates
        self.lan_up: Bools = np.ones(sites, dtype=np.bool_)
        self.steering = Steering(
            overlay,
            policy,
            configured=self.configured,
            rows=RowState(self.state, self.drained, self.fates),
            ranking=self.ranking,
            knowledge=self.knowledge,
            selector=selector,
        )
        self.space = self.steering.space
        self._sent = ForwardingTable(self.space.entries)
        self.journal = DecisionJournal(sink)
        self.recording = True
        """Off during the warm-up: decisions are taken but not journalled."""
        self._narrator = Narrator(
            overlay, policy, state=self.state, drained=self.drained, ranking=self.ranking
        )
        self._dirty: Bools = np.zeros((sites, len(overlay.destinations)), dtype=np.bool_)
        self._transit_moved: Bools = np.zeros(sites, dtype=np.bool_)
        self._evaluations: I64 = np.zeros(sites, dtype=np.int64)
        self._generation = self.programmed_generation = 0
        self._out = Output()
        self._announced: dict[int, tuple[int, int, Reach]] = {}
        self._versions: dict[tuple[int, int], int] = {}
        self._stale_announcers: set[int] = set(self.knowledge.announcers)

    # ------------------------------------------------------------ outputs

    def take(self) -> Output:
        """Return what has to be done and forget it."""
        out, self._out = self._out, Output()
        return out

    def programmed(self, delta: ForwardingDelta) -> None:
        """Take note that the dataplane has installed a delta."""
        self.programmed_generation = max(self.programmed_generation, delta.generation)

    # ------------------------------------------------------------ measurements

    def observe(
        self,
        rows: Rows,
        *,
        sent_ns: I64,
        reflected_ns: I64,
        arrived_ns: I64,
        sequence: I64,
        heard_count: I64,
    ) -> Alarmed:
        """Take at most one reflected probe a row.

        Args:
            rows: the rows meant; every array has one element for each.
            sent_ns: by our clock, as ``arrived_ns`` (``NEVER``: no reflection came).
            reflected_ns: by the peer's clock.
            arrived_ns: of the reflection.
            sequence: of the probe.
            heard_count: probes of this row that the peer had heard by then.

        Returns:
            Rows that raised a brownout alarm, to be given to :meth:`alarm` in order of time.
        """
        sample = self.health.observe(
            rows,
            sent_ns=sent_ns,
            reflected_ns=reflected_ns,
            arrived_ns=arrived_ns,
            sequence=sequence,
            heard_count=heard_count,
        )
        loss = self.brownout.observe_loss(rows, sent=sample.sent, lost=sample.lost)
        delay = self.brownout.observe_delay(
            rows, rtt_ns=sample.rtt_ns, jitter_ns=self.health.jitter_ns(rows)
        )
        if not len(loss.alarmed) and not len(delay.alarmed):
            return self._alarmed(loss.alarmed, loss.alarmed)
        alarmed = np.union1d(loss.alarmed, delay.alarmed)
        first = rows.start if isinstance(rows, slice) else 0
        place = alarmed - first if isinstance(rows, slice) else np.searchsorted(rows, alarmed)
        return self._alarmed(alarmed, arrived_ns[place])

    def count(self, rows: I64, *, sent: I64, lost: I64, at_ns: I64) -> Alarmed:
        """Take the peers' counts of data packets on some rows (ascending), as :meth:`observe`.

        Args:
            rows: the rows meant; every array has one element for each.
            sent: since the last report.
            lost: of those.
            at_ns: when the report arrived.
        """
        self.health.count(rows, sent=sent, lost=lost)
        alarmed = self.brownout.observe_loss(rows, sent=sent, lost=lost).alarmed
        return self._alarmed(alarmed, at_ns[np.searchsorted(rows, alarmed)])

    def _alarmed(self, rows: I64, at_ns: I64) -> Alarmed:
        known = self.figures(rows, at_ns) if len(rows) else Figures(rows, rows, rows)
        return Alarmed(rows, at_ns, known)

    def figures(self, rows: I64, now_ns: int | I64) -> Figures:
        """Return what is known of some rows now (one time for all, or one each)."""
        return figures_of(self.health, self.brownout, rows, now_ns, self.policy)

    # ------------------------------------------------------------ liveness

    def edges(self, rows: I64, kinds: I8, at_ns: int) -> None:
        """Take edges of silence of one instant: ``Input.EXPIRE`` or ``Input.CONFIRM``."""
        before = self.state[rows]
        self.state[rows], actions = step_many(before, kinds)
        self.init_ns[rows[actions == Action.START_HOLD]] = at_ns
        down = rows[actions == Action.GO_DOWN]
        if len(down):
            self._go_down(down, at_ns, Reason.LIVENESS_DOWN)

    def heard(self, rows: I64, at_ns: I64) -> None:
        """Take ``CONFIRM`` edges of different times; for the start of a large overlay."""
        self.state[rows], actions = step_many(self.state[rows], Input.CONFIRM)
        start = actions == Action.START_HOLD
        self.init_ns[rows[start]] = at_ns[start]

    def carrier_lost(self, rows: I64, at_ns: int) -> None:
        """The local interface under these rows has gone."""
        self.state[rows], actions = step_many(self.state[rows], Input.CARRIER_LOST)
        down = rows[actions == Action.GO_DOWN]
        if len(down):
            self._go_down(down, at_ns, Reason.CARRIER_LOST)

    def _go_down(self, rows: I64, at_ns: int, reason: Reason) -> None:
        self._out.detections.extend((int(row), at_ns, "liveness") for row in rows)
        self._abandon(rows, at_ns, reason)

    def _abandon(self, rows: I64, at_ns: int, reason: Reason) -> None:
        self.damper.flap(rows, at_ns)
        self._mark(rows)
        if self.policy.features.backups:
            self._leave(rows, at_ns, reason)

    def _leave(self, rows: I64, at_ns: int, reason: Reason) -> None:
        """Move every entry off these rows now: backups first, then whatever there is."""
        entries = self._entries_on(rows)
        change, stuck = self.steering.promote(entries)
        self._commit(change, at_ns, reason)
        if len(stuck):
            pairs = distinct(stuck // self.space.classes)
            self._admit(pairs, at_ns)
            self._reselect(pairs, at_ns, reason)

    def _admit(self, pairs: I64, now_ns: int) -> None:
        """Cut the hold of tunnels short where no other is left: better unproven than none."""
        sites, destinations = np.divmod(pairs, self.space.destinations)
        self._go_up(self.steering.held(sites, destinations, now_ns), now_ns)

    def _entries_on(self, rows: I64) -> I64:
        """Return the entries whose primary is one of some rows, ascending."""
        primary, found = self.steering.wanted.rows[:, 0], []
        for site in np.unique(self.overlay.src[rows]).tolist():
            own = self.space.of_site(site)
            mine = rows[self.overlay.src[rows] == site]
            hit = primary[own] == mine[0] if len(mine) == 1 else np.isin(primary[own], mine)
            found.append(np.flatnonzero(hit) + own.start)
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    # ------------------------------------------------------------ brownout

    def alarm(self, rows: I64, at_ns: int, figures: Figures | None = None) -> None:
        """Act on brownout alarms of one instant: verdicts may get worse at once.

        Args:
            rows: ascending, each once.
            at_ns: the instant.
            figures: as :meth:`observe` gave them, for a driver that acts on alarms later
                than it takes samples; None: what is known by now.
        """
        if not self.policy.features.brownout:
            return
        if figures is None:
            figures = self.figures(rows, at_ns)
        up = self.state[rows] == State.UP
        rows, figures = rows[up], Figures(*(f[up] for f in figures))
        self._out.detections.extend((int(row), at_ns, "brownout") for row in rows)
        fell = rows[self.ranking.condemn(rows, figures)]
        if len(fell):
            self.damper.flap(fell, at_ns, still_up=True)
            self._mark(fell)
            pairs = distinct(self._entries_on(fell) // self.space.classes)
            self._reselect(pairs, at_ns, Reason.BROWNOUT)

    # ------------------------------------------------------------ evaluation

    def evaluate(self, sites: Sequence[int], now_ns: int) -> None:
        """Judge the tunnels of some sites and re-rank what changed."""
        start = self.overlay.site_start
        parts = [np.arange(start[s], start[s + 1], dtype=np.int64) for s in sites]
        rows = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        self._count_anew(rows, now_ns)
        self.health.rotate(rows)
        self.brownout.rotate(rows)
        self._bring_up(rows, now_ns)
        figures = self.figures(rows, now_ns)
        judged = self.ranking.evaluate(rows, figures, self.damper.hold_ns(rows, now_ns))
        self.damper.flap(rows[judged.fell], now_ns, still_up=True)
        self._mark(rows[judged.changed])
        self._mark_moved(rows[judged.moved & ~judged.changed])
        self._adapt(rows)
        own = np.asarray(sites, dtype=np.int64)
        self._mark_transit(own)
        site, destination = np.nonzero(self._dirty[own])
        self._dirty[own] = False
        pairs = own[site] * self.space.destinations + destination
        self._reselect(pairs, now_ns, None)
        self.announce(now_ns, [s for s in sites if self.knowledge.slot[s] >= 0])

    def _count_anew(self, rows: I64, now_ns: int) -> None:
        """Forget what was lost before a tunnel was heard again: that was silence, not loss."""
        heard_again = now_ns - self.init_ns[rows] <= self.policy.evaluation_ns
        back = rows[heard_again & (self.state[rows] == State.INIT)]
        self.health.count_anew(back)
        self.brownout.count_anew(back)

    def _bring_up(self, rows: I64, now_ns: int) -> None:
        """Let tunnels that kept their proof for the hold carry traffic again."""
        waiting = rows[self.state[rows] == State.INIT]
        held = now_ns - self.init_ns[waiting] >= self.damper.hold_ns(waiting, now_ns)
        self._go_up(waiting[held], now_ns)
        back = waiting[~held & (self.damper.flaps[waiting] > 0)]
        for site in np.unique(self.overlay.src[back]).tolist():
            self._admit(self._stranded(site), now_ns)

    def _go_up(self, rows: I64, now_ns: int) -> None:
        self.state[rows], _ = step_many(self.state[rows], Input.HOLD_ELAPSED)
        self.damper.up(rows, now_ns)
        self._out.unlatch.extend(rows.tolist())
        self._mark(rows)

    def _stranded(self, site: int) -> I64:
        """Return the pairs of a site whose entries lead into a tunnel that is not up."""
        own = self.space.of_site(site)
        primary = self.steering.wanted.rows[own, 0]
        dead = (primary != NO_ROW) & (self.state[primary] != State.UP)
        return distinct((np.flatnonzero(dead) + own.start) // self.space.classes)

    def _adapt(self, rows: I64) -> None:
        """Let the detect time follow the loss that the tunnel normally has."""
        if not self.policy.features.adaptive_multiplier:
            return
        wanted = self.ranking.detect_times(self.health, rows)
        changed = wanted != self.detect_ns[rows]
        if changed.any():
            self.detect_ns[rows] = wanted
            self._out.detect.append((rows[changed], wanted[changed]))

    # ------------------------------------------------------------ other sites

    def learn(self, observers: I64, announcement: Announcement, now_ns: int) -> None:
        """Let some sites receive an announcement; what is withdrawn is left at once."""
        site, slot = announcement.site, int(self.knowledge.slot[announcement.site])
        version = self._version(announcement)
        stale = self.knowledge.version[observers, slot] != version
        self.knowledge.repeat(observers[~stale], site, now_ns)
        learners = observers[stale]
        if not len(learners):
            return
        self._transit_moved[learners] = True
        for news in self.knowledge.learn(learners, site, version, now_ns):
            self._dirty[news.observers[:, None], news.changed] = True
            if len(news.lost):
                self._withdrawn(news.observers, site, news.lost, now_ns)

    def _version(self, announcement: Announcement) -> int:
        """Return the number of a content, which is stored when it is new."""
        key = (announcement.site, announcement.counter)
        if key not in self._versions:
            self._versions = {k: v for k, v in self._versions.items() if k[0] != key[0]}
            self._versions[key] = self.knowledge.store(announcement.reach)
        return self._versions[key]

    def _withdrawn(self, observers: I64, site: int, destinations: I64, now_ns: int) -> None:
        """Leave paths that end at, or lead through, a site for what it no longer offers."""
        pairs = (observers[:, None] * self.space.destinations + destinations[None, :]).ravel()
        entries = (
            pairs[:, None] * self.space.classes + np.arange(self.space.classes)[None, :]
        ).ravel()
        primary = self.steering.wanted.rows[entries, 0]
        through = (primary != NO_ROW) & (self.overlay.dst[primary] == site)
        hit = distinct(entries[through] // self.space.classes)
        self._reselect(hit, now_ns, Reason.WITHDRAWN)

    def set_lan(self, site: int, *, up: bool, now_ns: int) -> None:
        """The site's own side of its prefixes has gone or come back."""
        self.lan_up[site] = up
        if self.knowledge.slot[site] >= 0:
            self.announce(now_ns, [site])

    def announce(self, now_ns: int, sites: Sequence[int]) -> None:
        """Let announcers say what is new, or repeat what still holds."""
        for site in sites:
            reach = self._reach(site)
            counter, said_ns, before = self._announced.get(site, (0, LONG_AGO, None))
            if before is None or not reach.same(before):
                self._announced[site] = (counter + 1, now_ns, reach)
                self._out.announcements.append(Announcement(site, counter + 1, reach))
            elif now_ns - said_ns >= self.policy.announcement_ns:
                self._announced[site] = (counter, now_ns, before)
                self._out.announcements.append(Announcement(site, counter, before))

    def _reach(self, site: int) -> Reach:
        """Return what a site can truthfully say of each destination."""
        best = self.steering.best_direct(site)
        usable = best != NO_ROW
        told = self.ranking.told[:, best]
        mine = np.array([site in d.sites for d in self.overlay.destinations], dtype=np.bool_)
        return Reach(
            announces=mine & self.lan_up[site],
            usable=usable,
            rtt_ns=np.where(usable, told[0], -1),
            jitter_ns=np.where(usable, told[1], -1),
            loss_ppm=np.where(usable, told[2], -1),
        )

    # ------------------------------------------------------------ planned moves

    def drain(self, rows: I64, now_ns: int, *, on: bool) -> None:
        """Keep traffic off these rows while others will do; they stay up as a last resort."""
        self.drained[rows] = on
        self._mark(rows)
        if on:
            pairs = distinct(self._entries_on(rows) // self.space.classes)
            self._reselect(pairs, now_ns, Reason.DRAINED)

    def configure(self, sites: Sequence[int], policy: Policy | None, now_ns: int) -> None:
        """Let some sites run another policy (None: the common one), and choose anew there.

        Raises:
            ValueError: the policy has other classes.
        """
        self.configured.set(sites, policy)
        for site in sites:
            rows = np.arange(*self.overlay.site_start[site : site + 2], dtype=np.int64)
            self.ranking.rejudge(rows, self.figures(rows, now_ns))
            first = site * self.space.destinations
            pairs = np.arange(first, first + self.space.destinations, dtype=np.int64)
            self._reselect(pairs, now_ns, Reason.POLICY_CHANGED)

    def set_fates(self, rows: I64, fates: U64) -> None:
        """The routes under these rows have changed; their backups are chosen anew."""
        self.fates[rows] = fates
        self._mark(rows)

    # ------------------------------------------------------------ agents

    def restart(self, site: int, now_ns: int, *, silent: Bools, latched: Bools) -> None:
        """An agent starts again: it finds stamps and entries, but has no memory."""
        rows = np.arange(*self.overlay.site_start[site : site + 2], dtype=np.int64)
        self.health.forget(rows)
        self.brownout.forget(rows)
        self.ranking.forget(rows)
        self.damper.forget(rows)
        self.resume(site, now_ns, silent=silent, latched=latched)

    def resume(self, site: int, now_ns: int, *, silent: Bools, latched: Bools) -> None:
        """An agent that was away compares what it believed with the stamps.

        A tunnel may have been silent and come back meanwhile. Its latch tells, and only
        the engine will clear that from now on, so it must prove itself like any other.

        Args:
            site: whose agent.
            now_ns: the time.
            silent: by row, what the stamps say now.
            latched: by row, where the dataplane holds a down latch.
        """
        rows = np.arange(*self.overlay.site_start[site : site + 2], dtype=np.int64)
        self._all(rows[(self.state[rows] >= State.INIT) & silent[rows]], Input.EXPIRE, now_ns)
        missed = rows[(self.state[rows] == State.UP) & latched[rows]]
        self.state[missed] = State.DOWN
        self._abandon(missed, now_ns, Reason.LIVENESS_DOWN)
        self._all(rows[(self.state[rows] < State.INIT) & ~silent[rows]], Input.CONFIRM, now_ns)
        self._dirty[site] = True

    def kernel_moved(self, entries: I64, before: I32, after: I32, now_ns: int) -> None:
        """Journal what the kernel did while its agent was away."""
        if self.recording:
            change = Change(entries, before, after)
            for decision in self._narrator.tell(change, now_ns, Reason.KERNEL_MOVED):
                self.journal.append(decision)

    def _all(self, rows: I64, kind: Input, now_ns: int) -> None:
        self.edges(rows, np.full(len(rows), kind, dtype=np.int8), now_ns)

    # ------------------------------------------------------------ writing

    def _mark(self, rows: I64) -> None:
        """Remember that the pairs of these rows must be looked at again."""
        if not len(rows):
            return
        special = np.isin(self.overlay.dst[rows], np.asarray(self.overlay.transit, dtype=np.int32))
        self._dirty[np.unique(self.overlay.src[rows[special]])] = True
        self._mark_ends(rows)

    def _mark_ends(self, rows: I64) -> None:
        """Mark the pairs of each row's site and what its other end announces."""
        src, dst = self.overlay.src[rows], self.overlay.dst[rows]
        self._dirty[src, dst] = True
        first = len(self.overlay.sites)
        for number, destination in enumerate(self.overlay.destinations[first:], start=first):
            self._dirty[src[np.isin(dst, destination.sites)], number] = True

    def _mark_moved(self, rows: I64) -> None:
        """Remember that only the metrics of these rows have changed.

        That cannot make a direct path worse than one through another site, so it concerns
        the tunnels' own ends, and paths that already lead through one of them; of those
        there may be a thousand behind each tunnel, and they are re-ranked less often.
        """
        self._mark_ends(rows)
        through = np.isin(self.overlay.dst[rows], np.asarray(self.overlay.transit, dtype=np.int32))
        self._transit_moved[self.overlay.src[rows[through]]] = True

    def _mark_transit(self, sites: I64) -> None:
        """Mark the paths through other sites where their metrics moved and it is their turn."""
        self._evaluations[sites] += 1
        due = sites[self._transit_moved[sites] & (self._evaluations[sites] % TRANSIT_TURNS == 0)]
        self._transit_moved[due] = False
        for site in due.tolist():
            primary = self.steering.wanted.rows[self.space.of_site(site), 0]
            end = np.where(primary == NO_ROW, -1, self.overlay.dst[primary]).astype(np.int64)
            destination = np.arange(len(end), dtype=np.int64) // self.space.classes
            through = (end >= 0) & ~self.overlay.is_home(end, destination)
            self._dirty[site, destination[through]] = True

    def _reselect(self, pairs: I64, now_ns: int, reason: Reason | None) -> None:
        if len(pairs):
            sites, destinations = np.divmod(pairs, self.space.destinations)
            entries = (
                pairs[:, None] * self.space.classes + np.arange(self.space.classes)[None, :]
            ).ravel()
            change = self.steering.reselect(sites, destinations, now_ns)
            self._commit(change, now_ns, reason, looked_at=entries)

    def _commit(
        self, change: Change, now_ns: int, reason: Reason | None, looked_at: I64 | None = None
    ) -> None:
        """Journal what moved and hand the difference to the dataplane."""
        if self.recording:
            for decision in self._narrator.tell(change, now_ns, reason):
                self.journal.append(decision)
        entries = change.entries if looked_at is None else looked_at
        self._generation += 1
        delta = diff(self.steering.wanted, self._sent, generation=self._generation, entries=entries)
        if len(delta):
            self._sent.apply(delta)
            self._out.deltas.append(delta)
