"""Reads interfaces, their addresses and their neighbours (linux/if_link.h, if_addr.h)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple, TypeAlias

from patronus.dataplane.rtnetlink import attribute, attributes, dump, get, u32

Address: TypeAlias = IPv4Address | IPv6Address

RTM_GETLINK: Final = 18
RTM_GETADDR: Final = 22
RTM_GETNEIGH: Final = 30

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO = 1, 3, 4, 18
IFLA_IFALIAS, IFLA_GROUP, IFLA_EXT_MASK = 20, 27, 29
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
RTEXT_FILTER_SKIP_STATS: Final = 8
IFA_ADDRESS, IFA_LOCAL = 1, 2
NDA_DST, NDA_LLADDR = 1, 2
IFF_UP: Final = 1
NUD_PERMANENT: Final = 0x80

LINK: Final = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, which flags."""
ADDRESS: Final = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
NEIGHBOUR: Final = struct.Struct("=BxHiHBB")
"""struct ndmsg: family, padding, index, state, flags, type."""


@dataclass(frozen=True, slots=True)
class Link:
    """One interface."""

    name: str
    index: int
    mtu: int
    up: bool
    alias: str | None
    group: int
    mac: str
    kind: str
    """``vxlan``, ``tun``, …; empty for hardware."""
    data: bytes
    """Attributes of its kind."""


class Owned(NamedTuple):
    """An address of an interface."""

    index: int
    address: Address
    length: int


class Neighbour(NamedTuple):
    """A link address that is known for good."""

    index: int
    address: Address
    mac: str


def links() -> list[Link]:
    """Return every interface."""
    return [_link(body) for body in dump(RTM_GETLINK, _question())]


def link(name: str) -> Link | None:
    """Return the interface of this name."""
    body = get(RTM_GETLINK, _question() + attribute(IFLA_IFNAME, name.encode() + b"\0"))
    return _link(body) if body is not None else None


def addresses() -> Iterator[Owned]:
    """Yield every address of every interface, tentative ones included."""
    for body in dump(RTM_GETADDR, bytes(ADDRESS.size)):
        _, length, _, _, index = ADDRESS.unpack_from(body)
        found = dict(attributes(body, ADDRESS.size))
        packed = found.get(IFA_LOCAL) or found[IFA_ADDRESS]
        yield Owned(index, ip_address(packed), length)


def neighbours() -> Iterator[Neighbour]:
    """Yield every permanent neighbour, but for the groups of multicast."""
    for body in dump(RTM_GETNEIGH, bytes(NEIGHBOUR.size)):
        _, _, index, state, _, _ = NEIGHBOUR.unpack_from(body)
        found = dict(attributes(body, NEIGHBOUR.size))
        if state & NUD_PERMANENT and len(found.get(NDA_DST, b"")) in {4, 16}:
            address = ip_address(found[NDA_DST])
            if not address.is_multicast:
                yield Neighbour(index, address, found.get(NDA_LLADDR, b"").hex(":"))


def _question() -> bytes:
    mask = struct.pack("=I", RTEXT_FILTER_SKIP_STATS)
    return bytes(LINK.size) + attribute(IFLA_EXT_MASK, mask)


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = LINK.unpack_from(body)
    found = dict(attributes(body, LINK.size))
    info = dict(attributes(found.get(IFLA_LINKINFO, b"")))
    return Link(
        name=_text(found[IFLA_IFNAME]),
        index=index,
        mtu=u32(found.get(IFLA_MTU, b"")),
        up=bool(flags & IFF_UP),
        alias=_text(found[IFLA_IFALIAS]) if IFLA_IFALIAS in found else None,
        group=u32(found.get(IFLA_GROUP, b"")),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        kind=_text(info.get(IFLA_INFO_KIND, b"")),
        data=info.get(IFLA_INFO_DATA, b""),
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", errors="replace")
