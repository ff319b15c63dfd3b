"""Lazy mode: rows on which nothing happens but the usual are not simulated.

While nothing disturbs a row's links, the fate of each of its probes is known beforehand.
So a row that is well is put to sleep until the first thing that is not usual: a probe that
gets lost, a delay that looks suspicious, a test that has something to do, an evaluation
that would change a verdict or a published metric. Whatever comes from outside wakes it
before: a fault or a burst on its links, another route, a queue, traffic, a change at one of
its sites. Both directions of a tunnel sleep and wake together, since each proves the other.

A sleeping row keeps the state in which it fell asleep. When it wakes, or when somebody
asks for its figures, it is taken through everything that it slept over, by the same
arithmetic (:mod:`patronus.sim.compiled.dozing`). So journals are those of event mode.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

from patronus.dataplane.memory import MemoryDataplane
from patronus.engine.arrays import distinct, hits
from patronus.engine.engine import Engine
from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.engine.ranking import Terms
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO, PPM, SECOND
from patronus.sim.flight import ByBlocks, Flight
from patronus.sim.squalls import squalls
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

TOUCHED, TRAFFIC, SITE, WATCHED = range(5, 9)


class Luck(NamedTuple):
    """What decides about the probes of all rows while their links do the usual."""

    keys: U64
    interval_ns: I64
    phase_ns: I64
    out: tuple[I64, I64, U64]
    """Delay, bound of jitter, limit of loss."""
    home: tuple[I64, I64, U64]


class Calendar(NamedTuple):
    """Evaluations by row."""

    judged_ns: I64
    """Up to which time they are done."""
    turn_ns: I64
    """When in each interval they come."""


class Known(NamedTuple):
    """What is known of all rows; the arrays themselves."""

    meters: Any
    window: Any
    standing: Any
    terms: Terms
    calendar: Calendar


class Signs(NamedTuple):
    """By what a row is seen to be fit for sleep."""

    lively: Bools
    calm_before_ns: int
    usual_since_ns: I64
    """Since when each row's links do the usual."""
    awake: Bools
    """Rows that must not sleep."""
    up: Any
    silent: Bools
    detect_ns: tuple[I64, I64]
    """In force, and configured."""
    sites: Bools
    """Where agents run, with true clocks and the common policy."""
    src: I32
    dst: I32
    heard_count: I64


class Memory(NamedTuple):
    """What the prober remembers of each row."""

    from_heard_ns: I64
    from_back_ns: I64
    heard_count: I64
    silent: Bools


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
        tunnels = engine.tunnels
        self._detect_ns = tunnels.detect_ns, tunnels.detect_ns.copy()
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
        self._known = Known(meters.columns, window, standing, terms, self._calendar)
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
            asked = np.asarray(rows, dtype=np.int64).ravel()
            asked = distinct(asked[self._resting[asked] & (asked >= 0)])
            if len(asked):
                self._live(asked)

    def _live(self, rows: I64) -> None:
        told = np.empty((2, len(rows)), dtype=np.int64)
        self._passes.doze(
            rows, (self.taken_ns, self.judged_ns, WINDOW_NS, self._engine.policy.evaluation_ns),
            self._luck, self._known, True, (told[0], told[1]),
        )  # fmt: skip

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
            rows = self._both_ways(rows)
            if reason is not None:
                self._why[rows] = reason
            self._live(rows)
            self._resting[rows] = False
            self._roused.append(rows)

    def rouse_sites(self, sites: I64) -> None:
        """Rouse all tunnels of some sites."""
        if self.some:
            self.rouse(self._overlay.rows_of(distinct(sites)), SITE)

    def _both_ways(self, rows: I64) -> I64:
        return distinct(np.concatenate([rows, self._overlay.reverse[rows].astype(np.int64)]))

    # ------------------------------------------------------------ waking

    def wake(
        self, now_ns: int, touched: I64, busy: I64, memory: Memory, by_blocks: ByBlocks
    ) -> list[Flight]:
        """Wake whoever must be awake in the slot that begins; return their probes under way.

        Args:
            now_ns: the time; everything before it is done.
            touched: rows whose links do not do what they did, loss bursts apart.
            busy: rows that carry traffic.
            memory: of the prober, brought up to date.
            by_blocks: works through many rows.
        """
        self.rouse(touched, TOUCHED)
        self._brave(by_blocks)
        self.rouse(busy, TRAFFIC)
        self._renew(now_ns, by_blocks)
        if not self._roused:
            return []
        rows = np.sort(np.concatenate(self._roused))
        self._roused = []
        self.wakes += np.bincount(self._why[rows], minlength=len(REASONS))
        self.asleep[rows] = False
        self._count()
        first, last = np.empty((2, len(rows)), dtype=np.int64)
        self._passes.rouse(
            rows, now_ns, self._luck,
            (
                self._engine.meters.health.state, self._overlay.reverse, self._plane.heard_ns,
                self._plane.confirmed_ns, *memory[:3],
            ),
            first, last,
        )  # fmt: skip
        return list(self._under_way(rows, first, last))

    def _brave(self, by_blocks: ByBlocks) -> None:
        """Rouse rows whose probes may get lost in bursts of the window; the others sleep on."""
        rows = self._wire.squally
        rows = rows[self._resting[rows]]
        if not len(rows):
            return
        span, hit = (self._wire.start_ns, self._wire.end_ns), np.empty(len(rows), dtype=np.bool_)
        bursts = squalls(self._wire)

        def ask(at: slice) -> None:
            self._passes.struck(rows[at], span, self._luck, bursts, hit[at])

        by_blocks(len(rows), ask)
        self.rouse(rows[hit], TOUCHED)

    def _renew(self, now_ns: int, by_blocks: ByBlocks) -> None:
        """Rouse rows whose time has come; those that were not looked at further may sleep on."""
        due: list[I64] = []
        for grid_ns in [t for t in self._due if t <= now_ns]:
            due += self._due.pop(grid_ns)
        if sum(map(len, due)) * _MANY > len(self.asleep):
            rows = hits(self._resting & (self._wake_ns <= now_ns))
        else:
            rows = np.concatenate([np.zeros(0, dtype=np.int64), *due])
            # Who woke for another reason meanwhile has another time.
            rows = distinct(rows[self._resting[rows] & (self._wake_ns[rows] <= now_ns)])
        if not len(rows):
            return
        further = rows[self._why[rows] == 0]
        if len(further):
            further = self._dream(further, now_ns, by_blocks, through=True)
            self._note(further)
            rows = rows[np.isin(rows, further, assume_unique=True, invert=True)]
        self.rouse(rows, None)

    def _under_way(self, rows: I64, first: I64, last: I64) -> Iterator[Flight]:
        """Yield the probes of some rows that were sent and are not back, oldest first."""
        heard = self._engine.meters.health.state[self._passes.HEARD, rows]
        interval = self._luck.interval_ns[rows]
        for interval_ns in np.unique(interval).tolist():
            mine = hits((interval == interval_ns) & (first <= last))
            if not len(mine):
                continue
            for ordinal in range(int(first[mine].min()), int(last[mine].max()) + 1):
                at = mine[(first[mine] <= ordinal) & (ordinal <= last[mine])]
                there, back, sent = np.empty((3, len(at)), dtype=np.int64)
                self._passes.aloft(rows[at], ordinal, self._luck, there, back, sent)
                yield Flight(
                    rows=rows[at],
                    sent_ns=sent,
                    heard_at_ns=there,
                    back_at_ns=back,
                    ordinal=ordinal,
                    heard_count=heard[at] + ordinal - first[at] + 1,
                    data_at=np.zeros(0, dtype=np.int64),
                    data=np.zeros((0, 2), dtype=np.int64),
                    first_ns=int(there.min(initial=_FAR)),
                    last_heard_ns=int(there.max(initial=LONG_AGO)),
                    last_ns=int(back.max(initial=LONG_AGO)),
                )

    def passed(self, start_ns: int, end_ns: int) -> None:
        """A slot was worked out: all that comes back before its end is taken."""
        self.taken_ns = end_ns
        self.slept_ns += (len(self.asleep) - len(self.awake)) * (end_ns - start_ns)

    # ------------------------------------------------------------ falling asleep

    def lull(
        self, now_ns: int, sites: Bools, busy: Bools, memory: Memory, by_blocks: ByBlocks
    ) -> bool:
        """Put to sleep who is fit for it; tell whether anybody was.

        Args:
            now_ns: the time, on the grid; everything before it is done.
            sites: where agents run, with true clocks and the common policy.
            busy: rows that carry traffic.
            memory: of the prober.
            by_blocks: works through many rows.
        """
        rows = self.awake
        fit = np.zeros(len(rows), dtype=np.bool_)
        signs = Signs(
            self._wire.sky.lively, now_ns - self._wire.longest_round_ns - self._interval_ns,
            self._wire.usual_since_ns, self._kept | busy, self._engine.state, memory.silent,
            self._detect_ns, sites, self._overlay.src, self._overlay.dst, memory.heard_count,
        )  # fmt: skip

        def look(at: slice) -> None:
            self._passes.drowsy(rows[at], now_ns, self._luck, self._known, signs, fit[at])

        by_blocks(len(rows), look, block=_BLOCK)
        rows = rows[fit]
        self._tired[rows] = True
        both = rows[self._tired[self._overlay.reverse[rows]]]
        self._tired[rows] = False
        return bool(len(both)) and self._put_to_sleep(both, now_ns, by_blocks)

    def _put_to_sleep(self, rows: I64, now_ns: int, by_blocks: ByBlocks) -> bool:
        """Let rows (with their opposites) sleep as long as nothing happens on either."""
        self._calendar.judged_ns[rows] = now_ns
        rows = self._dream(rows, now_ns, by_blocks)
        if not len(rows):
            return False
        self._note(rows)
        self.asleep[rows] = self._resting[rows] = True
        self._engine.meters.health.updated_ns[rows] = _FAR
        self._plane.heard_ns[rows] = self._plane.confirmed_ns[rows] = _FAR
        self._count()
        return True

    def _dream(self, rows: I64, now_ns: int, by_blocks: ByBlocks, *, through: bool = False) -> I64:
        """Find when rows (with their opposites) must wake, and why; return those that may sleep.

        With ``through`` they are first brought up to now, each block of them in one go.
        """
        wake_ns, why = np.empty((2, len(rows)), dtype=np.int64)
        limit_ns = (now_ns + _WORTH_NS) // LOOK_NS * LOOK_NS + LOOK_NS
        times = limit_ns, limit_ns, WINDOW_NS, self._engine.policy.evaluation_ns

        def dream(at: slice) -> None:
            told = wake_ns[at], why[at]
            if through:
                self._live(rows[at])
            self._passes.doze(rows[at], times, self._luck, self._known, False, told)

        by_blocks(len(rows), dream, block=_BLOCK)
        self._wake_ns[rows], self._why[rows] = wake_ns, why
        other = self._overlay.reverse[rows]
        other_ns, other_why = self._wake_ns[other], self._why[other]
        self._why[rows] = np.where(wake_ns <= other_ns, why, other_why)
        first_ns = np.minimum(wake_ns, other_ns)
        self._wake_ns[rows] = first_ns
        may: I64 = rows[first_ns >= now_ns + _WORTH_NS]
        return may

    def _note(self, rows: I64) -> None:
        """Remember when rows wake."""
        wake_ns = self._wake_ns[rows]
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
