"""The kernel's WireGuard messages agree with pyroute2, which wrote them independently."""

import struct
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.genlwg import (
    PEERS_BYTES_MAX,
    BadMessage,
    get_body,
    parse_dump,
    set_bodies,
)
from patronus.dataplane.tunnels.spec import Endpoint
from patronus.dataplane.tunnels.wgdevice import PeerChange, WgChange, WgDevice
from tests.dataplane.tunnels.strategies import devices
from tests.dataplane.tunnels.wgkernel import body_of, decoded, encoded


@settings(max_examples=40)  # pyroute2 takes some ms a message
@given(devices)
def test_what_pyroute2_writes_is_read(device: WgDevice) -> None:
    """A dump of one message, written by pyroute2, is read field by field."""
    assert parse_dump([encoded("tn-x", device)]) == device


@settings(max_examples=40)  # pyroute2 takes some ms a message
@given(devices)
def test_what_we_write_pyroute2_reads(device: WgDevice) -> None:
    """A change that sets everything is read by pyroute2 as what was meant."""
    change = WgChange(
        private_key=device.private_key or None,
        port=device.port,
        mark=device.mark,
        peers=tuple(
            PeerChange(
                public_key=peer.public_key,
                preshared_key=peer.preshared_key or bytes(32),
                endpoint=peer.endpoint,
                keepalive_s=peer.keepalive_s,
                allowed=peer.allowed,
            )
            for peer in device.peers
        ),
    )
    (body,) = set_bodies("tn-x", change)
    name, read, flags = decoded(body)
    assert name == "tn-x"
    kept = [
        PeerState(
            public_key=peer.public_key,
            preshared_key=peer.preshared_key,
            endpoint=peer.endpoint,
            keepalive_s=peer.keepalive_s,
            allowed=peer.allowed,
        )
        for peer in device.peers
    ]
    assert read == WgDevice(
        private_key=device.private_key, port=device.port, mark=device.mark, peers=tuple(kept)
    )
    assert flags == [2] * len(kept)  # WGPEER_F_REPLACE_ALLOWEDIPS


def test_a_removal_says_nothing_else() -> None:
    """A peer that goes has its key and WGPEER_F_REMOVE_ME."""
    (body,) = set_bodies("tn-x", WgChange(peers=(PeerChange(public_key=b"k" * 32, remove=True),)))
    _, device, flags = decoded(body)
    assert (device.peers, flags) == ((PeerState(public_key=b"k" * 32),), [1])


def test_many_peers_go_in_many_messages() -> None:
    """A thousand peers fit into bounded messages, in order, the key and port in the first only."""
    allowed = frozenset({ip_network("172.31.0.2/32"), ip_network("fd00::2/128")})
    peers = tuple(
        PeerChange(public_key=i.to_bytes(32, "big"), allowed=allowed) for i in range(1, 1001)
    )
    bodies = list(set_bodies("tn-x", WgChange(private_key=b"p" * 32, port=5, peers=peers)))
    read = [decoded(body)[1] for body in bodies]
    assert [p.public_key for d in read for p in d.peers] == [p.public_key for p in peers]
    assert [d.port for d in read] == [5] + [0] * (len(read) - 1)
    assert max(map(len, bodies)) < PEERS_BYTES_MAX + 200
    assert 1 < len(bodies) < 40


def test_a_dump_in_many_messages_is_one_device() -> None:
    """A device goes on in the next message, and so does a peer with many addresses."""
    one, two = (frozenset({ip_network(f"10.0.0.{i}/32")}) for i in (1, 2))
    endpoint = Endpoint(ip_address("192.0.2.1"), 9)
    first = WgDevice(
        private_key=b"p" * 32,
        port=5,
        mark=6,
        peers=(PeerState(public_key=b"k" * 32, allowed=one, endpoint=endpoint, rx_bytes=7),),
    )
    rest = WgDevice(
        peers=(PeerState(public_key=b"k" * 32, allowed=two), PeerState(public_key=b"l" * 32))
    )
    bodies = [encoded("tn-x", first), encoded("tn-x", rest, whole=False)]
    device = parse_dump(bodies)
    assert (device.port, device.mark, device.private_key) == (5, 6, b"p" * 32)
    assert [p.public_key for p in device.peers] == [b"k" * 32, b"l" * 32]
    assert device.peers[0].allowed == one | two
    assert (device.peers[0].endpoint, device.peers[0].rx_bytes) == (endpoint, 7)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_rubbish_is_one_clear_error(bodies: list[bytes]) -> None:
    """Bytes that are no message raise BadMessage or mean nothing."""
    try:
        read = parse_dump(bodies)
    except BadMessage:
        return
    assert all(len(peer.public_key) == 32 for peer in read.peers)


@settings(max_examples=60)  # pyroute2 takes some ms a message
@given(devices, st.data())
def test_a_damaged_message_does_no_harm(device: WgDevice, data: st.DataObject) -> None:
    """A changed stretch of a message raises BadMessage or reads as something."""
    body = encoded("tn-x", device)
    at = data.draw(st.integers(0, len(body) - 1))
    end = data.draw(st.integers(at, len(body)))
    try:
        read = parse_dump([body[:at] + data.draw(st.binary(max_size=6)) + body[end:]])
    except BadMessage:
        return
    assert all(len(peer.public_key) == 32 for peer in read.peers)


def test_the_question_names_the_device() -> None:
    """The body of a question is the interface's name, ended by a zero and padded."""
    assert get_body("tn-x") == struct.pack("=HH", 9, 2) + b"tn-x\0\0\0\0"
    with pytest.raises(BadMessage, match="without a key"):
        parse_dump([body_of({"peers": [{"attrs": [("WGPEER_A_RX_BYTES", 5)]}]})])
