"""Interfaces of ours in the kernel: found, made, and given MTU, addresses and routes.

What is ours is decided here and nowhere else. The alias cannot be set by the request that
makes a device, its group can; so a device that a crash left between the two requests is known
by its group.

An instance belongs to one thread, and to the network namespace that the thread was in when it
was made. pyroute2's calls block: an asyncio program keeps them in a thread of their own.
"""

import hashlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from patronus.dataplane.routedump import ROUTE_PROTOCOL, routes
from patronus.dataplane.tunnels.driver import (
    DeviceState,
    Drift,
    Ownership,
    TunnelTrouble,
)
from patronus.dataplane.tunnels.spec import Address, DeviceSpec, Endpoint, Kind

GROUP: Final = 0x7074_7573
"""Of a device of ours that has no alias yet."""
IFF_UP: Final = 1
IFA_F_NODAD: Final = 2
"""Tunnel addresses are assigned; asking whether someone else has one delays its use by 1 s."""
NUD_PERMANENT: Final = 0x80
RT_SCOPE_LINK: Final = 253
FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Link:
    """One interface, as the kernel has it."""

    name: str
    index: int
    mtu: int
    up: bool
    alias: str | None
    group: int
    mac: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    """Attributes of its kind, by pyroute2's names."""


class Links:
    """The interfaces of one namespace."""

    def __init__(self, ownership: Ownership) -> None:
        self.ownership = ownership
        self._ip = IPRoute()

    def close(self) -> None:
        """Release the socket; the interfaces stay."""
        self._ip.close()

    def ours(self, kind: Kind) -> dict[str, Link]:
        """Return the devices of ours of one kind, by name."""
        found = (_link(message) for message in self._ip.get_links())
        return {link.name: link for link in found if self.is_ours(link, kind)}

    def is_ours(self, link: Link, kind: Kind) -> bool:
        """Tell whether a device is ours, a half-made one included."""
        if link.alias is None and link.group == GROUP:
            return link.name.startswith(self.ownership.prefix)
        return self.ownership.owns(link.name, link.alias, kind)

    def find(self, name: str) -> Link | None:
        """Return the interface of this name, whoever made it."""
        index = self._ip.link_lookup(ifname=name)
        if not index:
            return None
        try:
            return _link(next(iter(self._ip.get_links(index[0]))))
        except NetlinkError:
            return None  # it went away between the two questions

    def find_ours(self, name: str, kind: Kind) -> Link | None:
        """Return the device of ours of this name, None if there is nothing of the name.

        Raises:
            TunnelTrouble: there is an interface of this name that is not ours.
        """
        link = self.find(name)
        if link is not None and not self.is_ours(link, kind):
            raise TunnelTrouble(
                f"{name}: an interface of this name is not ours (alias {link.alias!r}); "
                "it is left alone: rename or remove it"
            )
        return link

    def add(self, name: str, *, kind: str, **data: object) -> Link:
        """Make a device, down and with no address."""
        with _telling(name, "cannot be made"):
            self._ip.link("add", ifname=name, kind=kind, group=GROUP, **data)
        link = self.find(name)
        if link is None:
            raise TunnelTrouble(f"{name}: vanished as soon as it was made")
        return link

    def change(self, link: Link, **data: object) -> None:
        """Set attributes of a device."""
        with _telling(link.name, "cannot be changed"):
            self._ip.link("set", index=link.index, **data)

    def delete(self, link: Link) -> None:
        """Remove a device; that it is gone already is fine."""
        with _telling(link.name, "cannot be removed", fine=_GONE):
            self._ip.link("del", index=link.index)

    def tag(self, link: Link, kind: Kind) -> None:
        """Mark a device as ours."""
        self.change(link, ifalias=self.ownership.alias(kind))

    def state(self, link: Link, kind: Kind) -> DeviceState:
        """Return what the kernel has of a device of ours."""
        data = link.data
        return DeviceState(
            name=link.name,
            kind=kind,
            index=link.index,
            up=link.up,
            mtu=link.mtu,
            addresses=frozenset(self._addresses(link)),
            routes=frozenset(self._routes(link)),
            neighbours=frozenset(self._neighbours(link)) if kind is Kind.VXLAN else frozenset(),
            local=_endpoint(data, "LOCAL"),
            remote=_endpoint(data, "GROUP"),
            vni=data.get("IFLA_VXLAN_ID", 0),
        )

    def shape(self, spec: DeviceSpec, link: Link) -> list[Drift]:
        """Give a device of ours its tag, MTU, addresses, routes and neighbours; bring it up.

        Raises:
            TunnelTrouble: the kernel refuses one of them.
        """
        if link.alias != self.ownership.alias(spec.kind):
            self.tag(link, spec.kind)
        found, drifts = self.state(link, spec.kind), list[Drift]()
        if found.mtu != spec.mtu:
            drifts.append(Drift(spec.name, "mtu", str(spec.mtu), str(found.mtu)))
            self.change(link, mtu=spec.mtu)
        if not found.up:
            drifts.append(Drift(spec.name, "state", "up", "down"))
            self.change(link, state="up")
        drifts += self._shape_addresses(spec, link)
        drifts += self._shape_routes(spec, link)
        if spec.kind is Kind.VXLAN:
            drifts += self._shape_neighbours(spec, link)
        return drifts

    def _shape_addresses(self, spec: DeviceSpec, link: Link) -> list[Drift]:
        want, have = set(spec.addresses), set(self._addresses(link))
        for address in have - want:
            self._address("del", link, address)
        for address in want - have:
            self._address("add", link, address)
        return _drift(spec.name, "addresses", want, have)

    def _shape_routes(self, spec: DeviceSpec, link: Link) -> list[Drift]:
        have = set(self._routes(link))
        want = {(a, spec.metric) for tunnel in spec.tunnels for a in tunnel.peer_addresses}
        for address, metric in have - want:
            self._route("del", link, address, metric)
        for address, metric in want - have:
            self._route("replace", link, address, metric)
        return _drift(spec.name, "routes", want, have)

    def _shape_neighbours(self, spec: DeviceSpec, link: Link) -> list[Drift]:
        have, drifts = self._neighbours(link), list[Drift]()
        for tunnel in spec.tunnels:
            mac = mac_of(tunnel.peer_addresses, tunnel.vni)
            for address in tunnel.peer_addresses:
                if have.get(address) != mac:
                    drifts += _drift(spec.name, "neighbours", {address}, set(have))
                    self._neighbour(link, address, mac)
        return drifts

    # One request each

    def _addresses(self, link: Link) -> Iterable[Address]:
        for message in self._ip.get_addr(index=link.index):
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            address = ip_address(text)
            if not address.is_link_local:
                yield address

    def _address(self, command: str, link: Link, address: Address) -> None:
        data = {"flags": IFA_F_NODAD} if address.version == 6 and command == "add" else {}
        with _telling(link.name, f"{command} {address}", fine=_FINE[command]):
            self._ip.addr(
                command,
                index=link.index,
                address=str(address),
                prefixlen=address.max_prefixlen,
                **data,
            )

    def _routes(self, link: Link) -> Iterable[tuple[Address, int]]:
        for family in FAMILIES:
            for route in routes(family, protocol=ROUTE_PROTOCOL, oif=link.index):
                if route.dst is not None:
                    yield route.dst, route.metric

    def _route(self, command: str, link: Link, address: Address, metric: int) -> None:
        with _telling(link.name, f"route to {address}", fine=_FINE[command]):
            self._ip.route(
                command,
                dst=f"{address}/{address.max_prefixlen}",
                oif=link.index,
                proto=ROUTE_PROTOCOL,
                priority=metric,
                scope=RT_SCOPE_LINK if address.version == 4 else 0,
            )

    def _neighbours(self, link: Link) -> dict[Address, str]:
        return {
            ip_address(message.get_attr("NDA_DST")): message.get_attr("NDA_LLADDR")
            for family in FAMILIES
            for message in self._ip.get_neighbours(family=family, ifindex=link.index)
            if message["state"] & NUD_PERMANENT and not _is_group(message.get_attr("NDA_DST"))
        }

    def _neighbour(self, link: Link, address: Address, mac: str) -> None:
        with _telling(link.name, f"neighbour {address}"):
            self._ip.neigh(
                "replace", dst=str(address), lladdr=mac, ifindex=link.index, state=NUD_PERMANENT
            )


def mac_of(addresses: Iterable[Address], vni: int) -> str:
    """Return the link address of an end of a VXLAN tunnel, which both ends can compute.

    Locally administered (IEEE 802 section 8.2), from the end's first tunnel address. With it
    nobody asks for link addresses through the tunnel.
    """
    first = min(addresses, key=lambda address: (address.version, address))
    digest = hashlib.blake2s(first.packed + vni.to_bytes(3, "big"), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in b"\x02" + digest)


_EXISTS: Final = frozenset({17})
_GONE: Final = frozenset({2, 3, 19, 99})
"""ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL: how the kernel says that there was nothing."""
_FINE: Final = {"add": _EXISTS, "replace": frozenset[int](), "del": _GONE}


class _telling:  # noqa: N801  # reads as a verb: with _telling(name, what)
    """Turns the kernel's refusal into one clear message."""

    def __init__(self, name: str, what: str, fine: frozenset[int] = frozenset()) -> None:
        self._name, self._what, self._fine = name, what, fine

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, NetlinkError):
            return False
        if error.code not in self._fine:
            hint = ": the agent needs root" if error.code == 1 else f": {error.args[1]}"
            raise TunnelTrouble(f"{self._name}: {self._what}{hint}") from None
        return True


def _drift(name: str, what: str, want: set[Any], have: set[Any]) -> list[Drift]:
    if want == have:
        return []
    return [Drift(name, what, _names(want), _names(have))]


def _names(values: Iterable[Any]) -> str:
    parts = (" metric ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values)
    return ", ".join(sorted(parts)) or "none"


def _is_group(text: str) -> bool:
    return ip_address(text).is_multicast


def _endpoint(data: dict[str, Any], which: str) -> Endpoint | None:
    text = data.get(f"IFLA_VXLAN_{which}") or data.get(f"IFLA_VXLAN_{which}6")
    return Endpoint(ip_address(text), data.get("IFLA_VXLAN_PORT", 0)) if text else None


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_KIND") if info else None
    data = info.get_attr("IFLA_INFO_DATA") if info and kind == "vxlan" else None
    return Link(
        name=message.get_attr("IFLA_IFNAME"),
        index=message["index"],
        mtu=message.get_attr("IFLA_MTU"),
        up=bool(message["flags"] & IFF_UP),
        alias=message.get_attr("IFLA_IFALIAS") or None,
        group=message.get_attr("IFLA_GROUP") or 0,
        mac=message.get_attr("IFLA_ADDRESS") or "",
        kind=kind or "",
        data=dict(data["attrs"]) if data else {},
    )
