"""Reads routes with the filter in the kernel.

pyroute2 asks for every route and filters in Python, which takes 3 s beside 20 k routes of a
routing daemon. Asked strictly (NETLINK_GET_STRICT_CHK, Linux 4.20), the kernel returns only
the routes of one protocol, table or interface. Numbers are from linux/netlink.h and
linux/rtnetlink.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

ROUTE_PROTOCOL: Final = 173
"""Marks routes and rules as ours (rtm_protocol; /etc/iproute2/rt_protos leaves it free)."""

RTM_NEWROUTE: Final = 24
RTM_GETROUTE: Final = 26
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLM_F_REQUEST_DUMP: Final = 0x301
NLM_F_DUMP_INTR: Final = 0x10
SOL_NETLINK: Final = 270
NETLINK_GET_STRICT_CHK: Final = 12

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH, RTA_TABLE = (
    1, 4, 5, 6, 7, 9, 15,
)  # fmt: skip
RT_TABLE_MAIN: Final = 254
RT_TABLE_LOCAL: Final = 255
RTN_UNICAST: Final = 1
RTN_LOCAL: Final = 2
RTN_UNREACHABLE: Final = 7
RTNH_F_ONLINK: Final = 4

_HEADER: Final = struct.Struct("=IHHII")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_NEXT_HOP: Final = struct.Struct("=HBBi")
_BUFFER: Final = 1 << 18
ATTEMPTS: Final = 3
"""A dump that a change interrupted is repeated; after that its remains are better than none."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    family: int
    dst: IPv4Address | IPv6Address | None
    """None: the default route."""
    dst_len: int
    table: int
    protocol: int
    type: int = RTN_UNICAST
    oif: int = 0
    gateway: IPv4Address | IPv6Address | None = None
    metric: int = 0
    prefsrc: IPv4Address | IPv6Address | None = None
    onlink: bool = False


def routes(
    family: int, *, protocol: int = 0, table: int = 0, oif: int = 0, default_only: bool = False
) -> list[Route]:
    """Return the routes that match; 0 matches all.

    Args:
        family: AF_INET or AF_INET6.
        protocol: who set them.
        table: number of the routing table; one that there is not holds nothing.
        oif: index of the interface.
        default_only: leave out all that have a destination.

    Raises:
        OSError: the kernel refused.
    """
    found: list[Route] = []
    for _ in range(ATTEMPTS):
        replies, interrupted = _dump(_request(family, protocol, table, oif))
        found = [route for reply in replies for route in _parsed(reply, oif, default_only)]
        if not interrupted:
            break
    # Kernels before 4.20 do not filter.
    return [
        route
        for route in found
        if protocol in {0, route.protocol} and table in {0, route.table} and oif in {0, route.oif}
    ]


def local_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Return the addresses of this machine.

    The kernel's own table says so. That a socket can be bound to an address says nothing on a
    router with ``ip_nonlocal_bind``, as VRRP wants it.
    """
    return frozenset(
        route.dst
        for family in (socket.AF_INET, socket.AF_INET6)
        for route in routes(family, table=RT_TABLE_LOCAL)
        if route.type == RTN_LOCAL and route.dst is not None
    )


def _request(family: int, protocol: int, table: int, oif: int) -> bytes:
    attributes = b""
    if table:
        attributes += struct.pack("=HHI", 8, RTA_TABLE, table)
    if oif:
        attributes += struct.pack("=HHI", 8, RTA_OIF, oif)
    body = _ROUTE.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0) + attributes
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, RTM_GETROUTE, NLM_F_REQUEST_DUMP, 1, 0) + body


def _dump(request: bytes) -> tuple[list[bytes], bool]:
    """Return the bodies of the route messages, and whether a change interrupted the dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as nl:
        nl.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        nl.send(request)
        bodies: list[bytes] = []
        interrupted = False
        while True:
            for kind, flags, body in messages(nl.recv(_BUFFER)):
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if kind == RTM_NEWROUTE:
                    bodies.append(body)
                elif kind in {NLMSG_DONE, NLMSG_ERROR}:
                    _refuse(struct.unpack_from("=i", body)[0])
                    return bodies, interrupted


def _refuse(code: int) -> None:
    # No such table, no such interface (any more): nothing in it.
    if code not in {0, -errno.ENOENT, -errno.ENODEV}:
        raise OSError(-code, f"routes cannot be read: {os.strerror(-code)}")


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, flags and body of each netlink message; stop at one that is cut off."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += _aligned(length)


def attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and value of each attribute; stop at one that is cut off."""
    while offset + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, offset)
        if length < 4 or offset + length > len(data):
            return
        yield number & 0x3FFF, data[offset + 4 : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _parsed(body: bytes, oif: int, default_only: bool) -> Iterator[Route]:
    if len(body) < _ROUTE.size or (default_only and body[1]):
        return
    family, dst_len, _, _, table, protocol, _, type_, flags = _ROUTE.unpack_from(body)
    found = dict(attributes(body, _ROUTE.size))
    if RTA_TABLE in found:
        table = _u32(found[RTA_TABLE])
    route = Route(
        family=family,
        dst=ip_address(found[RTA_DST]) if RTA_DST in found and dst_len else None,
        dst_len=dst_len,
        table=table,
        protocol=protocol,
        type=type_,
        oif=_u32(found.get(RTA_OIF, bytes(4))),
        gateway=ip_address(found[RTA_GATEWAY]) if RTA_GATEWAY in found else None,
        metric=_u32(found.get(RTA_PRIORITY, bytes(4))),
        prefsrc=ip_address(found[RTA_PREFSRC]) if RTA_PREFSRC in found else None,
        onlink=bool(flags & RTNH_F_ONLINK),
    )
    if RTA_MULTIPATH in found:
        yield from (r for r in _hops(route, found[RTA_MULTIPATH]) if oif in {0, r.oif})
    else:
        yield route


def _hops(route: Route, data: bytes) -> Iterator[Route]:
    """Yield a route for each of several next hops."""
    offset = 0
    while offset + _NEXT_HOP.size <= len(data):
        length, flags, _, index = _NEXT_HOP.unpack_from(data, offset)
        if length < _NEXT_HOP.size or offset + length > len(data):
            return
        found = dict(attributes(data[: offset + length], offset + _NEXT_HOP.size))
        gateway = ip_address(found[RTA_GATEWAY]) if RTA_GATEWAY in found else None
        onlink = bool(flags & RTNH_F_ONLINK)
        yield replace(route, oif=index, gateway=gateway, onlink=onlink)
        offset += _aligned(length)


def _u32(value: bytes) -> int:
    return int.from_bytes(value[:4], "little")
