"""The control socket's text: what we write is what we read, and rubbish never does harm."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.spec import Endpoint
from patronus.dataplane.tunnels.uapi import (
    GET,
    BadReply,
    ReplyReader,
    check_set,
    parse_get,
    set_request,
)
from patronus.dataplane.tunnels.wgdevice import PeerChange, WgChange, WgDevice
from tests.dataplane.tunnels.strategies import devices

KEY = bytes(range(32))
PEER = bytes(range(32, 64))


def reply(device: WgDevice) -> bytes:
    """Write a device as wireguard-go does."""
    lines = []
    if any(device.private_key):
        lines.append(f"private_key={device.private_key.hex()}")
    lines.append(f"listen_port={device.port}")
    if device.mark:
        lines.append(f"fwmark={device.mark}")
    for peer in device.peers:
        lines.append(f"public_key={peer.public_key.hex()}")
        lines.append(f"preshared_key={(peer.preshared_key or bytes(32)).hex()}")
        lines.append("protocol_version=1")
        if peer.endpoint:
            lines.append(f"endpoint={peer.endpoint}")
        lines.append(f"last_handshake_time_sec={peer.handshake_ns // 10**9}")
        lines.append(f"last_handshake_time_nsec={peer.handshake_ns % 10**9}")
        lines.append(f"tx_bytes={peer.tx_bytes}")
        lines.append(f"rx_bytes={peer.rx_bytes}")
        lines.append(f"persistent_keepalive_interval={peer.keepalive_s}")
        lines.extend(f"allowed_ip={prefix}" for prefix in peer.allowed)
    return "".join(f"{line}\n" for line in [*lines, "errno=0", ""]).encode()


@given(devices)
def test_a_device_is_read_as_it_was_written(device: WgDevice) -> None:
    """Every field of every peer survives, whatever the order of the allowed addresses."""
    assert parse_get(reply(device)) == device


@given(devices, st.lists(st.integers(1, 400), min_size=1))
def test_a_reply_may_come_in_pieces(device: WgDevice, cuts: list[int]) -> None:
    """However the socket cuts a reply, it is whole exactly at its end."""
    text, reader, at = reply(device), ReplyReader(), 0
    for size in cuts * len(text):
        piece = text[at : at + size]
        at += len(piece)
        got = reader.feed(piece)
        assert (got is not None) == (at == len(text))
        if got is not None:
            assert got == text
            break


@given(st.binary(max_size=400))
def test_rubbish_is_one_clear_error(data: bytes) -> None:
    """Bytes that are no reply raise BadReply and nothing else."""
    for parse in (parse_get, check_set):
        try:
            parse(data)
        except BadReply:
            continue
        assert data.endswith(b"errno=0\n\n")


@given(devices, st.data())
def test_a_damaged_reply_is_refused_or_harmless(device: WgDevice, data: st.DataObject) -> None:
    """One changed, missing or repeated stretch of a reply raises BadReply or reads as something."""
    text = reply(device)
    at = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(at, len(text)))
    middle = data.draw(st.binary(max_size=4) | st.just(text[at:end] * 2))
    try:
        read = parse_get(text[:at] + middle + text[end:])
    except BadReply:
        return
    assert 0 <= read.port <= 65_535
    assert all(len(peer.public_key) == 32 for peer in read.peers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without an end"),
        ("listen_port=1\n\n", "whose last line is not errno"),
        ("errno=0\nlisten_port=1\n\n", "whose last line is not errno"),
        ("errno=0\nerrno=0\n\n", "whose last line is not errno"),
        ("errno=98\n\n", "refused with errno 98"),
        ("errno=-22\n\n", "refused with errno -22"),
        ("listen_port=65536\nerrno=0\n\n", "not one of 0 to 65535"),
        ("listen_port=²\nerrno=0\n\n", "not ASCII"),
        ("listen_port=1\nlisten_port=2\nerrno=0\n\n", "listen_port twice"),
        ("private_key=abc\nerrno=0\n\n", "not 64 digits of hex"),
        ("nonsense\nerrno=0\n\n", "not key=value"),
        (f"public_key={KEY.hex()}\nendpoint=there\nerrno=0\n\n", "not address:port"),
        (f"public_key={KEY.hex()}\nallowed_ip=10.0.0.1/8\nerrno=0\n\n", "not a prefix"),
        (f"public_key={KEY.hex()}\nrx_bytes=1\nrx_bytes=1\nerrno=0\n\n", "rx_bytes twice"),
        ("public_key=\nerrno=0\n\n", "without a key"),
    ],
)
def test_each_kind_of_bad_reply_is_named(text: str, message: str) -> None:
    """The message says what is wrong, and never holds a key."""
    with pytest.raises(BadReply, match=message) as told:
        parse_get(text.encode())
    assert KEY.hex() not in str(told.value)


def test_more_than_a_reply_is_refused() -> None:
    """Text behind the end of a reply is no second reply."""
    with pytest.raises(BadReply, match="behind the end"):
        ReplyReader().feed(b"errno=0\n\nerrno=0\n\n")
    with pytest.raises(BadReply, match="unexpected listen_port"):
        check_set(b"listen_port=1\nerrno=0\n\n")
    check_set(b"errno=0\n\n")


def test_a_change_is_written_line_by_line() -> None:
    """The request holds what changes and nothing else."""
    assert GET == b"get=1\n\n"
    assert set_request(WgChange()) == b"set=1\n\n"
    peer = PeerChange(
        public_key=PEER,
        preshared_key=KEY,
        endpoint=Endpoint(ip_address("2001:db8::1"), 7),
        keepalive_s=0,
        allowed=frozenset({ip_network("172.31.0.2/32"), ip_network("fd00::2/128")}),
    )
    gone = PeerChange(public_key=KEY, remove=True, keepalive_s=3)
    change = WgChange(private_key=KEY, port=0, mark=5, peers=(gone, peer))
    assert set_request(change).decode().splitlines() == [
        "set=1",
        f"private_key={KEY.hex()}",
        "listen_port=0",
        "fwmark=5",
        f"public_key={KEY.hex()}",
        "remove=true",
        f"public_key={PEER.hex()}",
        f"preshared_key={KEY.hex()}",
        "endpoint=[2001:db8::1]:7",
        "persistent_keepalive_interval=0",
        "replace_allowed_ips=true",
        "allowed_ip=172.31.0.2/32",
        "allowed_ip=fd00::2/128",
        "",
    ]
    assert KEY.hex() not in repr(replace(change, peers=(peer,)))
    assert repr(KEY) not in repr(PeerState(public_key=PEER, preshared_key=KEY))
    assert repr(KEY) not in repr(WgDevice(private_key=KEY))
