"""The kernel's WireGuard messages: values into attributes and back (linux/wireguard.h).

Written out here since pyroute2's ``WireGuard.set`` sends one peer a message and waits for each,
a second for a thousand peers; its own classes check this module in the tests. Pure: bytes in,
bytes out.
"""

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from patronus.dataplane.rtnetlink import attribute, attributes
from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.keys import KEY_BYTES
from patronus.dataplane.tunnels.spec import Endpoint, Prefix
from patronus.dataplane.tunnels.wgdevice import PeerChange, WgChange, WgDevice

FAMILY: Final = "wireguard"
VERSION: Final = 1
WG_CMD_GET_DEVICE: Final = 0
WG_CMD_SET_DEVICE: Final = 1

WGDEVICE_A_IFNAME, WGDEVICE_A_PRIVATE_KEY, WGDEVICE_A_LISTEN_PORT = 2, 3, 6
WGDEVICE_A_FWMARK, WGDEVICE_A_PEERS = 7, 8
WGPEER_A_PUBLIC_KEY, WGPEER_A_PRESHARED_KEY, WGPEER_A_FLAGS, WGPEER_A_ENDPOINT = 1, 2, 3, 4
WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, WGPEER_A_LAST_HANDSHAKE_TIME = 5, 6
WGPEER_A_RX_BYTES, WGPEER_A_TX_BYTES, WGPEER_A_ALLOWEDIPS = 7, 8, 9
WGALLOWEDIP_A_FAMILY, WGALLOWEDIP_A_IPADDR, WGALLOWEDIP_A_CIDR_MASK = 1, 2, 3
WGPEER_F_REMOVE_ME, WGPEER_F_REPLACE_ALLOWEDIPS = 1, 2
NLA_F_NESTED: Final = 0x8000

PEERS_BYTES_MAX: Final = 6_000
"""Of peers in one message; an attribute's length has 16 bits, and the kernel's page 4096."""

_IPV4: Final = struct.Struct("=H2s4s8x")
_IPV6: Final = struct.Struct("=H2s4x16s4x")


class BadMessage(Exception):
    """The kernel sent what linux/wireguard.h does not allow."""


def get_body(name: str) -> bytes:
    """Return the attributes of a question about a device."""
    return attribute(WGDEVICE_A_IFNAME, name.encode() + b"\0")


def set_bodies(name: str, change: WgChange) -> Iterator[bytes]:
    """Yield the attributes of each message that a change takes."""
    head = get_body(name)
    first = head
    if change.private_key is not None:
        first += attribute(WGDEVICE_A_PRIVATE_KEY, change.private_key)
    if change.port is not None:
        first += attribute(WGDEVICE_A_LISTEN_PORT, struct.pack("=H", change.port))
    if change.mark is not None:
        first += attribute(WGDEVICE_A_FWMARK, struct.pack("=I", change.mark))
    for group in _groups([_peer(peer) for peer in change.peers]):
        yield first + (_nested(WGDEVICE_A_PEERS, group) if group else b"")
        first = head


def _groups(peers: Iterable[bytes]) -> list[list[bytes]]:
    """Return the peers of each message; one message at least."""
    groups: list[list[bytes]] = [[]]
    size = 0
    for peer in peers:
        if groups[-1] and size + len(peer) > PEERS_BYTES_MAX:
            groups.append([])
            size = 0
        groups[-1].append(peer)
        size += len(peer)
    return groups


def _peer(peer: PeerChange) -> bytes:
    body = attribute(WGPEER_A_PUBLIC_KEY, peer.public_key)
    flags = WGPEER_F_REMOVE_ME if peer.remove else 0
    if peer.allowed is not None:
        flags |= WGPEER_F_REPLACE_ALLOWEDIPS
    if flags:
        body += attribute(WGPEER_A_FLAGS, struct.pack("=I", flags))
    if peer.preshared_key is not None:
        body += attribute(WGPEER_A_PRESHARED_KEY, peer.preshared_key)
    if peer.endpoint is not None:
        body += attribute(WGPEER_A_ENDPOINT, _sockaddr(peer.endpoint))
    if peer.keepalive_s is not None:
        interval = struct.pack("=H", peer.keepalive_s)
        body += attribute(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, interval)
    if peer.allowed is not None:
        prefixes = [_prefix(prefix) for prefix in sorted(peer.allowed, key=str)]
        body += _nested(WGPEER_A_ALLOWEDIPS, prefixes)
    return body


def _prefix(prefix: Prefix) -> bytes:
    family = socket.AF_INET if prefix.version == 4 else socket.AF_INET6
    return (
        attribute(WGALLOWEDIP_A_FAMILY, struct.pack("=H", family))
        + attribute(WGALLOWEDIP_A_IPADDR, prefix.network_address.packed)
        + attribute(WGALLOWEDIP_A_CIDR_MASK, struct.pack("=B", prefix.prefixlen))
    )


def _sockaddr(endpoint: Endpoint) -> bytes:
    port, packed = endpoint.port.to_bytes(2, "big"), endpoint.address.packed
    if endpoint.address.version == 4:
        return _IPV4.pack(socket.AF_INET, port, packed)
    return _IPV6.pack(socket.AF_INET6, port, packed)


def _nested(number: int, parts: Iterable[bytes]) -> bytes:
    """Return an attribute that holds a list: each part is one attribute of number 0."""
    inner = b"".join(attribute(NLA_F_NESTED, part) for part in parts)
    return attribute(NLA_F_NESTED | number, inner)


def parse_dump(bodies: Iterable[bytes]) -> WgDevice:
    """Return what the messages of one dump say.

    A device that does not fit into one message goes on in the next, and a peer whose allowed
    addresses do not fit is there again with the others.

    Raises:
        BadMessage: one of them is malformed.
    """
    device, peers = WgDevice(), dict[bytes, PeerState]()
    try:
        for body in bodies:
            found = dict(attributes(body, 0))
            device = replace(
                device,
                private_key=found.get(WGDEVICE_A_PRIVATE_KEY, device.private_key),
                port=_number(found.get(WGDEVICE_A_LISTEN_PORT), device.port),
                mark=_number(found.get(WGDEVICE_A_FWMARK), device.mark),
            )
            for _, value in attributes(found.get(WGDEVICE_A_PEERS, b""), 0):
                peer = _parsed_peer(value)
                before = peers.get(peer.public_key)
                if before is not None:
                    peer = replace(before, allowed=before.allowed | peer.allowed)
                peers[peer.public_key] = peer
    except (ValueError, struct.error) as error:
        raise BadMessage(f"the kernel's answer makes no sense: {error}") from None
    return replace(device, peers=tuple(peers.values()))


def _parsed_peer(body: bytes) -> PeerState:
    found = dict(attributes(body, 0))
    key = found.get(WGPEER_A_PUBLIC_KEY, b"")
    if len(key) != KEY_BYTES:
        raise BadMessage("the kernel names a peer without a key")
    preshared = found.get(WGPEER_A_PRESHARED_KEY, b"")
    seconds, nanoseconds = struct.unpack("=qq", found.get(WGPEER_A_LAST_HANDSHAKE_TIME, bytes(16)))
    endpoint = found.get(WGPEER_A_ENDPOINT)
    allowed = attributes(found.get(WGPEER_A_ALLOWEDIPS, b""), 0)
    return PeerState(
        public_key=key,
        preshared_key=preshared if any(preshared) else b"",
        endpoint=_parsed_endpoint(endpoint) if endpoint else None,
        allowed=frozenset(_parsed_prefix(value) for _, value in allowed),
        keepalive_s=_number(found.get(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL), 0),
        handshake_ns=seconds * 10**9 + nanoseconds,
        rx_bytes=_number(found.get(WGPEER_A_RX_BYTES), 0),
        tx_bytes=_number(found.get(WGPEER_A_TX_BYTES), 0),
    )


def _parsed_endpoint(value: bytes) -> Endpoint | None:
    family = struct.unpack_from("=H", value)[0]
    if family == socket.AF_INET:
        _, port, packed = _IPV4.unpack(value)
        return Endpoint(IPv4Address(packed), int.from_bytes(port, "big"))
    if family == socket.AF_INET6:
        _, port, packed = _IPV6.unpack(value)
        return Endpoint(IPv6Address(packed), int.from_bytes(port, "big"))
    return None


def _parsed_prefix(body: bytes) -> Prefix:
    found = dict(attributes(body, 0))
    address = ip_address(found.get(WGALLOWEDIP_A_IPADDR, b""))
    return ip_network((address, _number(found.get(WGALLOWEDIP_A_CIDR_MASK), 0)))


def _number(value: bytes | None, default: int) -> int:
    return default if value is None else int.from_bytes(value, "little")
