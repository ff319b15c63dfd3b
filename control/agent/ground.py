"""The ground that tunnels stand on: interfaces, their addresses, and what pins them.

Looked at anew each time: an address by DHCP, a re-created interface and a rule that somebody
deleted are all the same to it, a difference.
"""

import fcntl
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from patronus.control.config.model import AgentConfig, Transport
from patronus.dataplane.linkdump import Link, addresses, links
from patronus.dataplane.underlay import kernel
from patronus.dataplane.underlay.pinning import Pin, State, Status, check

Address: TypeAlias = IPv4Address | IPv6Address

ARPHRD_ETHER: Final = 1
"""linux/if_arp.h"""
SIOCGIFHWADDR: Final = 0x8927
_REQUEST: Final = struct.Struct("=16sH22x")


class Ground:
    """What this machine's network namespace has for the transports and the LAN."""

    def __init__(self, config: AgentConfig, pins: list[Pin]) -> None:
        """Look at nothing yet.

        Args:
            config: of the site.
            pins: what ties transports, and the overlay device, to their interfaces.

        Raises:
            BadPins: the transports exclude each other.
        """
        self._config = config
        self._pins = pins
        check(self._pins)
        self.links: dict[str, Link] = {}
        self.statuses: dict[str, Status] = {}
        self.troubles: list[str] = []
        self.lan_addresses: tuple[Address, ...] = ()

    def ensure(self) -> int:
        """Look, and repair rules and routes; return how many differed."""
        outcome = kernel.ensure(self._pins)
        self.links = {link.name: link for link in links()}
        self.statuses = {status.transport: status for status in outcome.statuses}
        self.troubles = [*outcome.troubles, *self._missing()]
        lan = {
            self.links[i.name].index for i in self._config.lan.interfaces if i.name in self.links
        }
        self.lan_addresses = tuple(o.address for o in addresses() if o.ifindex in lan)
        return len(outcome.steps)

    def _missing(self) -> Iterator[str]:
        for transport in self._config.transports:
            status = self.statuses[transport.name]
            if status.state is not State.PINNED:
                yield f"transport {transport.name} on {transport.interface}: {status.state}"
            if status.trouble:
                yield f"transport {transport.name}: {status.trouble}"
        for interface in self._config.lan.interfaces:
            if interface.name not in self.links:
                yield f"lan: there is no interface {interface.name}"

    def usable(self, transport: Transport) -> bool:
        """Tell whether a transport's interface is there and up."""
        found = self.links.get(transport.interface)
        return found is not None and found.up

    def local(self, transport: Transport, version: int) -> Address | None:
        """Return our address on a transport, None while it has none of that version."""
        if transport.address is not None:
            configured = ip_address(transport.address)
            return configured if configured.version == version else None
        status = self.statuses.get(transport.name)
        own = status.addresses if status else ()
        return next((a for a in own if a.version == version), None)

    def pmtu(self, transport: Transport) -> int | None:
        """Return what a path over a transport carries at most, None without its interface."""
        found = self.links.get(transport.interface)
        if found is None:
            return None
        return min(found.mtu, transport.mtu) if transport.mtu else found.mtu

    def sources(self) -> dict[int, Address]:
        """Return an address of ours by version of IP that other sites can answer, if there is."""
        inside = [ip_network(prefix) for prefix in self._config.lan.prefixes]
        found: dict[int, Address] = {}
        for address in self.lan_addresses:
            if any(address in prefix for prefix in inside):
                found.setdefault(address.version, address)
        return found

    def lan_up(self) -> bool:
        """Tell whether some interface of the LAN is up; without any there is nothing to lose."""
        names = [i.name for i in self._config.lan.interfaces]
        return not names or any(n in self.links and self.links[n].up for n in names)


def has_ethernet(interface: str) -> bool:
    """Tell whether an interface's packets stand behind an Ethernet header."""
    # Not from /sys, which shows the network namespace that it was mounted in.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, SIOCGIFHWADDR, _REQUEST.pack(interface.encode(), 0))
        except OSError:  # it has just gone; what is attached to it goes as well
            return True
    kind: int = _REQUEST.unpack(answer)[1]
    return kind == ARPHRD_ETHER
