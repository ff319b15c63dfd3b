"""Where a site can be reached: an address of IPv4 or IPv6 and a UDP port."""

from ipaddress import IPv6Address, ip_address
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

from patronus.control.members.reader import Reader, number
from patronus.control.members.reason import Reason, Refused

ADDRESSES_MAX: Final = 4
"""A site is told of with at most so many."""

_SIZES: Final = {4: 4, 6: 16}


class Address(NamedTuple):
    """One address; the host is in its canonical text form."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether it needs a socket of IPv6."""
        return ":" in self.host


def address(host: str, port: int) -> Address:
    """Return an address in canonical form; IPv4 inside IPv6 is IPv4.

    Raises:
        ValueError: the host is no address, or the port is none that can be sent to.
    """
    ip = ip_address(host.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no UDP port")
    return Address(str(ip), port)


def encode(addresses: tuple[Address, ...]) -> bytes:
    """Return the form of a few addresses."""
    parts = [bytes([len(addresses)])]
    for each in addresses:
        version, family = (6, AF_INET6) if each.is_ipv6 else (4, AF_INET)
        # ``ipaddress`` takes ten times as long, and a seed tells of thousands of places.
        parts.append(bytes([version]) + inet_pton(family, each.host) + number(each.port, 2))
    return b"".join(parts)


def decode(reader: Reader) -> tuple[Address, ...]:
    """Read the form of a few addresses.

    Raises:
        Refused: it is anything else.
    """
    count = reader.number(1)
    if count > ADDRESSES_MAX:
        raise Refused(Reason.BODY)
    return tuple(_one(reader) for _ in range(count))


def _one(reader: Reader) -> Address:
    version = reader.number(1)
    if version not in _SIZES:
        raise Refused(Reason.BODY)
    ip, port = ip_address(reader.take(_SIZES[version])), reader.number(2)
    try:
        found = address(str(ip), port)
    except ValueError:
        raise Refused(Reason.BODY) from None
    # IPv4 inside IPv6 would be a second form of the same.
    if found.is_ipv6 != (version == 6):
        raise Refused(Reason.BODY)
    return found
