"""Lazy mode: rows on which nothing happens but the usual are not simulated.

While no fault disturbs a row's links, the fate of each of its probes is known beforehand,
loss bursts included. So a row that is well is put to sleep until the first thing that is not
usual: losses that somebody notices, a delay that looks suspicious, an alarm, an evaluation
that would change a verdict or a published metric. Whatever comes from outside wakes it
before: a fault on its links, another route, a queue, traffic, a change at one of its sites.
Both directions of a tunnel sleep and wake together, since each proves the other.

A sleeping row keeps the state in which it fell asleep. When it wakes, or when somebody
asks for its figures, it is taken through everything that it slept over, by the same
arithmetic (:mod:`patronus.sim.compiled.dozing`). So journals are those of event mode.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import numpy as np

from patronus.dataplane.memory import MemoryDataplane
from patronus.engine.arrays import distinct, hits
from patronus.engine.engine import Engine
from patronus.engine.overlay import I32, I64
from patronus.engine.ranking import Terms
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO, NEVER, PPM, SECOND
from patronus.sim.flight import ByBlocks, Flight, last_of
from patronus.sim.gusts import Gusts, gusts
from patronus.sim.slumber import Calendar, Known, Luck, Memory, Patience, Signs, Woken
from patronus.sim.wire import WINDOW_NS, Wire

LOOK_NS: Final = 5 * SECOND
"""All futures are looked at up to the same multiple of this. What disturbs a row from outside
cannot be foreseen; and rows that are looked at together lie in a line in memory."""

_WORTH_NS: Final = 3 * WINDOW_NS
"""Shorter sleep is not worth its cost."""

_FAR: Final = 2**61
"""Stands for proofs of sleeping rows: they do not run out."""

_MANY: Final = 16
"""A larger part of all rows than this is found by a look at all of them, not by sorting."""

_BLOCK: Final = 1024
"""What is known of so many rows, some 350 bytes each, stays in the second cache from one pass
to the next."""

REASONS: Final = (
    "limit", "loss", "delay", "test", "evaluation", "links", "traffic", "site", "watched",
)  # fmt: skip
"""Why rows wake; the first ones by themselves, in the order of ``dozing``'s numbers."""

LIMIT, JUDGED = 0, 4
TOUCHED, TRAFFIC, SITE, WATCHED = range(5, 9)


class Sleepers:
    """The rows that sleep, and when they wake."""

    def __init__(
        self,
        passes: ModuleType,
        engine: Engine,
        wire: Wire,
        dataplane: MemoryDataplane,
        terms: Terms,
        probes: tuple[I64, I64],
        turn_ns: I64,
    ) -> None:
        """Let nobody sleep yet.

        Args:
            passes: ``patronus.sim.compiled``.
            engine: whose rows sleep.
            wire: what happens to their probes.
            dataplane: holds their stamps.
            terms: of the common policy.
            probes: interval and phase of the probes, by row.
            turn_ns: when in each evaluation interval a site takes its turn, by site.
        """
        self._passes, self._engine, self._wire, self._plane = passes, engine, wire, dataplane
        overlay = engine.overlay
        self._overlay, rows = overlay, overlay.rows
        self.asleep: Bools = np.zeros(rows, dtype=np.bool_)
        self.some = False
        """Whether anybody sleeps."""
        self.awake: I64 = np.arange(rows, dtype=np.int64)
        """The rows that do not, ascending."""
        self.taken_ns = self.judged_ns = LONG_AGO
        """Up to when probes and evaluations of all others are done."""
        self._resting: Bools = np.zeros(rows, dtype=np.bool_)
        """Asleep, and not changed from outside since."""
        self._tired: Bools = np.zeros(rows, dtype=np.bool_)
        self._kept: Bools = 2 * probes[0] >= engine.policy.stale_ns
        self._wake_ns: I64 = np.zeros(rows, dtype=np.int64)
        self._why = np.zeros(rows, dtype=np.int8)
        self._due: dict[int, list[I64]] = {}
        self._roused: list[I64] = []
        self._calendar = Calendar(np.zeros(rows, dtype=np.int64), turn_ns[overlay.src])
        sky = wire.sky
        self._luck = Luck(sky.keys, *probes, sky.out, sky.home)
        self._interval_ns = int(probes[0].max(initial=0))
        meters, standing = engine.meters, engine.ranking.standing
        window = (*meters.window[1:4], *meters.buckets)
        tunnels, features = engine.tunnels, engine.policy.features
        patience = Patience(
            meters.health.habits, tunnels.detect_ns, tunnels.detect_ns.copy(),
            features.adaptive_multiplier, engine.policy.stale_ns, np.zeros(rows, dtype=np.int64),
        )  # fmt: skip
        self._known = Known(meters.columns, window, standing, terms, self._calendar, patience)
        self._foul: Bools = np.zeros(rows, dtype=np.bool_)
        self._foul_links: I64 = np.zeros(0, dtype=np.int64)
        self._gusts: Gusts | None = None
        self._span = LONG_AGO, LONG_AGO
        self._woken: list[Woken] = []
        self._called: list[I64] = []
        """Rows on which the next evaluation changes something."""
        self.lost = 0
        """Probes of sleeping rows that got lost, as far as they are counted."""
        self.slept_ns = 0
        """Over all rows."""
        self.wakes: I64 = np.zeros(len(REASONS), dtype=np.int64)
        """How often rows woke, by reason."""
        engine.resting = self._resting
        engine.ranking.refresh = self.refresh

    def told(self, simulated_ns: int) -> dict[str, Any]:
        """Return how much of a run was simulated, and why rows woke."""
        whole = max(1, len(self.asleep) * simulated_ns)
        return {
            "awake_ppm": PPM - PPM * self.slept_ns // whole,
            "wakes": dict(zip(REASONS, self.wakes.tolist(), strict=True)),
        }

    # ------------------------------------------------------------ somebody asks

    def refresh(self, rows: I64 | I32) -> None:
        """Bring the figures of some rows up to now; those that sleep sleep on."""
        if self.some:
            sleeping = self._resting[rows]
            if sleeping.any():
                asked = rows[sleeping]
                self.lost += self._live(distinct(asked[asked >= 0].astype(np.int64)))

    def settle(self) -> None:
        """Bring all rows up to now, as at the end."""
        self.refresh(hits(self._resting))

    def _live(self, rows: I64) -> int:
        """Bring rows up to now; return the losses that were not counted yet."""
        told = np.empty((2, len(rows)), dtype=np.int64)
        owed: int = self._passes.doze(
            rows, (self.taken_ns, self.judged_ns, WINDOW_NS, self._engine.policy.evaluation_ns),
            self._luck, self._known, self._gusts, True, (told[0], told[1]),
        )  # fmt: skip
        return owed

    def keep_awake(self, rows: I64) -> None:
        """Let some rows not sleep any more: somebody watches them."""
        self._kept[rows] = True
        self.rouse(rows, WATCHED)

    def rouse(self, rows: I64, reason: int | None) -> None:
        """Bring some rows up to now, since they change from outside; they wake with the next slot.

        From now on the engine evaluates them. ``reason`` is one of ``REASONS``, by number; None:
        the one that was foreseen.
        """
        if not self.some:
            return
        rows = rows[self._resting[rows]]
        if len(rows):
            if reason is not None:
                self._why[rows] = reason
            self._why[self._overlay.reverse[rows]] = self._why[rows]
            rows = self._both_ways(rows)
            self.lost += self._live(rows)
            self._resting[rows] = False
            self._roused.append(rows)

    def rouse_sites(self, sites: I64) -> None:
        """Rouse all tunnels of some sites."""
        if self.some:
            self.rouse(self._overlay.rows_of(distinct(sites)), SITE)

    def _both_ways(self, rows: I64) -> I64:
        return distinct(np.concatenate([rows, self._overlay.reverse[rows].astype(np.int64)]))

    # ------------------------------------------------------------ waking

    def attend(self, memory: Memory, by_blocks: ByBlocks) -> None:
        """Take what a prober remembers of each row, and who works through many rows."""
        self._memory, self._by_blocks = memory, by_blocks
        self._wire.before_change = self._move_out

    def wake(self, now_ns: int, touched: I64, busy: I64) -> list[Woken]:
        """Wake whoever must be awake in the slot that begins.

        Args:
            now_ns: the time; everything before it is done.
            touched: rows whose links do not do what they did, loss bursts apart.
            busy: rows that carry traffic.
        """
        self.rouse(touched, TOUCHED)
        self._forecast(now_ns)
        self.rouse(busy, TRAFFIC)
        self._renew(now_ns)
        self._get_up(now_ns)
        woken, self._woken = self._woken, []
        return woken

    def _move_out(self, rows: I64) -> None:
        """Wake rows at the end of a slot, before their links or queues become other ones."""
        self.rouse(rows, TOUCHED)
        self._get_up(self.taken_ns)

    def _forecast(self, now_ns: int) -> None:
        """See to it that loss bursts and routes are known as far as rows are looked ahead."""
        if not np.array_equal(self._foul_links, self._wire.touched_links):
            self._foul_links = self._wire.touched_links
            self._foul[:] = False
            self._foul[self._both_ways(self._wire.rows_of(self._foul_links))] = True
        from_ns = (now_ns + _WORTH_NS) // LOOK_NS * LOOK_NS
        round_ns = self._wire.longest_round_ns
        span = (
            from_ns - LOOK_NS - _WORTH_NS - self._interval_ns - round_ns,
            from_ns + LOOK_NS + round_ns,
        )
        if span != self._span or self._gusts is None or self._gusts.route is not self._wire.route:
            self._gusts, self._span = gusts(self._wire, *span, self._foul), span

    def _renew(self, now_ns: int) -> None:
        """Look further ahead for rows whose time has come, or rouse them if something happens."""
        due: list[I64] = []
        for grid_ns in [t for t in self._due if t <= now_ns]:
            due += self._due.pop(grid_ns)
        if sum(map(len, due)) * _MANY > len(self.asleep):
            rows = hits(self._resting & (self._wake_ns <= now_ns))
        else:
            rows = np.concatenate([np.zeros(0, dtype=np.int64), *due])
            # Who woke for another reason meanwhile has another time.
            rows = distinct(rows[self._resting[rows] & (self._wake_ns[rows] <= now_ns)])
        why = self._why[rows]
        self.rouse(rows[(why != LIMIT) & (why != JUDGED)], None)
        self._called.append(rows[why == JUDGED])
        further = rows[(why == LIMIT) & self._resting[rows]]
        if len(further):
            self._dream(further, now_ns, through=True)
            self.rouse(further[self._soon(further, now_ns)], None)
            self._note(further[self._resting[further]], now_ns)

    def _get_up(self, now_ns: int) -> None:
        """Let roused rows be awake, with their probes under way."""
        if not self._roused:
            return
        rows = np.sort(np.concatenate(self._roused))
        self._roused = []
        self.wakes += np.bincount(self._why[rows], minlength=len(REASONS))
        self.asleep[rows] = False
        self._count()
        told = np.empty((3, len(rows)), dtype=np.int64)
        health, plane = self._engine.meters.health, self._plane
        asked_ns = now_ns - now_ns % WINDOW_NS
        memory = (
            health.state, self._overlay.reverse, plane.heard_ns, plane.confirmed_ns,
            *self._memory[:3],
        )  # fmt: skip
        heard = health.state[self._passes.HEARD, rows]
        self._passes.rouse(rows, now_ns, asked_ns, self._luck, self._gusts, memory, tuple(told))
        overdue = health.updated_ns[rows] < asked_ns - self._engine.tunnels.overdue_ns[rows]
        self._woken.append(
            Woken(
                list(self._under_way(rows, heard, told[0], told[1])),
                asked_ns, rows[overdue], told[2, overdue],
            )
        )  # fmt: skip

    def _under_way(self, rows: I64, heard: I64, first: I64, last: I64) -> Iterator[Flight]:
        """Yield the probes of some rows that were sent and are not back, oldest first."""
        interval = self._luck.interval_ns[rows]
        for interval_ns in np.unique(interval).tolist():
            mine = hits((interval == interval_ns) & (first <= last))
            if not len(mine):
                continue
            for ordinal in range(int(first[mine].min()), int(last[mine].max()) + 1):
                at = mine[(first[mine] <= ordinal) & (ordinal <= last[mine])]
                there, back = np.empty((2, len(at)), dtype=np.int64)
                self._passes.aloft(rows[at], ordinal, self._luck, self._gusts, there, back)
                heard[at] += there != NEVER
                yield Flight(
                    rows=rows[at],
                    sent_ns=ordinal * interval_ns + self._luck.phase_ns[rows[at]],
                    heard_at_ns=there,
                    back_at_ns=back,
                    ordinal=ordinal,
                    heard_count=heard[at],
                    data_at=np.zeros(0, dtype=np.int64),
                    data=np.zeros((0, 2), dtype=np.int64),
                    first_ns=int(there.min(initial=NEVER)),
                    last_heard_ns=last_of(there),
                    last_ns=max(last_of(there), last_of(back)),
                )

    def passed(self, start_ns: int, end_ns: int) -> None:
        """A slot was worked out: all that comes back before its end is taken."""
        self.taken_ns = end_ns
        self.slept_ns += (len(self.asleep) - len(self.awake)) * (end_ns - start_ns)

    # ------------------------------------------------------------ evaluations of sleepers

    def call(self, now_ns: int) -> I64:
        """Hand over to the engine the rows on which an evaluation changes something now.

        They are in no flight of probes meanwhile, and sleep on after :meth:`dismiss`.
        """
        self._forecast(now_ns)
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *self._called])
        self._called = []
        rows = np.sort(rows[self._resting[rows]])
        if len(rows):
            self.lost += self._live(rows)
            self._resting[rows] = False
        self.judged_ns = now_ns
        return rows

    def dismiss(self, rows: I64, now_ns: int) -> None:
        """Take rows back after the evaluation for which they were called."""
        if not len(rows):
            return
        self._resting[rows] = True
        self._calendar.judged_ns[rows] = now_ns
        better = self._known.standing.better_runs[:, rows].any(axis=0)
        self.rouse(rows[better], JUDGED)
        rows = rows[self._resting[rows]]
        self._dream(rows, now_ns)
        self.rouse(rows[self._soon(rows, now_ns)], None)
        self._note(rows[self._resting[rows]], now_ns)

    # ------------------------------------------------------------ falling asleep

    def lull(self, now_ns: int, sites: Bools, busy: Bools) -> bool:
        """Put to sleep who is fit for it; tell whether anybody was.

        Args:
            now_ns: the time, on the grid; everything before it is done.
            sites: where agents run, with true clocks and the common policy.
            busy: rows that carry traffic.
        """
        rows = self.awake
        fit = np.zeros(len(rows), dtype=np.bool_)
        signs = Signs(
            now_ns - self._wire.longest_round_ns - self._interval_ns, self._wire.usual_since_ns,
            self._kept | busy, self._engine.state, self._memory.silent, sites,
            self._overlay.src, self._overlay.dst, self._memory.heard_count,
        )  # fmt: skip

        def look(at: slice) -> None:
            self._passes.drowsy(
                rows[at], now_ns, self._luck, self._known, signs, self._gusts, fit[at]
            )

        self._by_blocks(len(rows), look, block=_BLOCK)
        rows = rows[fit]
        self._tired[rows] = True
        both = rows[self._tired[self._overlay.reverse[rows]]]
        self._tired[rows] = False
        return bool(len(both)) and self._put_to_sleep(both, now_ns)

    def _put_to_sleep(self, rows: I64, now_ns: int) -> bool:
        """Let rows (with their opposites) sleep as long as nothing happens on either."""
        luck = self._luck
        self._calendar.judged_ns[rows] = now_ns
        self._known.patience.counted[rows] = (now_ns - 1 - luck.phase_ns[rows]) // (
            luck.interval_ns[rows]
        ) + 1
        self._dream(rows, now_ns)
        soon = self._soon(rows, now_ns)
        self._tired[rows[soon]] = True
        rows = rows[~(soon | self._tired[self._overlay.reverse[rows]])]
        self._tired[:] = False
        if not len(rows):
            return False
        self.asleep[rows] = self._resting[rows] = True
        self._note(rows, now_ns)
        self._engine.meters.health.updated_ns[rows] = _FAR
        self._plane.heard_ns[rows] = self._plane.confirmed_ns[rows] = _FAR
        self._count()
        return True

    def _soon(self, rows: I64, now_ns: int) -> Bools:
        """Tell to which rows something happens so soon that they need not sleep till then."""
        soon: Bools = self._wake_ns[rows] < now_ns + _WORTH_NS
        soon &= self._why[rows] != JUDGED
        return soon

    def _dream(self, rows: I64, now_ns: int, *, through: bool = False) -> None:
        """Find until when nothing happens to rows, and what does then.

        With ``through`` they are first brought up to now, each block of them in one go.
        """
        wake_ns, why = np.empty((2, len(rows)), dtype=np.int64)
        limit_ns = (now_ns + _WORTH_NS) // LOOK_NS * LOOK_NS + LOOK_NS
        times = limit_ns, limit_ns, WINDOW_NS, self._engine.policy.evaluation_ns

        def dream(at: slice) -> int:
            told = wake_ns[at], why[at]
            owed = self._live(rows[at]) if through else 0
            self._passes.doze(rows[at], times, self._luck, self._known, self._gusts, False, told)
            return owed

        self.lost += sum(self._by_blocks(len(rows), dream, block=_BLOCK))
        self._wake_ns[rows], self._why[rows] = wake_ns, why

    def _note(self, rows: I64, now_ns: int) -> None:
        """Remember when rows must be looked at again."""
        wake_ns = self._wake_ns[rows]
        called = (self._why[rows] == JUDGED) & (wake_ns <= now_ns)
        self._called.append(rows[called])
        rows, wake_ns = rows[~called], wake_ns[~called]
        slots = (wake_ns - wake_ns.min(initial=_FAR)) // WINDOW_NS
        order = np.argsort(slots.astype(np.uint8), kind="stable")  # few and small: by counting
        rows, wake_ns = rows[order], wake_ns[order]
        cuts = hits(np.diff(wake_ns) != 0) + 1
        at = np.concatenate([[0], cuts])[: len(rows)]
        for part, time in zip(np.split(rows, cuts), wake_ns[at].tolist(), strict=False):
            self._due.setdefault(time, []).append(part)

    def _count(self) -> None:
        self.awake = hits(~self.asleep).astype(np.int64)
        self.some = len(self.awake) < len(self.asleep)
