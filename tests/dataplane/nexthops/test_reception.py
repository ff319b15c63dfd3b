"""Test packets in user space: stamped, answered, counted, and refused where they are none."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path

import numpy as np
import pytest

from patronus.dataplane.linux import probing, records
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.probing import Samples, probing_of
from patronus.dataplane.linux.records import CounterPlace, Kind, Outcome
from patronus.dataplane.nexthops.dataplane import NexthopDataplane
from patronus.dataplane.nexthops.memory import Memory
from patronus.dataplane.nexthops.prober import Prober
from patronus.dataplane.stamp.batch import Batch
from patronus.dataplane.stamp.packet import Reflection
from patronus.dataplane.stamp.tlv import Drain, liveness_of
from patronus.engine.units import MS, SECOND
from tests.dataplane.nexthops.kit import SESSION, SIZES

ROWS = 2
HOME = IPv6Address("::1")


class End:
    """One end: its memory, its dataplane and its prober."""

    def __init__(self, folder: Path, name: str, opened: socket.socket, other: int) -> None:
        self.memory, self.socket = Memory(folder / name, SIZES), opened
        for row in range(ROWS):
            endpoint = Endpoint(
                kind=Kind.VXLAN, local=HOME, remote=HOME, local_port=1, remote_port=other,
                peer_row=row, session_in=SESSION + row, session_out=SESSION + row, mtu=1400,
                peer_site=1, ifindex=1,
            )  # fmt: skip
            write_endpoint(self.memory.tunnels, row, endpoint, detect_ns=10 * SECOND)
        self.plane = NexthopDataplane(self.memory, lambda hops: None, rows=SIZES.rows, classes=1)
        self.samples = Samples(self.memory.tunnels, self.memory.array("samples"))
        self.prober = Prober(self.memory, self.plane, opened)

    def probe(self, rows: int = ROWS) -> None:
        """Let probes of the first rows be due from now on, once."""
        every = np.arange(rows)
        now_ns = time.monotonic_ns()
        probing.schedule(
            self.memory.schedule, every, np.full(rows, 100 * SECOND), np.full(rows, 0), now_ns
        )
        self.memory.schedule["due_ns"][:rows] = now_ns

    def turn(self) -> None:
        self.prober.turn(time.monotonic_ns())

    def outcome(self, which: Outcome) -> int:
        return int(self.memory.array("counters")["packets"][CounterPlace.OUTCOME + which])


@contextmanager
def ends(folder: Path) -> Iterator[tuple[End, End]]:
    """Yield two ends that lead to each other."""
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_INET6, kind) as one, socket.socket(socket.AF_INET6, kind) as two:
        for each in (one, two):
            each.bind((str(HOME), 0))
        ports = [each.getsockname()[1] for each in (one, two)]
        yield End(folder, "one", one, ports[1]), End(folder, "two", two, ports[0])


def test_probes_are_answered_stamped_and_measured(tmp_path: Path) -> None:
    """Both tunnels are confirmed by their own probes, and each gives a sample."""
    with ends(tmp_path) as (one, two):
        one.probe()
        for end in (one, two, one):
            end.turn()
        assert (one.plane.confirmed_ns[:ROWS] > 0).all()
        assert (one.plane.since_ns[:ROWS] == one.plane.confirmed_ns[:ROWS]).all()
        # The far end has heard us; whether we hear it was not known when the probe left.
        assert (two.plane.heard_ns[:ROWS] > 0).all()
        assert not (two.plane.confirmed_ns[:ROWS] > 0).any()
        (columns,) = one.samples.drain()
        assert columns.rows.tolist() == [0, 1]
        assert (columns.arrived_ns - columns.sent_ns >= 0).all()
        assert (columns.arrived_ns - columns.sent_ns < SECOND).all()
        assert columns.sequence.tolist() == [0, 0]
        assert columns.heard_count.tolist() == [1, 1]
        assert one.outcome(Outcome.PROBE_RETURNED) == two.outcome(Outcome.PROBE_REFLECTED) == 2
        one.probe()
        for end in (one, two):
            end.turn()
        assert (two.plane.confirmed_ns[:ROWS] > 0).all(), "the H bit proves it to the far end"


def test_planned_moves_are_told_both_ways(tmp_path: Path) -> None:
    """Probes tell what their sender drains, reflections what we do."""
    with ends(tmp_path) as (one, two):
        one.memory.tunnels["drained"][0] = two.memory.tunnels["drained"][1] = 1
        one.memory.tunnels["drain_until_ns"][0] = time.monotonic_ns() + 100 * SECOND
        one.probe()
        for end in (one, two, one):
            end.turn()
        rows = np.arange(ROWS)
        assert probing.told(two.memory.tunnels, rows).drains.tolist() == [Drain.ASKED, 0]
        over = Drain.ASKED | Drain.OVERDUE
        assert probing.told(one.memory.tunnels, rows).drains.tolist() == [0, over]


def test_a_reflection_is_one_by_the_standard(tmp_path: Path) -> None:
    """What goes back reads as our own reader of RFC 8762 reads it."""
    with ends(tmp_path) as (one, two):
        one.probe(rows=1)
        one.turn()
        two.turn()
        data = one.socket.recv(2048)
        back = Reflection.parse(data[records.OVERLAY.itemsize :])
        assert (back.sequence, back.sender_sequence, back.ssid, back.sender_ttl) == (0, 0, 1, 255)
        assert back.sender_sent.time_ns <= back.received.time_ns <= back.reflected.time_ns
        told = liveness_of(back.tlvs)
        assert (told.hears, told.session, told.probes_heard) == (True, SESSION, 1)


def spoil_version(frame: bytearray) -> None:
    frame[0] = 0x24


def spoil_tunnel(frame: bytearray) -> None:
    frame[4:6] = (ROWS).to_bytes(2)


def spoil_row(frame: bytearray) -> None:
    frame[4:6] = b"\xff\xff"


def spoil_session(frame: bytearray) -> None:
    frame[19] ^= 1


def spoil_class(frame: bytearray) -> None:
    frame[2] = 2


def spoil_reflection(frame: bytearray) -> None:
    frame[2] = 1  # of a probe that was never sent


def spoil_tlv(frame: bytearray) -> None:
    frame[65] = 1


def shorten(frame: bytearray) -> None:
    del frame[-1]


def lengthen(frame: bytearray) -> None:
    frame += b"\0"


def empty(frame: bytearray) -> None:
    frame.clear()


@pytest.mark.parametrize(
    ("spoil", "outcome"),
    [
        (spoil_version, Outcome.DROP_BAD_HEADER),
        (empty, Outcome.DROP_BAD_HEADER),
        (spoil_tunnel, Outcome.DROP_BAD_TUNNEL),
        (spoil_row, Outcome.DROP_BAD_TUNNEL),
        (spoil_session, Outcome.DROP_BAD_SESSION),
        (spoil_class, Outcome.DROP_BAD_PROBE),
        (spoil_reflection, Outcome.DROP_BAD_PROBE),
        (spoil_tlv, Outcome.DROP_BAD_PROBE),
        (shorten, Outcome.DROP_BAD_PROBE),
        (lengthen, Outcome.DROP_BAD_PROBE),
    ],
)
def test_what_is_no_test_packet_moves_no_stamp(
    tmp_path: Path, spoil: object, outcome: Outcome
) -> None:
    """Each is counted under its reason, and gets no answer; a sound one beside it does."""
    assert callable(spoil)
    with ends(tmp_path) as (one, two):
        batch = Batch(one.memory.tunnels[:ROWS])
        batch.fill(np.arange(ROWS), time.monotonic_ns())
        bad = bytearray(batch.frames[0].tobytes())
        spoil(bad)
        for frame in (bytes(bad), batch.frames[1].tobytes()):
            one.socket.sendto(frame, two.socket.getsockname())
        before = two.memory.tunnels[0].copy()
        two.turn()
        assert two.outcome(outcome) == 1
        assert two.memory.tunnels[0] == before
        assert two.outcome(Outcome.PROBE_REFLECTED) == 1
        assert len(one.socket.recv(2048)) == len(batch.frames[0].tobytes())
        with pytest.raises(BlockingIOError):
            one.socket.recv(2048)


def test_another_address_is_another_peer(tmp_path: Path) -> None:
    """A packet whose source is not the tunnel's peer is refused, however right it is."""
    with ends(tmp_path) as (one, two):
        two.memory.tunnels["remote"][0] = 7
        one.probe(rows=1)
        one.turn()
        two.turn()
        assert two.outcome(Outcome.DROP_BAD_ADDRESS) == 1
        assert two.outcome(Outcome.PROBE_REFLECTED) == 0


def test_several_packets_of_one_tunnel_are_taken_in_their_order(tmp_path: Path) -> None:
    """What waited together counts as if it had come one by one."""
    with ends(tmp_path) as (one, two):
        for _ in range(5):
            one.probe(rows=1)
            one.turn()
        two.turn()
        assert int(probing_of(two.memory.tunnels)["heard"][0]) == 5
        assert int(two.memory.tunnels["sequence"][0]) == 4
        one.turn()
        taken = [int(columns.sequence[0]) for columns in one.samples.drain()]
        assert taken == [0, 1, 2, 3, 4]


def test_turns_gather_what_comes(tmp_path: Path) -> None:
    """They lie a sixth of the shortest detect time apart, within bounds."""
    with ends(tmp_path) as (one, _):
        for detect_ms, rest_ms in ((6, 5), (30, 5), (60, 10), (600, 20)):
            one.memory.tunnels["detect_ns"][0] = detect_ms * MS
            assert one.prober.rest_ns() == rest_ms * MS
