"""Makes and changes interfaces, addresses and neighbours."""

import struct
from socket import AF_INET, AF_INET6
from typing import Final

from patronus.dataplane.linkdump import (
    ADDRESS,
    IFA_ADDRESS,
    IFA_LOCAL,
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_GROUP,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MTU,
    LINK,
    NDA_DST,
    NDA_LLADDR,
    NEIGHBOUR,
    NUD_PERMANENT,
    Address,
)
from patronus.dataplane.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    attribute,
    change,
    nested,
)

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_NEWNEIGH: Final = 28
IFA_F_NODAD: Final = 2
IFF_NOARP: Final = 0x80


def add_link(name: str, *, kind: str, group: int, mtu: int = 0, mac: str = "", data: bytes) -> None:
    """Make an interface, down and with no address.

    Args:
        name: of the interface.
        kind: ``vxlan``, ``wireguard``, …
        group: set by the same request, so there is no moment without it.
        mtu: 0: the kind's own.
        mac: empty: a random one, where the kind has any.
        data: attributes of the kind.

    Raises:
        OSError: the kernel refused, as all functions here.
    """
    body = LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name.encode() + b"\0")
    body += attribute(IFLA_GROUP, struct.pack("=I", group)) + _linkinfo(kind, data)
    if mtu:
        body += attribute(IFLA_MTU, struct.pack("=I", mtu))
    if mac:
        body += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def set_link(
    index: int, *, alias: str | None = None, mtu: int = 0, up: bool = False, arp: bool = True
) -> None:
    """Change an interface; what is left out stays."""
    flags = (IFF_UP if up else 0) | (0 if arp else IFF_NOARP)
    body = LINK.pack(0, 0, index, flags, flags)
    if alias is not None:
        body += attribute(IFLA_IFALIAS, alias.encode())
    if mtu:
        body += attribute(IFLA_MTU, struct.pack("=I", mtu))
    change(RTM_NEWLINK, 0, body)


def set_link_data(index: int, *, kind: str, data: bytes) -> None:
    """Change attributes of an interface's kind."""
    change(RTM_NEWLINK, 0, LINK.pack(0, 0, index, 0, 0) + _linkinfo(kind, data))


def delete_link(index: int) -> None:
    """Remove an interface."""
    change(RTM_DELLINK, 0, LINK.pack(0, 0, index, 0, 0))


def add_address(index: int, address: Address) -> None:
    """Give an interface a host address.

    An IPv6 one is not asked for on the link first, which would delay its use by a second: a
    tunnel's addresses are assigned.
    """
    change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, _address(index, address))


def delete_address(index: int, address: Address) -> None:
    """Take a host address away."""
    change(RTM_DELADDR, 0, _address(index, address))


def set_neighbour(index: int, address: Address, mac: str) -> None:
    """Make a neighbour's link address known for good."""
    body = NEIGHBOUR.pack(_family(address), 0, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, address.packed)
    body += attribute(NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    change(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body)


def _address(index: int, address: Address) -> bytes:
    flags = IFA_F_NODAD if address.version == 6 else 0
    body = ADDRESS.pack(_family(address), address.max_prefixlen, flags, 0, index)
    return body + attribute(IFA_LOCAL, address.packed) + attribute(IFA_ADDRESS, address.packed)


def _linkinfo(kind: str, data: bytes) -> bytes:
    parts = [attribute(IFLA_INFO_KIND, kind.encode())]
    if data:
        parts.append(nested(IFLA_INFO_DATA, data))
    return nested(IFLA_LINKINFO, *parts)


def _family(address: Address) -> int:
    return AF_INET if address.version == 4 else AF_INET6
