"""A kernel's WireGuard at the other end of a socket, built on pyroute2's reading of the header.

This machine's kernel has no WireGuard, so the back end's requests meet this one: it keeps
devices as the kernel's ``netlink.c`` does, answers in several messages, and refuses in errno.
"""

import errno
import socket
import struct
import threading
from base64 import b64decode, b64encode
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from pyroute2.netlink.generic.wireguard import wgmsg

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.spec import Endpoint, Prefix
from patronus.dataplane.tunnels.wgdevice import WgDevice

FAMILY = 0x25
HEADER = 20
REMOVE_ME, REPLACE_ALLOWEDIPS = 1, 2


def encoded(name: str, device: WgDevice, *, whole: bool = True) -> bytes:
    """Return the attributes of a device, written by pyroute2; not whole: it goes on from before."""
    fields: dict[str, Any] = {"ifname": name, "peers": [_peer_attrs(p) for p in device.peers]}
    if whole:
        fields |= {"listen_port": device.port, "fwmark": device.mark}
        if device.private_key:
            fields["private_key"] = b64encode(device.private_key)
    return body_of(fields)


def body_of(fields: dict[str, Any]) -> bytes:
    """Return attributes written by pyroute2."""
    message = wgmsg()
    message["attrs"] = [
        [f"WGDEVICE_A_{name.upper()}", value] for name, value in fields.items() if value != []
    ]
    message.encode()
    return bytes(message.data)[HEADER:]


def _peer_attrs(peer: PeerState) -> dict[str, Any]:
    seconds, nanoseconds = divmod(peer.handshake_ns, 10**9)
    found: list[Any] = [
        ["WGPEER_A_PUBLIC_KEY", b64encode(peer.public_key)],
        ["WGPEER_A_PRESHARED_KEY", b64encode(peer.preshared_key or bytes(32))],
        ["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", peer.keepalive_s],
        ["WGPEER_A_LAST_HANDSHAKE_TIME", {"tv_sec": seconds, "tv_nsec": nanoseconds}],
        ["WGPEER_A_RX_BYTES", peer.rx_bytes],
        ["WGPEER_A_TX_BYTES", peer.tx_bytes],
    ]
    if peer.endpoint:
        end = {"addr": str(peer.endpoint.address), "port": peer.endpoint.port}
        found.append(["WGPEER_A_ENDPOINT", end])
    if peer.allowed:
        found.append(["WGPEER_A_ALLOWEDIPS", [_allowed_attrs(p) for p in peer.allowed]])
    return {"attrs": found}


def _allowed_attrs(prefix: Prefix) -> dict[str, Any]:
    address = prefix.network_address
    family = socket.AF_INET if prefix.version == 4 else socket.AF_INET6
    return {
        "attrs": [
            ["WGALLOWEDIP_A_FAMILY", int(family)],
            ["WGALLOWEDIP_A_IPADDR", address.packed],
            ["WGALLOWEDIP_A_CIDR_MASK", prefix.prefixlen],
        ]
    }


def decoded(body: bytes) -> tuple[str, WgDevice, list[int]]:
    """Return name, device and the peers' flags of attributes, read by pyroute2."""
    length = HEADER + len(body)
    message = wgmsg(struct.pack("=IHHIIBBH", length, FAMILY, 0, 0, 0, 1, 1, 0) + body)
    message.decode()
    private = message.get_attr("WGDEVICE_A_PRIVATE_KEY")
    peers = message.get_attr("WGDEVICE_A_PEERS") or []
    device = WgDevice(
        private_key=b64decode(private["value"] if isinstance(private, dict) else private or b""),
        port=message.get_attr("WGDEVICE_A_LISTEN_PORT") or 0,
        mark=message.get_attr("WGDEVICE_A_FWMARK") or 0,
        peers=tuple(_peer(peer) for peer in peers),
    )
    flags = [peer.get_attr("WGPEER_A_FLAGS") or 0 for peer in peers]
    return message.get_attr("WGDEVICE_A_IFNAME"), device, flags


def _peer(peer: Any) -> PeerState:
    end = peer.get_attr("WGPEER_A_ENDPOINT")
    preshared = _key(peer.get_attr("WGPEER_A_PRESHARED_KEY"))
    allowed = peer.get_attr("WGPEER_A_ALLOWEDIPS") or []
    return PeerState(
        public_key=_key(peer.get_attr("WGPEER_A_PUBLIC_KEY")),
        preshared_key=preshared if any(preshared) else b"",
        endpoint=Endpoint(ip_address(end["addr"]), end["port"]) if end else None,
        keepalive_s=peer.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or 0,
        allowed=frozenset(ip_network(prefix["addr"]) for prefix in allowed),
    )


def _key(value: Any) -> bytes:
    return b64decode(value["value"] if isinstance(value, dict) else value or b"")


class WireGuardKernel:
    """Answers requests over socket pairs; devices are added and removed by the test."""

    def __init__(self, *, present: bool = True) -> None:
        self.present = present
        self.devices: dict[str, WgDevice] = {}
        self.requests = 0

    def open(self) -> socket.socket:
        """Return a socket to this kernel."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=self._serve, args=(ours,), daemon=True).start()
        return theirs

    def _serve(self, wire: socket.socket) -> None:
        with wire:
            while data := wire.recv(1 << 18):
                self.requests += 1
                length, kind, _, sequence, _, command = struct.unpack_from("=IHHIIB", data)
                assert length == len(data), "the header's length is the message's"
                for reply in self._answer(kind, command, data[HEADER:]):
                    wire.send(_message(*reply, sequence))

    def _answer(self, kind: int, command: int, body: bytes) -> list[tuple[int, bytes]]:
        if kind == 0x10:
            if not self.present:
                return [(2, struct.pack("=i", -errno.ENOENT))]
            family = struct.pack("=HHHH", 6, 1, FAMILY, 0)
            return [(0x10, bytes(4) + family), (2, bytes(4))]
        assert kind == FAMILY
        name, asked, flags = decoded(body)
        device = self.devices.get(name)
        if device is None:
            return [(2, struct.pack("=i", -errno.ENODEV))]
        if command == 0:
            halves = [(device, True)] if len(device.peers) < 2 else _halves(device)
            parts = [(FAMILY, bytes(4) + encoded(name, d, whole=w)) for d, w in halves]
            return [*parts, (3, bytes(4))]
        self._set(name, device, asked, flags)
        return [(2, bytes(4))]

    def _set(self, name: str, device: WgDevice, asked: WgDevice, flags: list[int]) -> None:
        peers = {peer.public_key: peer for peer in device.peers}
        for peer, flag in zip(asked.peers, flags, strict=True):
            if flag & REMOVE_ME:
                peers.pop(peer.public_key, None)
                continue
            have = peers.get(peer.public_key, PeerState(public_key=peer.public_key))
            allowed = peer.allowed if flag & REPLACE_ALLOWEDIPS else have.allowed | peer.allowed
            peers[peer.public_key] = replace(
                have,
                allowed=allowed,
                endpoint=peer.endpoint or have.endpoint,
                keepalive_s=peer.keepalive_s or have.keepalive_s,
                preshared_key=peer.preshared_key or have.preshared_key,
            )
        self.devices[name] = WgDevice(
            private_key=asked.private_key or device.private_key,
            port=asked.port or device.port,
            mark=asked.mark or device.mark,
            peers=tuple(peers.values()),
        )


def _halves(device: WgDevice) -> list[tuple[WgDevice, bool]]:
    middle = len(device.peers) // 2
    first = replace(device, peers=device.peers[:middle])
    return [(first, True), (WgDevice(peers=device.peers[middle:]), False)]


def _message(kind: int, body: bytes, sequence: int) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body
