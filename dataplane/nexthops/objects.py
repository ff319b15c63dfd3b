"""Next-hop objects of the kernel (linux/nexthop.h): two for each entry.

    route to 10.2.0.0/16 ──┐
    route to fd02::/32   ──┴─► group of the entry ──► its carrier: a tunnel's device and peer

A route names the group of its entry, which has one member and never changes; where any number of
prefixes go is changed by replacing that member. To replace the group itself would do the same,
and take longer: the kernel then renews every IPv6 route over it (100 k of them: 41 ms instead of
11, see ``tests.bench.switch``). All objects are of IPv6, for IPv6 routes take no others and
IPv4 routes take both (RFC 8950).

Objects of ours carry our protocol number; others are never touched. The kernel removes carriers
with their device, then the groups that are left empty, then their routes.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from socket import AF_INET6, AF_UNSPEC
from typing import Final

from patronus.dataplane.nexthops.netlink import Request
from patronus.dataplane.routedump import RTNH_F_ONLINK
from patronus.dataplane.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    attribute,
    attributes,
    dump,
    u32,
)

PROTOCOL: Final = 174
"""Marks objects, routes and rules of the fallback; those of the underlay have another."""

CARRIER_FIRST: Final = 0x5050_0000
"""Numbers of objects: this and the place of the entry, ..."""
GROUP_FIRST: Final = 0x5060_0000
"""... and of its group."""

RTM_NEWNEXTHOP: Final = 104
RTM_DELNEXTHOP: Final = 105
RTM_GETNEXTHOP: Final = 106
NHA_ID, NHA_GROUP, NHA_BLACKHOLE, NHA_OIF, NHA_GATEWAY = 1, 2, 4, 5, 6

_HOP: Final = struct.Struct("=BBBBI")
"""struct nhmsg: family, scope, protocol, reserved, flags."""
_MEMBER: Final = struct.Struct("=IBBH")
"""struct nexthop_grp: id, weight less one, high byte of it, reserved."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One object."""

    number: int
    member: int = 0
    """Of a group of one; 0: it is none."""
    oif: int = 0
    gateway: IPv6Address | None = None
    """None, and no member: a black hole."""


def carrier(place: int, oif: int, gateway: IPv6Address | None) -> Hop:
    """Return the object of what carries an entry; without a gateway: nobody does."""
    return Hop(CARRIER_FIRST + place, oif=oif if gateway else 0, gateway=gateway)


def group(place: int) -> Hop:
    """Return the object that the routes of an entry name."""
    return Hop(GROUP_FIRST + place, member=CARRIER_FIRST + place)


def putting(hop: Hop) -> Request:
    """Return the request that makes or replaces an object."""
    family = AF_UNSPEC if hop.member else AF_INET6
    # On link, whatever the routes say: a tunnel has but one other end.
    flags = RTNH_F_ONLINK if hop.gateway else 0
    body = _HOP.pack(family, 0, PROTOCOL, 0, flags) + attribute(NHA_ID, _u32(hop.number))
    if hop.member:
        body += attribute(NHA_GROUP, _MEMBER.pack(hop.member, 0, 0, 0))
    elif hop.gateway is None:
        body += attribute(NHA_BLACKHOLE, b"")
    else:
        body += attribute(NHA_OIF, _u32(hop.oif)) + attribute(NHA_GATEWAY, hop.gateway.packed)
    return Request(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, body)


def removing(number: int) -> Request:
    """Return the request that removes an object."""
    return Request(RTM_DELNEXTHOP, 0, _HOP.pack(AF_UNSPEC, 0, 0, 0, 0) + attribute(
        NHA_ID, _u32(number)
    ))  # fmt: skip


def hops() -> dict[int, Hop]:
    """Return the objects of ours, by number.

    Raises:
        OSError: the kernel refused.
    """
    found = (_parsed(body) for body in dump(RTM_GETNEXTHOP, _HOP.pack(0, 0, 0, 0, 0)))
    return {hop.number: hop for hop in found if hop is not None}


def _parsed(body: bytes) -> Hop | None:
    if len(body) < _HOP.size or body[2] != PROTOCOL:
        return None
    found = dict(attributes(body, _HOP.size))
    group, gateway = found.get(NHA_GROUP, b""), found.get(NHA_GATEWAY, b"")
    return Hop(
        number=u32(found[NHA_ID]),
        member=_MEMBER.unpack_from(group)[0] if len(group) == _MEMBER.size else 0,
        oif=u32(found.get(NHA_OIF, bytes(4))),
        gateway=IPv6Address(gateway) if len(gateway) == 16 else None,
    )


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)
