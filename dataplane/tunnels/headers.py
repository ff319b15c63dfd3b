"""How many bytes each header takes, and so what is left of a path's MTU for a user's packet.

From the outside in::

    plain       IP  UDP                     Patronus  user's packet
    VXLAN       IP  UDP  VXLAN  Ethernet  | IP  UDP  Patronus  user's packet
    WireGuard   IP  UDP  WireGuard        | IP  UDP  Patronus  user's packet  | tag

The MTU of a path counts the whole, that of a device what stands behind the bar. There user
packets travel behind the Patronus header in UDP between the two tunnel addresses, which
WireGuard checks.
"""

from typing import Final

from patronus.dataplane.tunnels.spec import MTU_MIN_IPV6, Kind

IP: Final = {4: 20, 6: 40}
"""RFC 791 section 3.1 without options; RFC 8200 section 3."""
UDP: Final = 8
"""RFC 768."""
VXLAN: Final = 8 + 14
"""RFC 7348 section 5: its header, and the Ethernet header of the frame inside."""
WIREGUARD: Final = 16 + 16
"""Type, receiver index and counter before the packet, the Poly1305 tag behind it."""
WIREGUARD_PADDING: Final = 16
"""Packets are padded to a multiple of it, up to the device's MTU."""
PATRONUS: Final = 20
"""The overlay header (``bpf/records.h``)."""


def device_overhead(kind: Kind, *, outer: int) -> int:
    """Return the bytes that the underlay sees around a packet of a device.

    Args:
        kind: of the tunnel. A plain one has no device; its packets are UDP payload.
        outer: IP version of the underlay.
    """
    around = {Kind.PLAIN: 0, Kind.VXLAN: VXLAN, Kind.WIREGUARD: WIREGUARD}
    return IP[outer] + UDP + around[kind]


def device_mtu(kind: Kind, pmtu: int, *, outer: int) -> int:
    """Return the MTU of a device over a path.

    WireGuard pads each packet to a multiple of 16 but no further than the device's MTU, so
    an MTU that is no multiple of 16 costs nothing and can be used to the last byte.
    """
    return pmtu - device_overhead(kind, outer=outer)


def roomy_mtu(kind: Kind, pmtu: int, *, outer: int) -> int:
    """Return the MTU of a device with IPv6 addresses, which cannot be smaller than theirs.

    Over a narrower path it is the users' packets that are smaller (:func:`user_mtu`).
    """
    return max(device_mtu(kind, pmtu, outer=outer), MTU_MIN_IPV6)


def user_mtu(kind: Kind, pmtu: int, *, outer: int, inner: int, narrow: bool = False) -> int:
    """Return the largest packet that users may send through a tunnel.

    Args:
        kind: of the tunnel.
        pmtu: of the path below it.
        outer: IP version of the underlay.
        inner: IP version of the tunnel addresses; a plain tunnel has none.
        narrow: the device takes more than the path, so that WireGuard may pad beyond the path.
    """
    wrapped = 0 if kind is Kind.PLAIN else IP[inner] + UDP
    room = device_mtu(kind, pmtu, outer=outer)
    if narrow and kind is Kind.WIREGUARD:
        room -= room % WIREGUARD_PADDING
    return room - wrapped - PATRONUS
