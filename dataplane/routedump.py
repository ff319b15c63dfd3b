"""Reads routes, filtered by the kernel (linux/rtnetlink.h).

Beside a routing daemon's 20 k routes, pyroute2 takes 3 s to find ours.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from patronus.dataplane.rtnetlink import aligned, attribute, attributes, dump, u32

RTM_NEWROUTE: Final = 24
RTM_GETROUTE: Final = 26

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
RTA_PREFSRC, RTA_MULTIPATH, RTA_TABLE = 7, 9, 15
RT_TABLE_MAIN: Final = 254
RT_TABLE_LOCAL: Final = 255
RTN_UNICAST: Final = 1
RTN_LOCAL: Final = 2
RTN_UNREACHABLE: Final = 7
RTNH_F_ONLINK: Final = 4

ROUTE: Final = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type,
flags."""
_TABLE_AT: Final = 4
_NEXT_HOP: Final = struct.Struct("=HBBi")


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
    family: int,
    *,
    protocol: int = 0,
    table: int = 0,
    beside: int = 0,
    oif: int = 0,
    default_only: bool = False,
) -> list[Route]:
    """Return the routes that match; 0 matches all.

    Args:
        family: AF_INET or AF_INET6.
        protocol: who set them.
        table: number of the routing table; one that there is not holds nothing.
        beside: leave out those of this table, below 252.
        oif: index of the interface.
        default_only: leave out all that have a destination.

    Raises:
        OSError: the kernel refused.
    """
    replies = raw_routes(family, protocol=protocol, table=table, oif=oif)
    wanted = (r for r in replies if not beside or r[_TABLE_AT : _TABLE_AT + 1] != bytes([beside]))
    return [route for reply in wanted for route in _parsed(reply, oif, default_only)]


def raw_routes(family: int, *, protocol: int = 0, table: int = 0, oif: int = 0) -> list[bytes]:
    """Return routes as the kernel tells them, equal for as long as they are the same.

    Raises:
        OSError: the kernel refused.
    """
    body = ROUTE.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0)
    if table:
        body += attribute(RTA_TABLE, struct.pack("=I", table))
    if oif:
        body += attribute(RTA_OIF, struct.pack("=I", oif))
    return dump(RTM_GETROUTE, body)


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


def _parsed(body: bytes, oif: int, default_only: bool) -> Iterator[Route]:
    if len(body) < ROUTE.size or (default_only and body[1]):
        return
    family, dst_len, _, _, table, protocol, _, type_, flags = ROUTE.unpack_from(body)
    found = dict(attributes(body, ROUTE.size))
    if RTA_TABLE in found:
        table = u32(found[RTA_TABLE])
    route = Route(
        family=family,
        dst=ip_address(found[RTA_DST]) if RTA_DST in found and dst_len else None,
        dst_len=dst_len,
        table=table,
        protocol=protocol,
        type=type_,
        oif=u32(found.get(RTA_OIF, bytes(4))),
        gateway=ip_address(found[RTA_GATEWAY]) if RTA_GATEWAY in found else None,
        metric=u32(found.get(RTA_PRIORITY, bytes(4))),
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
        offset += aligned(length)
