"""What the agent makes of searches: kept, lowered on proof, raised; real sockets, times given."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from patronus.control.agent.meeting import Lane, Where
from patronus.control.agent.pathmtu import PathMtus
from patronus.dataplane.tunnels.pmtu import PMTU_RAISE_TIMER_NS
from patronus.dataplane.tunnels.pmtuprobe import FORMAT, MAGIC, PROBE
from patronus.engine.units import MS, SECOND

HEADERS = 28


@dataclass
class Peer:
    """One tunnel, and its far end, which answers what its path lets through."""

    mtu: int | None = None
    """Configured."""
    path: int = 1500
    interface: int = 1500
    now_ns: int = SECOND
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.near, self.far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for end in (self.near, self.far):
            end.bind(("127.0.0.1", 0))
            end.setblocking(False)
        self.where = Where(*self.far.getsockname())
        transport = SimpleNamespace(name="wan", mtu=self.mtu)
        layout = cast("Any", SimpleNamespace(lanes=[SimpleNamespace(transport=transport)]))
        self.sizes = PathMtus(layout, np.zeros(1, dtype=np.int64))
        self.sizes.open("wan", 4, self.near)
        self.lane = Lane(0, "peer", "wan", b"", self.where, fixed=True, proven=1)
        self.follow()

    def follow(self) -> None:
        ground = cast("Any", SimpleNamespace(pmtu=lambda _: self.interface))
        self.sizes.follow([self.lane], ground, self.now_ns)

    def run(self, seconds: float) -> None:
        """Let time pass, with answers after a millisecond."""
        end_ns = self.now_ns + int(seconds * SECOND)
        while (due_ns := self.sizes.next_deadline()) <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self.sizes.poll(self.now_ns)
            self.answer()
        self.now_ns = end_ns

    def answer(self) -> None:
        while True:
            try:
                data = self.far.recv(65_535)
            except BlockingIOError:
                return
            self.asked.append(len(data) + HEADERS)
            if len(data) + HEADERS <= self.path:
                magic, _, *rest = FORMAT.unpack_from(data)
                said = FORMAT.pack(magic, 2, *rest)
                assert self.sizes.take("wan", said, self.where, self.now_ns + MS)

    @property
    def known(self) -> int:
        return int(self.sizes.mtus[0])

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Yield a tunnel whose path has been found to take what its interface takes."""
    made = Peer()
    made.run(3)
    assert made.known == 1500
    yield made
    made.close()


def test_a_path_like_its_interface_is_never_used_with_less(peer: Peer) -> None:
    """The base that is asked first changes nothing."""
    assert (int(peer.sizes.lowered[0]), int(peer.sizes.raised[0])) == (0, 0)
    assert peer.sizes.state(0) == "search_complete"


def test_a_suspected_black_hole_is_lowered_and_raised_again(peer: Peer) -> None:
    """Lowered within a second, to the byte soon after; ten minutes later it is tried again."""
    peer.path = 1400
    peer.sizes.suspect(np.array([0]), peer.now_ns)
    peer.run(1)
    assert peer.known < 1400
    peer.run(4)
    assert peer.known == 1400
    assert peer.sizes.changed().tolist() == [0]
    peer.path = 1500
    peer.run(PMTU_RAISE_TIMER_NS / SECOND + 10)
    assert peer.known == 1500
    assert int(peer.sizes.lowered[0]) == 1
    assert int(peer.sizes.raised[0]) >= 1


def test_an_idle_black_hole_is_found_within_ten_seconds(peer: Peer) -> None:
    """Nobody suspects anything."""
    peer.path = 1300
    peer.run(10)
    assert 1280 <= peer.known <= 1300


def test_an_outage_changes_nothing(peer: Peer) -> None:
    """While nothing passes, and after it."""
    peer.path = 0
    peer.run(30)
    assert peer.known == 1500
    peer.path = 1500
    peer.run(30)
    assert (peer.known, int(peer.sizes.lowered[0])) == (1500, 0)


def test_another_interface_mtu_begins_anew(peer: Peer) -> None:
    """It is a bound at once for the rows, and the search agrees."""
    peer.interface = 1400
    peer.follow()
    peer.run(3)
    assert peer.known == 1400


def test_a_configured_size_is_not_searched_and_peers_are_answered() -> None:
    """The peer may have to search, whatever we do."""
    peer = Peer(mtu=1400)
    peer.run(5)
    assert (peer.asked, peer.known, peer.sizes.state(0)) == ([], 0, "fixed")
    probe = FORMAT.pack(MAGIC, PROBE, FORMAT.size + HEADERS, 1, 7)
    assert peer.sizes.take("wan", probe, peer.where, peer.now_ns)
    assert peer.far.recv(100)[4] == 2
    peer.close()


def test_what_was_found_outlives_the_socket(peer: Peer) -> None:
    """An address that changes closes it; strangers are counted over all sockets."""
    probe = FORMAT.pack(MAGIC, PROBE, FORMAT.size + HEADERS, 1, 7)
    assert peer.sizes.take("wan", probe, Where("127.0.0.9", 9), peer.now_ns)
    peer.sizes.close("wan", 4)
    assert peer.sizes.counts == {"unknown peer": 1}
    assert (peer.known, peer.sizes.state(0)) == (1500, "unknown")
    assert not peer.sizes.take("wan", b"PAM1", peer.where, peer.now_ns)
