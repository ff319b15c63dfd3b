"""The Linux dataplane: it behaves as the fake does, and a switch of its table is atomic."""

import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scapy.layers.inet import IP, UDP

from patronus.dataplane.linux.dataplane import GRACE_NS, LinuxDataplane
from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import Outcome
from patronus.dataplane.linux.words import unpack
from patronus.dataplane.protocol import Dataplane
from patronus.engine.fastpath import Counter, Verdict
from patronus.engine.forwarding import NO_ROW, EntrySpace, ForwardingDelta
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, MS, SECOND
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
from tests.dataplane.linux.kit import Kit, lan, outer, wrapped

pytestmark = pytest.mark.root

SHAPE = Shape([0, 0, 0], EntrySpace(sites=1, destinations=2, classes=1))
FRAMES = [bytes(lan(IP(src="10.0.0.7", dst=f"10.{d + 1}.0.9") / UDP())) for d in range(2)]
INNER = IP(src="10.1.0.9", dst="10.9.0.7") / UDP()
ROUTES = {"10.1.0.0/16": Target(0), "10.2.0.0/16": Target(1), "10.9.0.0/16": Target(0, True)}


class LinuxRig:
    """The kernel: proofs and cuts are packets of the peers, and packets make the moves."""

    def __init__(self, kit: Kit, history: History) -> None:
        kit.clear()
        kit.route(ROUTES)
        kit.settings["hold_ns"], kit.settings["stale_after_ns"] = history.hold, SECOND
        self.kit = kit
        self.plane = LinuxDataplane(kit.pins, rows=len(history.detect), classes=1)
        self.endpoints = [
            kit.tunnel(row, up=False, detect_ns=detect) for row, detect in enumerate(history.detect)
        ]
        self.sequence = 0

    def begin(self, start: int, end: int) -> None:
        """Nothing is done in bulk here."""

    def instant(self, at: int, cuts: list[int], proofs: list[int]) -> None:
        now = self.kit.at(BASE + at)
        for rows, hears in ((cuts, False), (proofs, True)):
            self.sequence += 1
            for row in rows:
                frame = wrapped(
                    self.endpoints[row], row, INNER, sequence=self.sequence, hears=hears
                )
                assert self.kit.run("tunnel_ether", frame).outcome is Outcome.DELIVER_STACK
            self.settle(now)

    def set_agent(self, site: int, *, stale: bool, now_ns: int) -> None:
        self.plane.heartbeat(now_ns)
        if stale:
            self.kit.settings["heartbeat_ns"] = LONG_AGO

    def settle(self, now_ns: int) -> None:
        for frame in FRAMES:
            self.kit.run("steer_lan", frame)

    def where_many(self, entries: I64, now_ns: int) -> list[Verdict]:
        return verdicts(*self.plane.where_many(entries, now_ns))

    def used(self) -> list[int]:
        used: list[int] = self.plane.used[: len(FRAMES)].tolist()
        return used


def test_the_kernel_behaves_as_the_fake_does(kit: Kit) -> None:
    """The same lives, the same oracle as for the dataplane in memory, with real packets."""

    @settings(max_examples=60)
    @given(histories(SHAPE))
    def alike(history: History) -> None:
        holds(LinuxRig(kit, history), history)

    alike()


@pytest.fixture
def plane(kit: Kit) -> LinuxDataplane:
    """Return a dataplane with three tunnels that are up and confirmed for long."""
    kit.route(ROUTES)
    for row in range(3):
        kit.tunnel(row, detect_ns=1000 * SECOND)
    return LinuxDataplane(kit.pins, rows=3, classes=1, wait=lambda _: None)


def where(kit: Kit, destination: int = 0) -> int:
    """Return the tunnel that a packet takes."""
    return outer(kit.run("steer_lan", FRAMES[destination]))[1].tunnel - 100


def test_it_is_a_dataplane(plane: LinuxDataplane) -> None:
    """The type checker accepts it wherever the protocol is asked for."""
    seen: Dataplane = plane
    assert seen.where(0, 0) == Verdict(NO_ROW, Counter.NO_PATH)


def test_a_table_switches_as_a_whole(kit: Kit, plane: LinuxDataplane) -> None:
    """Stopped before any line of the switch, every packet sees the old table or the new one."""
    plane.apply(both(0), kit.now_ns)
    seen = []

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is LinuxDataplane._switch.__code__:
            seen.append((where(kit), where(kit, 1)))
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        plane.apply(both(1), kit.now_ns + 1)
    finally:
        sys.settrace(before)
    assert len(seen) > 8
    switched = seen.index((1, 1))
    assert seen == [(0, 0)] * switched + [(1, 1)] * (len(seen) - switched)
    assert (where(kit), where(kit, 1)) == (1, 1)
    assert len(plane.events(0)) == 0


def both(row: int) -> ForwardingDelta:
    return ForwardingDelta(
        generation=row,
        entries=np.array([0, 1]),
        rows=np.full((2, 3), row, dtype=np.int32),
        drop=np.zeros(2, dtype=np.bool_),
        shared_fate=np.zeros(2, dtype=np.bool_),
    )


def test_entries_that_do_not_change_stay(kit: Kit, plane: LinuxDataplane) -> None:
    """A switch carries the rest of the table over."""
    plane.apply(both(2), kit.now_ns)
    plane.apply(delta(1, (1, NO_ROW, NO_ROW), drop=False, generation=9), kit.now_ns)
    assert (where(kit), where(kit, 1)) == (2, 1)
    plane.apply(delta(0, (0, NO_ROW, NO_ROW), drop=False, generation=10), kit.now_ns)
    assert (where(kit), where(kit, 1)) == (0, 1)


def test_a_bank_rests_after_a_switch(kit: Kit) -> None:
    """Two switches in a row are a grace period apart; later ones need not wait."""
    waits: list[float] = []
    plane = LinuxDataplane(kit.pins, rows=3, classes=1, wait=waits.append)
    now = kit.now_ns
    for at in (now, now + GRACE_NS // 4, now + 5 * GRACE_NS):
        plane.apply(both(0), at)
    assert waits == [0.00075]


def test_a_new_agent_finds_what_is_in_force(kit: Kit, plane: LinuxDataplane) -> None:
    """Table, latches and moves outlive the process that wrote them."""
    plane.apply(delta(0, (0, 1, NO_ROW), drop=False), kit.now_ns)
    kit.kill(0)
    assert where(kit) == 1
    again = LinuxDataplane(kit.pins, rows=3, classes=1)
    assert again.where(0, kit.now_ns) == Verdict(1, Counter.BACKUP)
    assert again.latched.tolist() == [True, False, False]
    assert moves(again.events(0)) == [(kit.now_ns, 0, 0, 1)]
    assert again.generation == plane.generation == 1


def test_a_booking_that_never_came_into_force_is_harmless(kit: Kit, plane: LinuxDataplane) -> None:
    """An agent killed before the last store: packets stay, and the next switch works."""
    plane.apply(delta(0, (0, 1, NO_ROW), drop=False), kit.now_ns)
    ahead = (plane.generation + 1) << 32
    kit.used.view(np.uint64)[0] = ahead | 2
    assert where(kit) == 0
    assert kit.used["row"][0] == 2
    plane.apply(delta(0, (1, 0, NO_ROW), drop=False), kit.now_ns)
    assert where(kit) == 1
    kit.kill(1)
    assert where(kit) == 0
    assert moves(plane.events(0)) == [(kit.now_ns, 0, 1, 0)]


def test_a_full_ring_loses_the_newest_and_counts_them(kit: Kit, plane: LinuxDataplane) -> None:
    """Moves that find no room leave gaps in the numbers, and are counted."""
    plane.apply(delta(0, (0, 1, NO_ROW), drop=False), kit.now_ns)
    for _ in range(600):
        kit.kill(0)
        where(kit)
        kit.confirm(0)
        where(kit)
    first = plane.events(0)
    assert first.numbers.tolist() == list(range(len(first)))
    assert len(first) + first.lost == 1200
    assert first.lost == 1200 - (1024 - 64)
    kit.kill(0)
    where(kit)
    second = plane.events(0)
    assert (second.numbers.tolist(), second.lost) == ([1200], first.lost)


def test_transit_bits_follow_the_homes_of_destinations(kit: Kit) -> None:
    """A candidate is direct if its peer announces the destination."""
    for row in range(3):
        kit.tunnel(row, peer_site=row + 5)
    homes = np.array([[6, 6], [5, 7]])
    plane = LinuxDataplane(kit.pins, rows=3, classes=1, homes=homes)
    change = ForwardingDelta(
        generation=1,
        entries=np.array([0, 1]),
        rows=np.array([[0, 1, 2], [2, 1, NO_ROW]], dtype=np.int32),
        drop=np.zeros(2, dtype=np.bool_),
        shared_fate=np.zeros(2, dtype=np.bool_),
    )
    plane.apply(change, kit.now_ns)
    assert unpack(plane.words[:2]).direct.tolist() == [[False, True, False], [True, False, False]]


def test_shares_survive_a_change_of_rows(kit: Kit, plane: LinuxDataplane) -> None:
    """Weights are set apart from candidates, and each leaves the other alone."""
    plane.apply(both(0), kit.now_ns)
    plane.set_shares(np.array([1]), np.array([[3, 4]]), kit.now_ns)
    plane.apply(both(1), kit.now_ns)
    assert unpack(plane.words[:2]).shares.tolist() == [[0, 0], [3, 4]]


def test_a_longer_detect_time_raises_no_dead(kit: Kit, plane: LinuxDataplane) -> None:
    """A tunnel that was silent by the old detect time does not come back by a new one."""
    kit.tunnel(0, detect_ns=10 * MS)
    plane.apply(delta(0, (0, 1, NO_ROW), drop=False), kit.now_ns)
    kit.at(kit.now_ns + 20 * MS)
    plane.set_detect(np.array([0]), np.array([SECOND]), kit.now_ns)
    assert where(kit) == 1
