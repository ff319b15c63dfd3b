"""What is wanted of tunnels: devices, and the tunnels to peers that each carries.

A plain device is only a reserved UDP socket, a VXLAN device carries exactly one tunnel, a
WireGuard device any number. :func:`check` is the one place that refuses what cannot work,
so drivers may assume it of everything that they are given.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

from patronus.dataplane.tunnels.keys import KEY_BYTES, public_of, shown

Address: TypeAlias = IPv4Address | IPv6Address
Prefix: TypeAlias = IPv4Network | IPv6Network

IFNAME_MAX: Final = 15
"""IFNAMSIZ of linux/if.h less the zero at the end."""
NAME: Final = re.compile(r"[a-z][a-z0-9.-]*\Z")
VNI_MAX: Final = 2**24 - 1
"""RFC 7348 section 5."""
MTU_MIN_IPV4: Final = 576
"""What every IPv4 host must take in one piece (RFC 1122 section 3.3.2)."""
MTU_MIN_IPV6: Final = 1280
"""RFC 8200 section 5; Linux removes IPv6 from a device below it."""
MTU_MAX: Final = 65_535


class BadSpec(Exception):
    """What is wanted cannot work; the message names the device and the reason."""


class Kind(StrEnum):
    """How packets are carried."""

    PLAIN = "plain"
    VXLAN = "vxlan"
    WIREGUARD = "wireguard"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a UDP port of the underlay."""

    address: Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSpec:
    """One tunnel to one peer."""

    peer: str
    """Name of the peer's site, for messages."""
    remote: Endpoint | None
    """Where the peer is called; None: it calls us. Only WireGuard can wait to be called."""
    peer_addresses: tuple[Address, ...] = ()
    """The peer's tunnel addresses: all that its packets may come from."""
    public_key: bytes = b""
    preshared_key: bytes = field(default=b"", repr=False)
    keepalive_s: int = 0
    """Seconds between keepalives, 0: none. They hold the mapping of a NAT in front of us."""
    vni: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One device of ours, and the tunnels that it carries."""

    name: str
    kind: Kind
    transport: str
    """The transport whose routing table its packets use."""
    mark: int
    """Firewall mark of its own packets, which leads them to that table; 0: none."""
    local: Endpoint
    """Our end on the underlay. WireGuard listens on every address, so only its port counts."""
    mtu: int
    addresses: tuple[Address, ...] = ()
    """Our tunnel addresses; none on a plain device."""
    tunnels: tuple[TunnelSpec, ...] = ()
    private_key: bytes = field(default=b"", repr=False)
    metric: int = 100
    """Of the routes to the peers; while keys rotate, two devices lead to the same peer."""


def check(wanted: Sequence[DeviceSpec], *, prefix: str) -> None:
    """Refuse devices that cannot work.

    Raises:
        BadSpec: the first thing that is wrong, with the device's name.
    """
    for device in wanted:
        for problem in _device_problems(device, prefix):
            raise BadSpec(f"device {device.name!r}: {problem}")
    # Of any device: while keys rotate, a site has two.
    own = {public_of(d.private_key) for d in wanted if d.kind is Kind.WIREGUARD}
    for device in wanted:
        for tunnel in device.tunnels:
            if tunnel.public_key in own:
                raise BadSpec(
                    f"device {device.name!r}: peer {tunnel.peer} has our own key "
                    f"{shown(tunnel.public_key)}: was a key store copied?"
                )
    _once((device.name for device in wanted), "two devices are called {}")
    ports = (d.local.port for d in wanted if d.kind is Kind.WIREGUARD)
    _once(ports, "two WireGuard devices listen on port {}")
    plain = (str(d.local) for d in wanted if d.kind is Kind.PLAIN)
    _once(plain, "two plain devices listen on {}")
    vnis = ((d.local.port, t.vni) for d in wanted if d.kind is Kind.VXLAN for t in d.tunnels)
    _once(vnis, "two VXLAN devices have the same (port, VNI) {}")


def _once(values: Iterable[object], message: str) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise BadSpec(message.format(value))


def _device_problems(device: DeviceSpec, prefix: str) -> Iterable[str]:
    if not NAME.match(device.name) or len(device.name) > IFNAME_MAX:
        yield f"a name has up to {IFNAME_MAX} of a-z, 0-9, . and -, a letter first"
    if not device.name.startswith(prefix):
        yield f"the name must begin with {prefix!r}: that is how our devices are known"
    yield from _mtu_problems(device)
    if not 0 <= device.mark < 2**32:
        yield f"mark {device.mark} does not fit 32 bits"
    if not 1 <= device.local.port <= 65_535:
        yield f"port {device.local.port} is not one of 1 to 65535"
    yield from _KIND_PROBLEMS[device.kind](device)
    for tunnel in device.tunnels:
        yield from (f"tunnel to {tunnel.peer}: {p}" for p in _tunnel_problems(device, tunnel))
    peers = Counter(a for tunnel in device.tunnels for a in tunnel.peer_addresses)
    yield from (f"two peers have the tunnel address {a}" for a, n in peers.items() if n > 1)
    yield from (f"{a} is our own tunnel address and a peer's" for a in device.addresses if peers[a])


def _mtu_problems(device: DeviceSpec) -> Iterable[str]:
    if not MTU_MIN_IPV4 <= device.mtu <= MTU_MAX:
        yield f"MTU {device.mtu} is not between {MTU_MIN_IPV4} and {MTU_MAX}"
    elif device.mtu < MTU_MIN_IPV6 and any(a.version == 6 for a in device.addresses):
        yield f"MTU {device.mtu} is below {MTU_MIN_IPV6}, the least that IPv6 addresses need"


def _plain_problems(device: DeviceSpec) -> Iterable[str]:
    if device.addresses:
        yield "a plain device has no tunnel addresses"
    if device.local.address.is_unspecified:
        yield "a plain device needs the address that it sends from"


def _vxlan_problems(device: DeviceSpec) -> Iterable[str]:
    if len(device.tunnels) != 1:
        yield f"a VXLAN device carries one tunnel, not {len(device.tunnels)}"
    if device.local.address.is_unspecified:
        yield "a VXLAN device needs the address that it sends from"


def _wireguard_problems(device: DeviceSpec) -> Iterable[str]:
    if len(device.private_key) != KEY_BYTES:
        yield f"a private key has {KEY_BYTES} bytes, not {len(device.private_key)}"
    keys = Counter(tunnel.public_key for tunnel in device.tunnels)
    yield from (f"two peers have the key {shown(key)}" for key, n in keys.items() if n > 1)


_KIND_PROBLEMS: Final = {
    Kind.PLAIN: _plain_problems,
    Kind.VXLAN: _vxlan_problems,
    Kind.WIREGUARD: _wireguard_problems,
}


def _tunnel_problems(device: DeviceSpec, tunnel: TunnelSpec) -> Iterable[str]:
    if tunnel.remote is None:
        if device.kind is not Kind.WIREGUARD:
            yield "only WireGuard can wait for a peer to call; give its address"
    else:
        yield from _remote_problems(device, tunnel.remote)
    if device.kind is not Kind.PLAIN and not tunnel.peer_addresses:
        yield "the peer has no tunnel address"
    if device.kind is Kind.VXLAN and not 1 <= tunnel.vni <= VNI_MAX:
        yield f"VNI {tunnel.vni} is not one of 1 to {VNI_MAX}"
    if device.kind is Kind.WIREGUARD:
        yield from _key_problems(tunnel)


def _remote_problems(device: DeviceSpec, remote: Endpoint) -> Iterable[str]:
    if not 1 <= remote.port <= 65_535:
        yield f"port {remote.port} is not one of 1 to 65535"
    if remote.address.is_unspecified or remote.address.is_multicast:
        yield f"{remote.address} is not the address of a peer"
    local = device.local.address
    if not local.is_unspecified and local.version != remote.address.version:
        yield f"{local} cannot send to {remote.address}"
    if remote == device.local:
        yield f"{remote} is our own end"


def _key_problems(tunnel: TunnelSpec) -> Iterable[str]:
    if len(tunnel.public_key) != KEY_BYTES:
        yield f"a public key has {KEY_BYTES} bytes, not {len(tunnel.public_key)}"
    elif not any(tunnel.public_key):
        yield "the public key is all zeros"
    if len(tunnel.preshared_key) not in {0, KEY_BYTES}:
        yield f"a pre-shared key has {KEY_BYTES} bytes, not {len(tunnel.preshared_key)}"
    if not 0 <= tunnel.keepalive_s <= 65_535:
        yield f"a keepalive of {tunnel.keepalive_s} s is not one of 0 to 65535"
