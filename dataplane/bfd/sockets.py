"""The UDP sockets of single-hop BFD (RFC 5881, 4 and 5): ports, TTL 255, whence a packet came.

One socket a family receives for all sessions. Each session sends from a socket of its own,
because its source port should be its own.
"""

import errno
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

CONTROL_PORT: Final = 3784
SOURCE_PORTS: Final = range(49152, 65536)
TTL: Final = 255
"""Sent and asked for: a router on the way would have made it less (GTSM, RFC 5082)."""

_INTERNETWORK_CONTROL: Final = 0xC0
"""DSCP CS6, so that a full queue of user packets does not look like a dead link."""
_RECEIVE_BUFFER: Final = 1 << 20
_DATAGRAM: Final = 512
"""Enough for any Length; what is longer is cut, and ignored anyway."""
_ANCILLARY: Final = 256

# The socket module of Python 3.11 lacks these two of Linux's <linux/in.h>.
_IP_PKTINFO: Final = 8
_IP_RECVTTL: Final = 12

_TTL_KINDS: Final = frozenset(
    {(socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)}
)
_INDEX_AT: Final = {
    (socket.IPPROTO_IP, _IP_PKTINFO): 0,
    (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO): 16,
}
"""Where the index of the interface stands in struct in_pktinfo and in6_pktinfo."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a session talks to, and from where.

    Raises:
        ValueError: an address that cannot be reached like this.
    """

    address: IPv4Address | IPv6Address
    interface: str | None = None
    """Send out of this interface, and take only what comes in there."""
    local: IPv4Address | IPv6Address | None = None
    """Send from this address."""

    def __post_init__(self) -> None:
        if self.address.is_link_local and self.address.version == 6 and not self.interface:
            raise ValueError(f"BFD peer {self.address} is link-local: name an interface")
        if self.local is not None and self.local.version != self.address.version:
            raise ValueError(f"BFD cannot reach {self.address} from {self.local}")

    @property
    def family(self) -> socket.AddressFamily:
        """Return the address family of the peer."""
        return socket.AF_INET6 if self.address.version == 6 else socket.AF_INET


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP payload and what the kernel says of it."""

    data: bytes
    source: str
    interface: int
    """Index of the interface that it came in by, 0 if the kernel did not say."""
    ttl: int
    """-1 if the kernel did not say."""

    @property
    def address(self) -> IPv4Address | IPv6Address:
        """Return whom it came from."""
        return ip_address(self.source.partition("%")[0])

    @property
    def interface_name(self) -> str | None:
        """Return the name of the interface, None if it is gone by now."""
        try:
            return socket.if_indextoname(self.interface)
        except OSError:
            return None


def listen(family: socket.AddressFamily, port: int = CONTROL_PORT) -> socket.socket:
    """Return a socket that receives for all sessions of a family.

    Raises:
        OSError: most likely another BFD daemon has the port; the message says so.
    """
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        made.bind(("", port))
    except OSError as problem:
        made.close()
        if problem.errno == errno.EADDRINUSE:
            told = f"UDP port {port} is taken: does another BFD daemon run here?"
            raise OSError(problem.errno, told) from problem
        raise
    return made


def receive(listener: socket.socket) -> Datagram | None:
    """Return the next datagram that waits, or None."""
    try:
        data, ancillary, _, address = listener.recvmsg(_DATAGRAM, _ANCILLARY)
    except BlockingIOError:
        return None
    ttl, interface = -1, 0
    for level, kind, value in ancillary:
        if (level, kind) in _TTL_KINDS:
            (ttl,) = struct.unpack_from("@i", value)
        elif (level, kind) in _INDEX_AT:
            (interface,) = struct.unpack_from("@i", value, _INDEX_AT[level, kind])
    return Datagram(data, address[0], interface, ttl)


def sender(peer: Peer, ports: Iterable[int]) -> socket.socket:
    """Return a socket to send to a peer.

    Args:
        peer: whom to.
        ports: source ports; the first free one is taken.

    Raises:
        OSError: there is no such address or interface here now, or no free port.
    """
    made = socket.socket(peer.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        _mark(made, peer)
        _bind(made, str(peer.local) if peer.local else "", ports)
    except OSError:
        made.close()
        raise
    return made


def destination(
    peer: Peer, port: int = CONTROL_PORT
) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return where to send a peer's packets; an interface may have a new index by now.

    Raises:
        OSError: the interface is not there.
    """
    if not (peer.interface and peer.address.version == 6 and peer.address.is_link_local):
        return (str(peer.address), port)
    return (str(peer.address), port, 0, socket.if_nametoindex(peer.interface))


def _mark(made: socket.socket, peer: Peer) -> None:
    if peer.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, TTL)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _INTERNETWORK_CONTROL)
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _INTERNETWORK_CONTROL)
    if peer.interface:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, peer.interface.encode())


def _bind(made: socket.socket, address: str, ports: Iterable[int]) -> None:
    for port in ports:
        try:
            made.bind((address, port))
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise
        else:
            return
    raise OSError(errno.EADDRINUSE, "every BFD source port is taken")
