"""The dataplane of next-hop objects: it behaves as the fake does, as far as it can."""

import numpy as np
import pytest
from hypothesis import given, settings

from patronus.dataplane.linux import words
from patronus.dataplane.nexthops.dataplane import NexthopDataplane, through
from patronus.dataplane.protocol import Dataplane
from patronus.engine.fastpath import Counter, Verdict
from patronus.engine.forwarding import NO_ROW, EntrySpace, ForwardingDelta
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, MS, SECOND
from tests.dataplane.behaviour import BASE, History, Shape, delta, histories, holds, moves, verdicts
from tests.dataplane.nexthops.kit import ROWS, SIZES, Kit

pytestmark = pytest.mark.root

SHAPE = Shape([0, 0, 0], EntrySpace(sites=1, destinations=2, classes=1))


class NexthopRig:
    """The kernel's objects: proofs and cuts are packets as the prober takes them."""

    def __init__(self, kit: Kit, history: History) -> None:
        kit.begin(history.detect)
        self.kit = kit
        memory = kit.memory.array("settings")
        memory["hold_ns"], memory["stale_after_ns"] = history.hold, SECOND
        self.plane = plane_of(kit)
        self.plane.heartbeat(BASE)
        self.sequence = 0

    def begin(self, start: int, end: int) -> None:
        """Nothing is done in bulk here."""

    def instant(self, at: int, cuts: list[int], proofs: list[int]) -> None:
        for rows, hears in ((cuts, False), (proofs, True)):
            self.sequence += 1
            count = len(rows)
            self.plane.arrive(
                np.array(rows, dtype=np.int64), now_ns=BASE + at,
                sequence=np.full(count, self.sequence), hears=np.full(count, hears),
                reflection=np.zeros(count, dtype=np.bool_),
            )  # fmt: skip
            self.settle(BASE + at)

    def set_agent(self, site: int, *, stale: bool, now_ns: int) -> None:
        self.plane.heartbeat(now_ns)
        if stale:
            self.plane.settings["heartbeat_ns"] = LONG_AGO

    def settle(self, now_ns: int) -> None:
        self.plane.settle(now_ns)

    def where_many(self, entries: I64, now_ns: int) -> list[Verdict]:
        return verdicts(*self.plane.where_many(entries, now_ns))

    def used(self) -> list[int]:
        kernel = self.kit.carried(SHAPE.space.entries)
        assert kernel == self.plane.used[: SHAPE.space.entries].tolist()
        return kernel


def plane_of(kit: Kit, classes: int = 1) -> NexthopDataplane:
    return NexthopDataplane(
        kit.memory, through(kit.channel), rows=ROWS, classes=classes,
        wait=lambda _: None,
    )  # fmt: skip


def test_objects_of_the_kernel_behave_as_the_fake_does(kit: Kit) -> None:
    """The same lives, the same oracle; where packets go is read from the kernel's objects.

    What cannot hold is not asked: between two instants nothing moves by itself.
    """

    @settings(max_examples=60)
    @given(histories(SHAPE))
    def alike(history: History) -> None:
        holds(NexthopRig(kit, history), history)

    alike()


def test_it_is_a_dataplane(kit: Kit) -> None:
    """The type checker accepts it wherever the protocol is asked for."""
    kit.begin([0] * ROWS)
    seen: Dataplane = plane_of(kit)
    assert seen.where(0, 0) == Verdict(NO_ROW, Counter.NO_PATH)


def up(plane: NexthopDataplane, now_ns: int) -> None:
    """Let all tunnels be heard and free to carry."""
    every = np.arange(ROWS)
    plane.arrive(
        every, sequence=np.zeros(ROWS, dtype=np.int64), hears=np.ones(ROWS, dtype=np.bool_),
        reflection=np.ones(ROWS, dtype=np.bool_), now_ns=now_ns,
    )  # fmt: skip
    plane.heartbeat(now_ns)
    plane.clear_latch(every.tolist(), now_ns)


@pytest.mark.parametrize("entries", [1, 2])
def test_a_switch_is_two_system_calls(kit: Kit, entries: int) -> None:
    """Whatever the number of entries that one table changes."""
    kit.begin([SECOND] * ROWS)
    plane = plane_of(kit)
    up(plane, 0)
    for row in (0, 1):
        before = kit.channel.calls
        plane.apply(table(entries, row), row)
        assert kit.channel.calls - before == 2
        assert kit.carried(entries) == [row] * entries


def table(entries: int, row: int, classes: int = 1) -> ForwardingDelta:
    at = np.arange(entries)
    return ForwardingDelta(
        generation=1 + row, entries=at, rows=np.full((entries, 3), row, dtype=np.int32),
        drop=np.zeros(entries, dtype=np.bool_), shared_fate=np.zeros(entries, dtype=np.bool_),
    )  # fmt: skip


def test_each_class_has_objects_of_its_own(kit: Kit) -> None:
    """Entries of all classes carry, each by its own tunnel."""
    kit.begin([SECOND] * ROWS)
    plane = plane_of(kit, classes=2)
    up(plane, 0)
    plane.apply(delta(0, (0, 1, 2), drop=False), 0)
    plane.apply(delta(1, (2, 1, 0), drop=False), 1)
    assert kit.carried(2) == [0, 2]
    assert words.unpack(plane.words[:1]).rows.tolist() == [[0, 1, 2]]


def test_what_others_have_switched_is_seen(kit: Kit) -> None:
    """Agent and prober stand on one memory: each finds what the other one did."""
    kit.begin([10 * MS] * ROWS)
    agent, prober = plane_of(kit), plane_of(kit)
    up(agent, 0)
    agent.apply(delta(0, (0, 1, 2), drop=False), 0)
    assert prober.settle(0) == 0
    keep = np.array([1])
    prober.arrive(keep, sequence=np.array([1]), hears=np.array([True]),
                  reflection=np.array([False]), now_ns=9 * MS)  # fmt: skip
    assert prober.settle(11 * MS) == 1
    assert kit.carried(1) == [1]
    assert moves(agent.events(0)) == [(11 * MS, 0, 0, 1)]
    assert agent.where(0, 11 * MS) == Verdict(1, Counter.BACKUP)


def test_a_full_ring_loses_the_newest_and_counts_them(kit: Kit) -> None:
    """Nothing is overwritten; what did not find room is counted."""
    kit.begin([10 * MS] * ROWS)
    plane = plane_of(kit)
    up(plane, 0)
    plane.apply(delta(0, (0, 1, NO_ROW), drop=False), 0)
    now_ns, room = 0, SIZES.moves - 64
    for number in range(room + 6):
        now_ns += 20 * MS
        row = np.array([1 - number % 2])
        plane.arrive(row, sequence=np.array([number + 1]), hears=np.array([True]),
                     reflection=np.array([True]), now_ns=now_ns)  # fmt: skip
        plane.clear_latch(row.tolist(), now_ns)
        assert plane.settle(now_ns) == 1
    found = plane.events(0)
    assert (len(found), found.lost) == (room, 6)
    assert found.numbers.tolist() == list(range(room))
    assert len(plane.events(0)) == 0


def test_memory_outlives_who_has_opened_it(kit: Kit, tmp_path: object) -> None:
    """Opened again with the same sizes it is kept; with others it is made anew."""
    kit.begin([SECOND] * ROWS)
    again = type(kit.memory)(kit.memory.path, SIZES)
    assert again.kept
    assert again.tunnels["session_in"].tolist() == kit.memory.tunnels["session_in"].tolist()
    again.close()
    path = kit.memory.path.with_name("other")
    for sizes, kept in ((SIZES, False), (type(SIZES)(rows=8, entries=8, moves=128), False)):
        made = type(kit.memory)(path, sizes)
        assert made.kept is kept
        assert bool(made.tunnels["latched"].all())
        made.close()
