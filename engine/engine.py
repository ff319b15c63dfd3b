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

What happens at one instant comes in one call of its verb; in which order it stands
there does not matter. The decisions of a call are journalled in order of entries.

This file wires the parts together; what it means to be silent, damped, compliant
or better is said in the modules of those names.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from patronus.engine.announcement import Announcement
from patronus.engine.arrays import Rows, blocks, distinct
from patronus.engine.fingerprint import U64
from patronus.engine.flowshares import flow_shares
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.journal import Reason
from patronus.engine.liveness import I8, UP, Input
from patronus.engine.meters import Alarmed
from patronus.engine.output import Output
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.parts import assemble
from patronus.engine.policy import Policy
from patronus.engine.ranking import NONE_JUDGED, Judged
from patronus.engine.selection import Bools, Selector, select
from patronus.engine.steering import merge
from patronus.engine.verdict import Figures

_EXPIRE: Final = int(Input.EXPIRE)
_CONFIRM: Final = int(Input.CONFIRM)

Received = tuple[I64, Announcement]
"""Sites, and what reaches all of them at one time."""


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
        parts = assemble(overlay, policy, fates=fates, sink=sink, selector=selector)
        self.meters, self.tunnels, self.ranking = parts.meters, parts.tunnels, parts.ranking
        self.configured, self.knowledge = parts.configured, parts.knowledge
        self.steering, self.moves = parts.steering, parts.moves
        self._heralds, self._transit = parts.heralds, parts.transit
        self._attention = parts.attention
        self.space, self.journal = self.steering.space, self.moves.journal
        self.state, self.drained = self.tunnels.state, self.tunnels.drained
        self.lan_up = self._heralds.lan_up
        self.programmed_generation = 0
        self.pass_over: Callable[[I64, int], I64] | None = None
        """A driver's own pass over rows whose evaluation changes nothing (rows, time); returns
        the places of the others. It does what :meth:`Ranking.evaluate` would do to them."""
        self.resting: Bools | None = None
        """Rows that a driver keeps out of evaluations, since they would change nothing."""
        self._out = Output()

    # ------------------------------------------------------------ outputs

    def take(self) -> Output:
        """Return what has to be done and forget it."""
        out, self._out = self._out, Output()
        out.deltas = self.moves.take()
        return out

    @property
    def recording(self) -> bool:
        """Off during the warm-up: decisions are taken but not journalled."""
        return self.moves.recording

    @recording.setter
    def recording(self, on: bool) -> None:
        self.moves.recording = on

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
        """Take at most one reflected probe a row: :meth:`Meters.observe`.

        Rows that raised a brownout alarm go to :meth:`alarm`, in order of time.
        """
        return self.meters.observe(
            rows,
            sent_ns=sent_ns,
            reflected_ns=reflected_ns,
            arrived_ns=arrived_ns,
            sequence=sequence,
            heard_count=heard_count,
        )

    def count(self, rows: I64, *, sent: I64, lost: I64, at_ns: I64) -> Alarmed:
        """Take the peers' counts of data packets on some rows: :meth:`Meters.count`."""
        return self.meters.count(rows, sent=sent, lost=lost, at_ns=at_ns)

    def overdue(self, now_ns: int, among: Rows = slice(None)) -> tuple[I64, I64]:
        """Return rows whose reflection is overdue, and how long a round trip of each may take.

        What their peers say of the packets meanwhile goes to :meth:`report` and :meth:`count`.
        Only rows ``among`` those given are meant.
        """
        return self.meters.overdue(among, self.tunnels.overdue_ns[among], now_ns)

    def report(self, rows: I64, *, sequence: I64, heard_count: I64, at_ns: I64) -> Alarmed:
        """Take what peers say of probes without reflections: :meth:`Meters.report`."""
        return self.meters.report(rows, sequence=sequence, heard_count=heard_count, at_ns=at_ns)

    def figures(self, rows: I64, now_ns: int) -> Figures:
        """Return what is known of some rows now."""
        self.ranking.refresh(rows)
        return self.meters.figures(rows, now_ns)

    # ------------------------------------------------------------ at once

    def edges(self, rows: I64, kinds: I8, at_ns: int) -> None:
        """Take edges of silence of one instant: ``Input.EXPIRE`` or ``Input.CONFIRM``.

        A row may have both; it was then silent for no time at all, but it was.
        """
        gone, back = rows[kinds == _EXPIRE], rows[kinds == _CONFIRM]
        if len(gone):
            self._fall(gone, Input.EXPIRE, at_ns)
        if len(back):
            self.tunnels.hear(back, at_ns)

    def heard(self, rows: I64, at_ns: I64) -> None:
        """Take ``CONFIRM`` edges of different times; for the start of a large overlay."""
        self.tunnels.hear(rows, at_ns)

    def carrier_lost(self, rows: I64, at_ns: int) -> None:
        """The local interface under these rows has gone."""
        self._fall(rows, Input.CARRIER_LOST, at_ns)

    def _fall(self, rows: I64, given: Input, at_ns: int) -> None:
        reason = Reason.LIVENESS_DOWN if given is Input.EXPIRE else Reason.CARRIER_LOST
        self._left(np.sort(self.tunnels.fall(rows, given, at_ns)), at_ns, reason)

    def _left(self, rows: I64, at_ns: int, reason: Reason) -> None:
        """Leave rows that went down: by the backups, where there are none by choosing anew."""
        if not len(rows):
            return
        self._out.detections.extend((row, at_ns, "liveness") for row in rows.tolist())
        self._attention.tunnels(rows)
        if self.policy.features.backups:
            self._rise(self.moves.leave(rows, at_ns, reason))
        self._withdraw(sorted(set(self.overlay.src[rows].tolist())), at_ns)

    def _rise(self, rows: I64) -> None:
        """Let rows that came up carry traffic again."""
        self._out.unlatch.extend(rows.tolist())
        self._attention.tunnels(rows)

    def alarm(self, rows: I64, at_ns: int, figures: Figures) -> None:
        """Act on brownout alarms of one instant: SLAs may be broken at once.

        Args:
            rows: ascending, each once.
            at_ns: the instant.
            figures: as :meth:`observe` gave them.
        """
        if not self.policy.features.brownout:
            return
        up = self.state[rows] == UP
        rows, figures = rows[up], Figures(*(f[up] for f in figures))
        self._out.detections.extend((row, at_ns, "brownout") for row in rows.tolist())
        self._shun(rows, self.ranking.condemn(rows, figures), at_ns, Reason.BROWNOUT)

    def set_mtu(self, rows: I64, mtu: I64, now_ns: int) -> None:
        """Take how large packets some rows carry; a class that cannot live with it leaves at once.

        Args:
            rows: ascending, each once.
            mtu: largest packet of users on each, in bytes, 0: not known.
            now_ns: the time.
        """
        fewer = rows[(mtu > 0) & ((mtu < self.ranking.mtu[rows]) | (self.ranking.mtu[rows] == 0))]
        self.ranking.mtu[rows] = mtu
        fewer = fewer[self.ranking.is_narrow(fewer)]
        fell = self.ranking.condemn(fewer, self.figures(fewer, now_ns))
        # What is narrow before it comes up is no flap, and nobody uses it.
        up = self.state[fewer] == UP
        self._shun(fewer[up], fell[:, up], now_ns, Reason.MTU_LOWERED)

    def _shun(self, rows: I64, fell: Bools, at_ns: int, reason: Reason) -> None:
        """Leave rows (ascending) as far as they fell: by (class, row), what breaks its SLA now."""
        some = fell.any(axis=0)
        if some.any():
            rows = rows[some]
            self.tunnels.damper.flap(rows, at_ns, still_up=True)
            self._attention.tunnels(rows)
            self._avoid(rows, fell[:, some], at_ns, reason)

    def learn(self, received: Sequence[Received], now_ns: int) -> None:
        """Take all announcements that arrive at one instant; what is withdrawn is left at once."""
        lost, heard = [], [np.zeros(0, dtype=np.int64)]
        for sites, announcement in sorted(received, key=lambda r: (r[1].origin, r[1].counter)):
            origin = self.overlay.site_index.get(announcement.origin, -1)
            heard.append(sites)
            for news in self.knowledge.receive(sites, announcement, now_ns):
                near = self._transit.near(news.observers, origin)
                self._attention.news(near, news.changed, news.moved)
                lost.append(self.steering.hold_through(origin, news.observers, news.lost))
        entries, held = merge(lost)
        self.moves.avoid(entries, held, now_ns, None)
        self._withdraw(distinct(np.concatenate(heard)).tolist(), now_ns)

    def _withdraw(self, sites: Sequence[int], now_ns: int) -> None:
        """Let some sites (ascending) tell at once what they can no longer offer."""
        self._out.announcements += self._heralds.withdraw(sites, now_ns)

    def drain(self, rows: I64, now_ns: int, *, on: bool) -> None:
        """Keep traffic off these rows while others will do; they stay up as a last resort."""
        self.drained[rows] = on
        self._attention.tunnels(rows)
        if on:
            every = np.ones((self.space.classes, len(rows)), dtype=np.bool_)
            self._avoid(np.sort(rows), every, now_ns, Reason.DRAINED)

    def _avoid(self, rows: I64, bad: Bools, at_ns: int, reason: Reason) -> None:
        """Leave rows (ascending) that are bad for some classes; ``bad`` is by (class, row)."""
        entries = self.steering.on(rows)
        self.moves.avoid(entries, self.steering.hold(entries, rows, bad), at_ns, reason)

    # ------------------------------------------------------------ evaluation

    def evaluate(self, sites: Sequence[int], now_ns: int) -> None:
        """Judge the tunnels of some sites and re-rank what changed."""
        own = distinct(np.asarray(sites, dtype=np.int64))
        rows = self.overlay.rows_of(own)
        if self.resting is not None:
            rows = rows[~self.resting[rows]]
        self.meters.count_anew(self.tunnels.heard_after(rows, self._attention.last_ns(rows)))
        self.meters.rotate(rows)
        self._rise(self.tunnels.rise(rows, now_ns))
        # Only a tunnel that is back can be let up for those who have no other.
        waiting = distinct(self.overlay.src[self.tunnels.waiting(rows)].astype(np.int64))
        unproven = self.steering.unproven(self.steering.stranded(waiting))
        self._rise(self.tunnels.admit(unproven, now_ns))
        judged = self._judge(rows, now_ns)
        # What is not up is no candidate; when it comes up, it is looked at anyway.
        up = self.state[rows] == UP
        self.tunnels.damper.up(rows[judged.rose & up], now_ns)
        self.tunnels.damper.flap(rows[judged.fell & up], now_ns, still_up=True)
        self._attention.tunnels(rows[judged.changed & up])
        self._attention.metrics(rows[judged.moved & ~judged.changed & up])
        stale = self.knowledge.age(own, now_ns - self.policy.patience_ns)
        self._attention.sites(self._transit.misses(*stale))
        carriers = self.overlay.rows_of(self._attention.carriers(own))
        self._attention.tunnels(self.tunnels.settle(carriers, now_ns))
        moved_sites = own[self._attention.transit_moved[own]]
        self._attention.pairs(self._transit.fallen(moved_sites))
        turn = self._attention.turn(own, now_ns)
        self._attention.ways(turn, self.steering.through(turn))
        if self.policy.features.adaptive_multiplier:
            wont = rows[self.meters.habitual(rows) | self.tunnels.adapted(rows)]
            self._out.detect += self.tunnels.adapt(wont, self.meters.habit(wont))
        entries = self.space.of_pairs(self._attention.take(own))
        self._attention.pairs(self.moves.choose(entries, now_ns, None))
        self._out.announcements += self._heralds.speak(own.tolist(), now_ns)

    def _judge(self, rows: I64, now_ns: int) -> Judged:
        """Judge some rows, those first on which nothing changes if the driver has a pass for it."""
        if self.pass_over is None or len(self.configured.policies) > 1:
            return self._judge_all(rows, now_ns)
        left = self.pass_over(rows, now_ns)
        judged = np.zeros((len(NONE_JUDGED), len(rows)), dtype=np.bool_)
        judged[:, left] = self._judge_all(rows[left], now_ns)
        return Judged(*judged)

    def _judge_all(self, rows: I64, now_ns: int) -> Judged:
        """Judge some rows, not too many at once: each array of scratch is used a dozen times."""
        parts = [self._judge_block(rows[at], now_ns) for at in blocks(len(rows))]
        return Judged(*map(np.concatenate, zip(*parts, strict=True))) if parts else NONE_JUDGED

    def _judge_block(self, rows: I64, now_ns: int) -> Judged:
        hold_ns = self.tunnels.damper.hold_ns(rows, now_ns)
        return self.ranking.evaluate(rows, self.figures(rows, now_ns), hold_ns)

    # ------------------------------------------------------------ configuration and plans

    def set_lan(self, site: int, *, up: bool, now_ns: int) -> None:
        """The site's own side of its prefixes has gone or come back."""
        self._heralds.lan_up[site] = up
        self._out.announcements += self._heralds.speak([site], now_ns)

    def configure(self, sites: Sequence[int], policy: Policy | None, now_ns: int) -> None:
        """Let some sites run another policy (None: the common one), and choose anew there.

        Raises:
            ValueError: the policy has other classes.
        """
        self.configured.set(sites, policy)
        self.steering.forget_policies()
        own = distinct(np.asarray(sites, dtype=np.int64))
        rows = self.overlay.rows_of(own)
        self.ranking.rejudge(rows, self.figures(rows, now_ns))
        self._attention.sites(own)
        entries = self.space.of_pairs(self._attention.take(own))
        self._attention.pairs(self.moves.choose(entries, now_ns, Reason.POLICY_CHANGED))
        self._withdraw(own.tolist(), now_ns)

    def flow_shares(self, site: int) -> tuple[I64, I64]:
        """Return the entries of a site's sharing classes, and its flows' shares of their backups.

        See :func:`patronus.engine.flowshares.flow_shares`; nothing is changed.
        """
        return flow_shares(self.steering, site, self.configured.of(site))

    def set_fates(self, rows: I64, fates: U64) -> None:
        """The routes under these rows have changed; their backups are chosen anew."""
        self.tunnels.reroute(rows, fates)
        self._attention.tunnels(rows)

    # ------------------------------------------------------------ agents

    def restart(self, site: int, now_ns: int, *, since_ns: I64, latched: Bools) -> None:
        """An agent starts again: it finds stamps, latches and entries, but has no memory.

        Arguments are those of :meth:`resume`.
        """
        rows = self.overlay.rows_of(np.array([site], dtype=np.int64))
        self.meters.forget(rows)
        self.ranking.forget(rows)
        self.knowledge.forget(site)
        self.tunnels.forget(rows, now_ns, since_ns=since_ns[rows], latched=latched[rows])
        primary = distinct(self.steering.wanted.rows[self.space.of_site(site), 0].astype(np.int64))
        down = primary[primary != NO_ROW]
        self._left(down[self.state[down] != UP], now_ns, Reason.LIVENESS_DOWN)
        self._attention.sites(np.array([site], dtype=np.int64))

    def resume(self, site: int, now_ns: int, *, since_ns: I64, latched: Bools) -> None:
        """An agent that was away compares what it believed with the dataplane.

        Args:
            site: whose agent.
            now_ns: the time.
            since_ns: by row, start of the unbroken confirmation, ``NEVER`` while silent.
            latched: by row, whether the dataplane keeps it from traffic.
        """
        rows = self.overlay.rows_of(np.array([site], dtype=np.int64))
        down = self.tunnels.catch_up(rows, now_ns, since_ns=since_ns[rows], latched=latched[rows])
        self._left(down, now_ns, Reason.LIVENESS_DOWN)
        self._attention.sites(np.array([site], dtype=np.int64))

    def kernel_moved(self, entries: I64, before: I32, after: I32, now_ns: int) -> None:
        """Journal what the kernel did while its agent was away."""
        self.moves.by_kernel(entries, before, after, now_ns)
