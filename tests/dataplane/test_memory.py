"""The dataplane in memory: every packet goes where the kernel's rule sends it."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from patronus.dataplane import memory
from patronus.dataplane.memory import MemoryDataplane
from patronus.dataplane.protocol import Dataplane
from patronus.engine import silence
from patronus.engine.fastpath import Counter, Verdict
from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.liveness import Input
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, MS, NEVER, SECOND
from tests.dataplane.behaviour import (
    BASE,
    History,
    Shape,
    delta,
    histories,
    holds,
    moves,
    verdicts,
)
from tests.mutants.harness import caught, mutant

SHAPE = Shape([0, 0, 0, 1, 1], EntrySpace(sites=2, destinations=2, classes=1))


class MemoryRig:
    """The dataplane in memory: a slot's stamps come in bulk, their edges one by one."""

    def __init__(self, module: ModuleType, history: History) -> None:
        self.history = history
        self.plane = module.MemoryDataplane(
            np.array(history.shape.source, dtype=np.int32), history.shape.space,
            detect_ns=np.array(history.detect), hold_ns=history.hold,
        )  # fmt: skip
        self.mute = np.ones(len(history.shape.source), dtype=np.bool_)
        self.edges: dict[tuple[int, int], list[int]] = {}

    def begin(self, start: int, end: int) -> None:
        self.edges = stamped(self.plane, self.mute, self.history, (start, end))

    def instant(self, at: int, cuts: list[int], proofs: list[int]) -> None:
        now = BASE + at
        if gone := self.edges.get((now, Input.EXPIRE)):
            self.plane.silence(gone, now)
        if back := self.edges.get((now, Input.CONFIRM)):
            self.plane.confirm(back, now)

    def set_agent(self, site: int, *, stale: bool, now_ns: int) -> None:
        self.plane.set_agent(site, stale=stale, now_ns=now_ns)

    def settle(self, now_ns: int) -> None:
        self.plane.advance(now_ns)

    def where_many(self, entries: I64, now_ns: int) -> list[Verdict]:
        return verdicts(*self.plane.where_many(entries, np.full(len(entries), now_ns)))

    def used(self) -> list[int]:
        used: list[int] = self.plane.used.tolist()
        return used


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
    state = plane.confirmed_ns, plane.detect_ns, mute, slice(0, len(history.detect))
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


@given(histories(SHAPE))
def test_packets_go_where_a_kernel_of_plain_records_sends_them(history: History) -> None:
    """At every instant, in slots of any width, routes and moves equal the scalar reference."""
    holds(MemoryRig(memory, history), history)


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
    assert caught(
        histories(SHAPE), lambda history: holds(MemoryRig(broken, history), history), examples=2000
    )


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
    assert plane.sites_with_events() == []
    plane.silence([0, 1], 30 * MS + 1)
    assert plane.sites_with_events() == [0]
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
    assert plane.sites_with_events() == []


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
