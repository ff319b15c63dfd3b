"""Every probe of every tunnel, in arrays: sent, lost or delayed, reflected, stamped.

This is the dense half of the simulation. A slot is only a batch: each probe has
its own send and arrival times in nanoseconds and what follows from them does not
depend on how time is cut (tests run it at 1, 10 and 100 ms).

Probes are sent and reflected by the kernels, so a stopped agent changes nothing
here. For each slot the prober

1. sends the probes that are due: the wire tells each one's fate on both ways;
2. lets what arrives in the slot move the stamps ``heard`` and ``confirmed``, and
   returns the exact edges of silence;
3. hands the reflections that came back to the engine's estimators.

In one direction of one tunnel probes do not overtake each other: queues are first
in, first out, and a reordering fault holds back users' packets alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from patronus.dataplane.memory import MemoryDataplane
from patronus.engine.arrays import hits
from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.silence import Edges
from patronus.engine.units import LONG_AGO, NEVER, PPM, SECOND
from patronus.sim.blocks import Blocks
from patronus.sim.flight import BLOCK, FEW, Flight, last_of, numbered, part_of, places, rows_at
from patronus.sim.inquiries import Inquiries, Inquiry, last_probes
from patronus.sim.luck import binomial, object_keys, ordinal_step, words
from patronus.sim.reflections import Reflections, Slot, Takers
from patronus.sim.sleepers import Sleepers
from patronus.sim.slumber import Memory
from patronus.sim.stamping import Stamping
from patronus.sim.wire import WINDOW_NS, Wire

T = TypeVar("T")

Flown: TypeAlias = tuple[I64, ...]
"""Arrivals at the peer, arrivals of reflections, the peer's counts."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows that are probed at one interval."""

    rows: I64
    interval_ns: int
    phase_ns: I64
    whole: bool
    """They are all rows of the overlay."""
    in_order_ns: I64
    """The phases, ascending."""

    def due(self, low_ns: int, high_ns: int) -> int:
        """Return how many of the phases lie in [low, high)."""
        first, last = np.searchsorted(self.in_order_ns, [low_ns, high_ns])
        return int(last - first)


class _Told(NamedTuple):
    """What became of some probes."""

    lost: int
    """Reflections that never come."""
    last_heard_ns: int
    """Last arrival at a peer."""
    last_back_ns: int


class Prober:
    """Probes all tunnels of all sites."""

    def __init__(
        self,
        overlay: Overlay,
        policy: Policy,
        wire: Wire,
        dataplane: MemoryDataplane,
        seed: int,
        passes: ModuleType | None = None,
    ) -> None:
        """Create a prober that has sent nothing.

        Args:
            overlay: all tunnels.
            policy: tells how often each transport is probed.
            wire: what happens to probes.
            dataplane: whose stamps they move.
            seed: of their luck.
            passes: ``sim.compiled``, which pays for its start in long runs of many rows;
                None for plain passes. They do the same.
        """
        self._overlay, self._wire, self._dataplane = overlay, wire, dataplane
        self._passes = passes
        self._stamping = Stamping(overlay, dataplane, passes)
        rows = overlay.rows
        self.silent: Bools = self._stamping.silent
        self.data_rate_pps: I64 = np.zeros(rows, dtype=np.int64)
        """Data packets a second that the dataplanes count on each row; see :meth:`carry`."""
        self._too_large_ppm: I64 = np.zeros(rows, dtype=np.int64)
        self._counting: Bools = np.zeros(rows, dtype=np.bool_)
        self._busy: I64 = np.zeros(0, dtype=np.int64)
        self.sent = 0
        self._lost = 0
        self._heard_count: I64 = np.zeros(rows, dtype=np.int64)
        self._data: I64 = np.zeros((rows, 2), dtype=np.int64)
        # Just after the last arrival at the peer, and of a reflection.
        self._from_heard_ns: I64 = np.full(rows, LONG_AGO, dtype=np.int64)
        self._from_back_ns: I64 = np.full(rows, LONG_AGO, dtype=np.int64)
        self._last_sent_ns: I64 = np.full(rows, NEVER, dtype=np.int64)
        self._data_words = object_keys(seed, "data", overlay.key)
        phase = words(object_keys(seed, "phase", overlay.key), 0)
        self._groups = list(_groups(overlay, policy, phase))
        self._flights: list[Flight] = []
        self.reflections = Reflections(overlay)
        self._inquiries = Inquiries()
        self._sleepers: Sleepers | None = None
        self._ordinary: Callable[[], Bools] = lambda: np.ones(len(overlay.sites), dtype=np.bool_)
        self.by_blocks = Blocks()

    def step(self, start_ns: int, end_ns: int, takers: Takers[T]) -> tuple[Edges, list[T]]:
        """Go through a slot; hand over samples and counts.

        Returns:
            The edges in order of time, and what those who took them returned.
        """
        touched = self._wire.survey(start_ns, end_ns)
        if self._sleepers is not None:
            self._wake(self._sleepers, start_ns, touched)
        self._wire.fold()
        if self._sleepers is not None and start_ns % WINDOW_NS == 0:
            self._lull(self._sleepers, start_ns)
        for group in self._groups:
            self._send(group, start_ns, end_ns)
        landing = self._landing(end_ns)
        awake = self._awake
        edges = self._stamping.step(landing, start_ns, end_ns, self.by_blocks, awake)
        slot = Slot(landing, start_ns, end_ns)
        taken = self.reflections.hand_over(slot, takers, self.by_blocks)
        self._flights = [f for f in self._flights if f.last_ns >= end_ns]
        if self._sleepers is not None:
            self._sleepers.passed(start_ns, end_ns)
        return edges, taken

    @property
    def lost(self) -> int:
        """Probes that were sent and do not come back, on whichever way they get lost."""
        if self._sleepers is None:
            return self._lost
        self._sleepers.settle()
        return self._lost + self._sleepers.lost

    # ------------------------------------------------------------ sleep

    def lazily(self, sleepers: Sleepers, ordinary: Callable[[], Bools]) -> None:
        """Leave out rows that sleep from now on.

        Args:
            sleepers: keep account of them.
            ordinary: tells at which sites agents run, with the common policy.
        """
        self._sleepers, self._ordinary = sleepers, ordinary
        sleepers.attend(self.memory, self.by_blocks)

    @property
    def _awake(self) -> I64 | None:
        """The rows that are awake; None where all are."""
        return self._sleepers.awake if self._sleepers is not None and self._sleepers.some else None

    @property
    def memory(self) -> Memory:
        """What is remembered of each row; the arrays themselves."""
        return Memory(self._from_heard_ns, self._from_back_ns, self._heard_count, self.silent)

    @property
    def probes(self) -> tuple[I64, I64]:
        """Interval and phase of the probes of each row."""
        interval_ns, phase_ns = np.empty((2, self._overlay.rows), dtype=np.int64)
        for group in self._groups:
            interval_ns[group.rows], phase_ns[group.rows] = group.interval_ns, group.phase_ns
        return interval_ns, phase_ns

    def _wake(self, sleepers: Sleepers, now_ns: int, touched: I64) -> None:
        for woken in sleepers.wake(now_ns, touched, self._busy):
            self._flights = [*woken.flights, *self._flights]
            last = last_probes(self._groups, woken.asked, woken.asked_ns)
            data = self._data[woken.asked]
            self._inquiries.resume(Inquiry(woken.asked, *last, woken.heard_count, data))

    def _lull(self, sleepers: Sleepers, now_ns: int) -> None:
        """Let rows fall asleep; their probes under way are known when they wake."""
        sites = self._ordinary() & ~self.reflections.odd_clocks
        if not sleepers.lull(now_ns, sites, self._counting):
            return
        flights = []
        for flight in self._flights:
            rows = numbered(flight.rows)
            at = hits(~sleepers.asleep[rows])
            if len(at):
                flights.append(flight.only(at, rows[at]))
        self._flights = flights

    # ------------------------------------------------------------ sending

    def _send(self, group: _Group, start_ns: int, end_ns: int) -> None:
        """Send what is due in the slot, one flight for each time around."""
        first = start_ns // group.interval_ns
        last = (end_ns - 1) // group.interval_ns
        mine, phases = self._of(group)
        for ordinal in range(first, last + 1):
            low, high = start_ns - ordinal * group.interval_ns, end_ns - ordinal * group.interval_ns
            if low <= 0 and high >= group.interval_ns:
                rows, phase = mine, phases
            else:
                due = hits((phases >= low) & (phases < high))
                rows, phase = rows_at(mine, due), phases[due]
            if len(phase):
                self._launch(rows, ordinal * group.interval_ns + phase, ordinal)
            if len(phases) < len(group.rows):
                self.sent += group.due(low, high) - len(phase)

    def _of(self, group: _Group) -> tuple[slice | I64, I64]:
        """Return the rows of a group that are awake, and their phases."""
        awake = self._awake
        if awake is None:
            return slice(0, len(group.rows)) if group.whole else group.rows, group.phase_ns
        if group.whole:
            return awake, group.phase_ns[awake]
        assert self._sleepers is not None
        at = hits(~self._sleepers.asleep[group.rows])
        return group.rows[at], group.phase_ns[at]

    def _launch(self, rows: slice | I64, sent_ns: I64, ordinal: int) -> None:
        count = len(sent_ns)
        there, back, heard = np.empty((3, count), dtype=np.int64)

        flown = there, back, heard
        if self._passes is not None and (isinstance(rows, slice) or self._awake is not None):
            told = self._fly_compiled(numbered(rows), sent_ns, ordinal, flown)
        else:
            told = self._fly_all(rows, sent_ns, ordinal, flown, BLOCK)
        self.sent += count
        self._lost += told.lost
        data_at, data = self._count_data(rows, sent_ns, ordinal)
        flight = Flight(
            rows=rows,
            sent_ns=sent_ns,
            heard_at_ns=there,
            back_at_ns=back,
            ordinal=ordinal,
            heard_count=heard,
            data_at=data_at,
            data=data,
            first_ns=int(there.min()),
            last_heard_ns=told.last_heard_ns,
            last_ns=max(told.last_heard_ns, told.last_back_ns),
        )
        self._flights.append(flight)
        self._set_mute(flight)

    def _fly_all(
        self, rows: slice | I64, sent_ns: I64, ordinal: int, flown: Flown, block: int
    ) -> _Told:
        """Work out the fates of probes and write them; arguments as of :meth:`_fly`."""

        def fly(at: slice) -> _Told:
            parts = tuple(field[at] for field in flown)
            return self._fly(part_of(rows, at), sent_ns[at], ordinal, parts)

        return _together(self.by_blocks(len(sent_ns), fly, block))

    def _fly(self, rows: slice | I64, sent_ns: I64, ordinal: int, flown: Flown) -> _Told:
        """Work out the fate of one probe a row.

        Args:
            rows: the rows meant.
            sent_ns: of each probe.
            ordinal: of all of them.
            flown: written: arrivals at the peer, of reflections, the peer's counts.
        """
        there, back, heard = flown
        word = self._wire.word(rows, ordinal)
        self._wire.outward(rows, sent_ns, word, there)
        _in_order(rows, there, self._from_heard_ns)
        self._wire.homeward(rows, there, word, back)
        _in_order(rows, back, self._from_back_ns)
        self._heard_count[rows] += there != NEVER
        heard[:] = self._heard_count[rows]
        return _Told(int(np.count_nonzero(back == NEVER)), last_of(there), last_of(back))

    def _fly_compiled(self, rows: I64, sent_ns: I64, ordinal: int, flown: Flown) -> _Told:
        """Do as :meth:`_fly_all`, but in one pass over the rows that are not lively."""
        assert self._passes is not None
        fly, sky, step = self._passes.fly, self._wire.sky, ordinal_step(ordinal)
        memory = self._from_heard_ns, self._from_back_ns, self._heard_count

        def calm(at: slice) -> tuple[_Told, I64]:
            odd = np.empty(at.stop - at.start, dtype=np.int64)
            parts = tuple(field[at] for field in flown)
            left, *told = fly(rows[at], sent_ns[at], step, sky, memory, parts, odd)
            return _Told(*told), odd[:left] + at.start

        done = self.by_blocks(len(sent_ns), calm)
        at = np.concatenate([odd for _, odd in done])
        told = [told for told, _ in done]
        if len(at):
            few = tuple(np.empty((3, len(at)), dtype=np.int64))
            told.append(self._fly_all(rows[at], sent_ns[at], ordinal, few, FEW))
            for field, values in zip(flown, few, strict=True):
                field[at] = values
        return _together(told)

    def _count_data(self, rows: slice | I64, sent_ns: I64, ordinal: int) -> tuple[I64, I64]:
        """Count the data packets that went before each probe, and draw how many were lost.

        Returns:
            The positions of rows with any, and their counts so far.
        """
        if isinstance(rows, slice):
            row = at = self._busy
        else:
            at = hits(self._counting[rows])
            row = rows[at]
        if not len(row):
            return at, np.zeros((0, 2), dtype=np.int64)
        rate, now, before = self.data_rate_pps[row], sent_ns[at], self._last_sent_ns[row]
        self._last_sent_ns[row] = now
        count = np.where(before == NEVER, 0, rate * now // SECOND - rate * before // SECOND)
        count = np.minimum(count, 4096)
        draw = words(self._data_words[row], ordinal)
        self._data[row, 0] += count
        passed = (PPM - self._wire.loss_ppm(row, now)) * (PPM - self._too_large_ppm[row])
        self._data[row, 1] += binomial(draw, count, PPM - passed // PPM)
        return at, self._data[row]

    def carry(self, rate_pps: I64, too_large_ppm: I64) -> None:
        """Set how many data packets a second each row carries from now on.

        ``too_large_ppm`` is the share of them that its links' MTU lets vanish.
        """
        newly = (self.data_rate_pps == 0) & (rate_pps > 0)
        self._last_sent_ns[newly] = NEVER
        self.data_rate_pps, self._too_large_ppm = rate_pps, too_large_ppm
        # A row that traffic has left still owes the report of its last packets: if it was
        # left because it went dark, that comes with the first reflection afterwards.
        self._counting = (rate_pps > 0) | (self._data != self.reflections.reported).any(axis=1)
        self._busy = hits(self._counting).astype(np.int64)

    def inquire(self, overdue: I64, round_trip_ns: I64, now_ns: int) -> Inquiry:
        """Return what peers say of packets to them whose reflections are overdue.

        Args:
            overdue: the rows, ascending; those that hear nothing at all may be among them.
            round_trip_ns: how long a round trip of each may take.
            now_ns: the end of the last slot.
        """

        def note(rows: I64) -> Inquiry:
            last = last_probes(self._groups, rows, now_ns)
            return Inquiry(rows, *last, self._heard_count[rows], self._data[rows])

        loud = ~self.silent[overdue]
        told = self._inquiries.step(
            overdue[loud], round_trip_ns[loud], self._dataplane.heard_ns, note
        )
        return told.telling(self.reflections.tell(told.rows, told.data))

    def _set_mute(self, flight: Flight) -> None:
        """Find the probes that leave with a clear H bit: their senders hear nothing."""
        rows, sent = flight.rows, flight.sent_ns
        plane = self._dataplane

        def deaf(at: slice) -> I64:
            part = part_of(rows, at)
            found: I64 = at.start + hits(sent[at] - plane.heard_ns[part] > plane.detect_ns[part])
            return found

        at: I64 = np.concatenate(self.by_blocks(len(sent), deaf))
        if not len(at):
            return
        row = at + rows.start if isinstance(rows, slice) else rows[at]
        heard = self._heard_by(row, sent[at])
        still = sent[at] - heard > plane.detect_ns[row]
        flight.mute = at[still]

    def _heard_by(self, rows: I64, at_ns: I64) -> I64:
        """Return when each row last heard its peer, up to exact times (rows ascending)."""
        heard = self._dataplane.heard_ns[rows].copy()
        for flight in self._landing(int(at_ns.max()) + 1):
            for of, times in ((rows, flight.back_at_ns), (self._reverse(rows), flight.heard_at_ns)):
                place, there = places(flight.rows, of)
                arrival = np.where(there, times[place], NEVER)
                np.maximum(heard, np.where(arrival <= at_ns, arrival, LONG_AGO), out=heard)
        return heard

    def _landing(self, end_ns: int) -> list[Flight]:
        """Return the flights of which something may arrive before a time."""
        return [f for f in self._flights if f.first_ns < end_ns]

    def _reverse(self, rows: I64) -> I64:
        return self._overlay.reverse[rows].astype(np.int64)


def _together(told: list[_Told]) -> _Told:
    lost, heard, back = zip(*told, strict=True)
    return _Told(sum(lost), max(heard), max(back))


def _groups(overlay: Overlay, policy: Policy, phase: U64) -> list[_Group]:
    """Return the rows by probe interval, with each row's phase."""
    interval = np.array([policy.profile(t).interval_ns for t in overlay.transports], dtype=np.int64)
    by_row = interval[overlay.transport]
    groups = []
    for value in np.unique(by_row).tolist():
        rows = hits(by_row == value)
        ns = (phase[rows] % np.uint64(value)).astype(np.int64)
        groups.append(_Group(rows, value, ns, len(rows) == overlay.rows, np.sort(ns)))
    return groups


def _in_order(rows: slice | I64, times: I64, from_ns: I64) -> None:
    """Let no probe overtake the one before it in its direction; lost ones overtake nobody."""
    allowed = from_ns[rows]
    np.maximum(times, allowed, out=times)
    after = times + 1  # of lost ones the least number, see _last
    if isinstance(rows, slice):
        np.maximum(allowed, after, out=allowed)
    else:
        from_ns[rows] = np.maximum(allowed, after)
