"""The dataplane in memory: every packet goes where the kernel's rule sends it."""

from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane import memory
from patronus.dataplane.memory import MemoryDataplane
from patronus.dataplane.protocol import Dataplane, KernelMoves
from patronus.engine import silence
from patronus.engine.fastpath import Counter, Verdict
from patronus.engine.forwarding import NO_ROW, EntrySpace, ForwardingDelta
from patronus.engine.liveness import Input
from patronus.engine.units import LONG_AGO, MS, NEVER, SECOND
from tests.mutants.harness import caught, mutant
from tests.oracles.kernel import Kernel, Move

SOURCE = [0, 0, 0, 1, 1]
SPACE = EntrySpace(sites=2, destinations=2, classes=1)
BASE = -10
SPAN = 14


class Event(NamedTuple):
    """What the engine or the world does at one instant."""

    what: str
    at: int
    which: int
    """An entry, a row or a site, by what is done."""
    rows: tuple[int, int, int] = (NO_ROW,) * 3
    flag: bool = False


class History(NamedTuple):
    """A life of five tunnels of two sites."""

    hold: int
    detect: list[int]
    bounds: list[int]
    """Slots of the dense stamps lie between them."""
    proofs: list[set[int]]
    """By row."""
    cuts: set[tuple[int, int]]
    """(Row, start of a slot): the peer says it hears nothing."""
    changes: list[tuple[int, int, int]]
    """(Start of a slot, row, new detect time)."""
    events: list[Event]


def rows_of(site: int) -> st.SearchStrategy[int]:
    return st.sampled_from([NO_ROW, *(r for r, s in enumerate(SOURCE) if s == site)])


def applies(entry: int, at: int) -> st.SearchStrategy[Event]:
    row = rows_of(SPACE.key(entry).site)
    rows = st.tuples(row, row, row)
    return st.builds(Event, st.just("apply"), st.just(at), st.just(entry), rows, st.booleans())


@st.composite
def events(draw: st.DrawFn) -> Event:
    what = draw(st.sampled_from(["apply", "clear", "clear", "agent"]))
    at = draw(st.integers(0, SPAN - 1))
    if what == "apply":
        return draw(applies(draw(st.integers(0, SPACE.entries - 1)), at))
    which = draw(st.integers(0, len(SOURCE) - 1 if what == "clear" else SPACE.sites - 1))
    return Event(what, at, which, flag=draw(st.booleans()))


@st.composite
def histories(draw: st.DrawFn) -> History:
    bounds = sorted({0, SPAN} | draw(st.sets(st.integers(1, SPAN - 1), max_size=5)))
    start, row = st.sampled_from(bounds[:-1]), st.integers(0, len(SOURCE) - 1)
    n = len(SOURCE)
    dense = st.integers(0, 3).map(lambda step: set(range(0, SPAN, step)) if step else set[int]())
    proofs = st.sets(st.integers(0, SPAN - 1), max_size=SPAN) | dense
    return History(
        hold=draw(st.integers(0, 5)),
        detect=draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)),
        bounds=bounds,
        proofs=draw(st.lists(proofs, min_size=n, max_size=n)),
        cuts=draw(st.sets(st.tuples(row, start), max_size=2)),
        changes=draw(st.lists(st.tuples(start, row, st.integers(0, 7)), max_size=2)),
        events=[
            *(draw(applies(entry, 0)) for entry in range(SPACE.entries)),
            *(Event("agent", 0, site, flag=draw(st.booleans())) for site in range(SPACE.sites)),
            *sorted(draw(st.lists(events(), max_size=14)), key=lambda e: e.at),
        ],
    )


def delta(entry: int, rows: tuple[int, int, int], *, drop: bool, generation: int = 1) -> Any:
    return ForwardingDelta(
        generation=generation,
        entries=np.array([entry], dtype=np.int64),
        rows=np.array([rows], dtype=np.int32),
        drop=np.array([drop]),
        shared_fate=np.array([False]),
    )


def stamped(plane: MemoryDataplane, mute: Any, history: History, slot: tuple[int, int]) -> Any:
    """Do the dense work of a slot; return the edges by (time, kind)."""
    start, end = slot
    parts = [
        silence.cut(
            plane.confirmed_ns, plane.detect_ns, mute,
            np.array([row for row, at in history.cuts if at == start], dtype=np.int64),
            np.array([BASE + at for _, at in history.cuts if at == start], dtype=np.int64),
            not_before_ns=BASE + start,
        )
    ]  # fmt: skip
    state = plane.confirmed_ns, plane.detect_ns, mute, slice(0, len(SOURCE))
    for at in range(start, end):
        times = [BASE + at if at in row else NEVER for row in history.proofs]
        stamps = np.array(times, dtype=np.int64)
        parts.append(silence.stamp(*state, stamps, not_before_ns=BASE + start))
    parts.append(silence.expire(*state, BASE + end, not_before_ns=BASE + start))
    edges: dict[tuple[int, int], list[int]] = {}
    for part in parts:
        for at_ns, row, kind in zip(*(column.tolist() for column in part), strict=True):
            edges.setdefault((at_ns, kind), []).append(row)
    return edges


def act(plane: MemoryDataplane, kernel: Kernel, event: Event, now: int) -> None:
    if event.what == "apply":
        kernel.apply(event.which, event.rows, event.flag, now)
        change = delta(event.which, event.rows, drop=event.flag, generation=now)
        assert plane.apply(change, now) == now
    elif event.what == "clear":
        kernel.clear([event.which], now)
        plane.clear_latch([event.which], now)
    else:
        kernel.stale[event.which] = event.flag
        plane.set_agent(event.which, stale=event.flag, now_ns=now)
    kernel.settle(now)
    plane.advance(now)


def moves(of: KernelMoves) -> list[Move]:
    columns = of.at_ns, of.entries, of.from_rows, of.to_rows
    return list(zip(*(column.tolist() for column in columns), strict=True))


def holds(module: ModuleType, history: History) -> None:
    plane = module.MemoryDataplane(
        np.array(SOURCE, dtype=np.int32), SPACE,
        detect_ns=np.array(history.detect), hold_ns=history.hold,
    )  # fmt: skip
    kernel = Kernel(SOURCE, SPACE.per_site, history.detect, history.hold)
    mute = np.ones(len(SOURCE), dtype=np.bool_)
    everything = np.arange(SPACE.entries)
    for start, end in pairwise(history.bounds):
        for _, row, detect in (c for c in history.changes if c[0] == start):
            kernel.set_detect(row, detect)
            plane.set_detect(np.array([row]), np.array([detect]), BASE + start)
        edges = stamped(plane, mute, history, (start, end))
        for at in range(start, end):
            now = BASE + at
            kernel.instant(
                now,
                cuts=[row for row, when in history.cuts if when == at],
                proofs=[row for row, times in enumerate(history.proofs) if at in times],
            )
            if gone := edges.get((now, Input.EXPIRE)):
                plane.silence(gone, now)
            if back := edges.get((now, Input.CONFIRM)):
                plane.confirm(back, now)
            for event in (e for e in history.events if e.at == at):
                act(plane, kernel, event, now)
            rows, counters = plane.where_many(everything, np.full(SPACE.entries, now))
            expected = [kernel.where(entry, now) for entry in range(SPACE.entries)]
            assert [(r, Counter(c)) for r, c in zip(rows, counters, strict=True)] == expected
            entry = at % SPACE.entries
            assert plane.where(entry, now) == expected[entry]
            plane.advance(now)
            assert plane.used.tolist() == [verdict.row for verdict in expected]
    waiting = [site for site in range(SPACE.sites) if kernel.moves[site]]
    assert plane.sites_with_events() == waiting
    for site in range(SPACE.sites):
        # Entries of one instant have no order among each other; the moves of one entry have.
        got = sorted(moves(plane.events(site)), key=lambda move: move[:2])
        assert got == sorted(kernel.moves[site], key=lambda move: move[:2])


@given(histories())
def test_packets_go_where_a_kernel_of_plain_records_sends_them(history: History) -> None:
    """At every instant, in slots of any width, routes and moves equal the scalar reference."""
    holds(memory, history)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.advance(at_ns - 1)", "self.advance(at_ns)"),
        ("self.latched[at] = True", "pass"),
        ("self.since_ns[at] = NEVER", "pass"),
        ("self.latched[at] = self.since_ns[at] == NEVER", "self.latched[at] = False"),
        ("np.minimum(self.since_ns[at], at_ns)", "at_ns + 1"),
        ("self._stale_from.pop(site, None)", "pass"),
        ("self._due_ns = min(self._due_ns, at_ns + self.hold_ns)", "pass"),
        ("return int(due[due > now_ns].min(initial=NEVER))", "return NEVER"),
        (
            "np.maximum(self.since_ns[rows] + self.hold_ns, self._stale_from[site])",
            "self.since_ns[rows]",
        ),
        ("now - since_ns >= self.hold_ns", "now - since_ns > self.hold_ns"),
        ("due & self.agent_stale[self._source[rows]]", "due"),
        ("self.used[entries] = after", "pass"),
        ("self.used[delta.entries] = self.where_many(delta.entries, now_ns).rows", "pass"),
        ("candidates.ravel(), back) // candidates.shape[1]", "candidates[:, 0], back)"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Latch, hold, staleness and the bookkeeping of moves are each noticed when broken."""
    broken = mutant(memory, old, new)
    assert caught(histories(), lambda history: holds(broken, history), examples=2000)


def plane_of(rows: int, *, entries: int = 1, **options: Any) -> MemoryDataplane:
    """Return one site's dataplane with every tunnel confirmed and unlatched at 0."""
    plane = MemoryDataplane(
        np.zeros(rows, dtype=np.int32),
        EntrySpace(1, entries, 1),
        detect_ns=np.full(rows, 30 * MS),
        **options,
    )
    plane.confirmed_ns[:] = 0
    plane.confirm(range(rows), 0)
    plane.clear_latch(range(rows), 0)
    return plane


def test_it_is_a_dataplane() -> None:
    """The type checker accepts it wherever the protocol is asked for."""
    plane: Dataplane = plane_of(1)
    assert plane.where(0, 0) == Verdict(NO_ROW, Counter.NO_PATH)


def test_new_tunnels_carry_nothing() -> None:
    """Before the first proof and the engine's consent no tunnel is usable."""
    plane = MemoryDataplane(np.zeros(1, np.int32), EntrySpace(1, 1, 1), detect_ns=np.array([MS]))
    plane.apply(delta(0, (0, NO_ROW, NO_ROW), drop=False), 0)
    assert plane.where(0, 0) == Verdict(0, Counter.ALL_DEAD)
    plane.confirmed_ns[0] = 0
    plane.confirm([0], 0)
    assert plane.where(0, 0).counter is Counter.ALL_DEAD
    plane.clear_latch([0], 0)
    assert plane.where(0, 0) == Verdict(0, Counter.PRIMARY)


def test_without_kernel_failover_packets_stay_on_the_primary() -> None:
    """A study of what the kernel's own failover is worth can switch it off."""
    plane = plane_of(3, entries=2, kernel_failover=False)
    plane.apply(delta(0, (0, 1, 2), drop=False), 0)
    plane.apply(delta(1, (NO_ROW, 1, 2), drop=True), 0)
    plane.silence([0], 40 * MS)
    assert plane.where(0, 40 * MS) == Verdict(0, Counter.PRIMARY)
    assert plane.where(1, 40 * MS) == Verdict(NO_ROW, Counter.DROPPED)
    assert len(plane.events(0)) == 0


def test_tunnels_that_die_at_one_instant_make_one_move() -> None:
    """Primary and first backup share a fate: the packet goes to the second backup at once."""
    plane = plane_of(3)
    plane.apply(delta(0, (0, 1, 2), drop=False), 0)
    plane.confirmed_ns[2] = 30 * MS
    plane.silence([0, 1], 30 * MS + 1)
    assert moves(plane.events(0)) == [(30 * MS + 1, 0, 0, 2)]


def test_a_stopped_agent_gets_its_tunnel_back_after_the_hold() -> None:
    """The kernel clears the latch itself, at the exact end of ten seconds of proof."""
    plane = plane_of(2, hold_ns=10 * SECOND)
    plane.apply(delta(0, (0, 1, NO_ROW), drop=False), 0)
    plane.confirmed_ns[1] = 60 * SECOND
    plane.silence([0], SECOND)
    plane.set_agent(0, stale=True, now_ns=2 * SECOND)
    plane.confirmed_ns[0] = 60 * SECOND
    plane.confirm([0], 3 * SECOND)
    assert plane.where(0, 13 * SECOND - 1) == Verdict(1, Counter.BACKUP)
    assert plane.where(0, 13 * SECOND) == Verdict(0, Counter.PRIMARY)
    plane.advance(20 * SECOND)
    assert moves(plane.events(0)) == [(SECOND, 0, 0, 1), (13 * SECOND, 0, 1, 0)]


def test_rings_are_bounded_and_their_losses_counted() -> None:
    """A full ring loses the newest moves, and their numbers show it."""
    plane = plane_of(2, entries=3, ring=2)
    for entry in range(3):
        plane.apply(delta(entry, (0, 1, NO_ROW), drop=False), 0)
    plane.confirmed_ns[1] = SECOND
    plane.silence([0], SECOND)
    first = plane.events(0)
    assert (first.entries.tolist(), first.numbers.tolist(), first.lost) == ([0, 1], [0, 1], 1)
    plane.confirm([0], SECOND)
    plane.confirmed_ns[0] = SECOND
    plane.clear_latch([0], SECOND)
    second = plane.events(0)
    assert (second.numbers.tolist(), second.lost) == ([3, 4], 2)
    assert plane.events(0).lost == 2


def test_an_overlay_without_tunnels_forwards_nothing() -> None:
    """One site alone is an overlay too."""
    plane = plane_of(0)
    assert plane.where(0, 0) == Verdict(NO_ROW, Counter.NO_PATH)
    plane.set_agent(0, stale=True, now_ns=0)
    plane.advance(SECOND)
    assert plane.sites_with_events() == []


def test_stamps_start_long_ago() -> None:
    """No stamp is invented: both start so far back that they are stale at any time."""
    plane = MemoryDataplane(np.zeros(2, np.int32), EntrySpace(1, 1, 1), detect_ns=np.array([1, 2]))
    assert plane.heard_ns.tolist() == plane.confirmed_ns.tolist() == [LONG_AGO] * 2
    assert plane.detect_ns.tolist() == [1, 2]
