"""Frames of many probes, beside our own reading of single ones."""

import socket

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.linux import records
from patronus.dataplane.linux.probing import Records, probing_of
from patronus.dataplane.stamp.batch import Batch
from patronus.dataplane.stamp.packet import Probe
from patronus.dataplane.stamp.tlv import NEVER_HEARD, Drain, liveness_of
from patronus.engine.units import LONG_AGO, MS, SECOND

ROWS = 3


def table(port: int = 9, address: str = "127.0.0.1") -> Records:
    tunnels: Records = records.zeros(records.TUNNEL, ROWS)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address).ljust(16, b"\0")
    tunnels["remote"] = np.frombuffer(packed, dtype=np.uint8)
    tunnels["flags"] = records.TunnelFlag.IN_USE | (
        records.TunnelFlag.IPV6 if family == socket.AF_INET6 else 0
    )
    tunnels["remote_port"], tunnels["peer_id"] = port, [7, 8, 9]
    tunnels["session_out"] = 2**63 + np.arange(ROWS, dtype=np.uint64)
    tunnels["heard_ns"], tunnels["detect_ns"] = LONG_AGO, 30 * MS
    return tunnels


@given(
    now_ns=st.integers(SECOND, 2**55),
    age_ns=st.integers(0, 60 * MS),
    counts=st.lists(st.integers(0, 2**64 - 2), min_size=5, max_size=5),
)
def test_frames_say_what_the_records_say(now_ns: int, age_ns: int, counts: list[int]) -> None:
    """A frame reads as the probe and the liveness of its row, counters cut to 32 bits."""
    tunnels = table()
    probing = probing_of(tunnels)
    tunnels["heard_ns"][1] = now_ns - age_ns
    tunnels["tx_sequence"][1], probing["sent"][1], probing["heard"][1] = counts[:3]
    tunnels["tx_packets"][1, 0], probing["in_data"][1] = counts[3:]
    probing["in_probes"][1] = 5
    batch = Batch(tunnels)
    batch.fill(np.array([1]), now_ns)

    data = batch.frames[1].tobytes()
    overlay = np.frombuffer(data[:20], dtype=records.OVERLAY)[0]
    probe = Probe.parse(data[20:])
    liveness = liveness_of(probe.tlvs)
    low = [count % 2**32 for count in counts]
    assert (overlay["version_inner"], overlay["tunnel"], overlay["class"]) == (0x11, 8, 0)
    assert (overlay["flags"] != 0) == liveness.hears == (age_ns <= 30 * MS)
    assert int(overlay["sequence"]) == liveness.sequence == low[0]
    assert (probe.sequence, probe.ssid, probe.sent.time_ns) == (low[1], 2, now_ns)
    assert liveness.session == 2**63 + 1
    assert (liveness.probes_sent, liveness.probes_told) == ((low[1] + 1) % 2**32, 5)
    assert (liveness.probes_heard, liveness.data_sent) == (low[2], low[3])
    assert (liveness.data_told, liveness.data_heard) == divmod(counts[4], 2**32)
    assert liveness.heard_age_us == age_ns // 1000
    assert int(probing["sent"][1]) == counts[1] + 1
    assert int(tunnels["tx_sequence"][1]) == counts[0] + 1
    assert not batch.frames[[0, 2]]["number"].any()


def test_a_peer_never_heard_has_no_age() -> None:
    """Before anything came the age is unknown, and H is clear."""
    batch = Batch(table())
    batch.fill(np.arange(ROWS), SECOND)
    for frame in batch.frames:
        liveness = liveness_of(Probe.parse(frame.tobytes()[20:]).tlvs)
        assert (liveness.hears, liveness.heard_age_us) == (False, NEVER_HEARD)


def test_a_planned_move_is_told_in_every_probe() -> None:
    """Whoever drains a tunnel says so, and when its deadline is over."""
    tunnels = table()
    tunnels["drained"][1:], tunnels["drain_until_ns"] = 1, (SECOND, SECOND, 2 * SECOND)
    batch = Batch(tunnels)
    batch.fill(np.arange(ROWS), SECOND)
    said = [liveness_of(Probe.parse(f.tobytes()[20:]).tlvs).drain for f in batch.frames]
    assert said == [Drain(0), Drain.ASKED | Drain.OVERDUE, Drain.ASKED]


def test_one_call_sends_to_all_rows() -> None:
    """Frames reach the addresses of their rows, over IPv4 and IPv6."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with (
            socket.socket(family, socket.SOCK_DGRAM) as there,
            socket.socket(family, socket.SOCK_DGRAM) as here,
        ):
            there.bind((address, 0))
            there.settimeout(10)
            batch = Batch(table(there.getsockname()[1], address))
            rows = np.array([0, 2])
            batch.fill(rows, SECOND)
            assert batch.send(rows, here.fileno()) == 2
            assert [there.recv(2048) for _ in rows] == [batch.frames[r].tobytes() for r in rows]


def test_what_cannot_go_keeps_nothing_back() -> None:
    """A row without a way is left out and the others go."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
    ):
        there.bind(("127.0.0.1", 0))
        there.settimeout(10)
        tunnels = table(there.getsockname()[1])
        tunnels["remote_port"][1] = 0  # EINVAL
        batch = Batch(tunnels)
        batch.fill(np.arange(ROWS), SECOND)
        assert batch.send(np.arange(ROWS), here.fileno()) == 2
        assert {there.recv(2048)[4:6] for _ in range(2)} == {b"\0\x07", b"\0\x09"}
