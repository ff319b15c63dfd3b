"""Interfaces of ours in the kernel: found, made, and given MTU, addresses and routes.

What is ours is decided here and nowhere else. The alias cannot be set by the request that
makes a device, its group can; so a device that a crash left between the two requests is known
by its group.

All of it is about the network namespace of the thread that calls.
"""

import errno
import hashlib
import socket
import struct
from collections.abc import Collection, Iterable
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from patronus.dataplane.linkdump import Link, addresses, link, links, neighbours
from patronus.dataplane.linkwrite import (
    add_address,
    add_link,
    delete_address,
    delete_link,
    set_link,
    set_link_data,
    set_neighbour,
)
from patronus.dataplane.routedump import RT_TABLE_MAIN, Route, routes
from patronus.dataplane.routewrite import delete_route, set_route
from patronus.dataplane.rtnetlink import ROUTE_PROTOCOL, attributes, u32
from patronus.dataplane.tunnels.driver import DeviceState, Drift, Ownership, TunnelTrouble
from patronus.dataplane.tunnels.spec import Address, DeviceSpec, Endpoint, Kind

GROUP: Final = 0x7074_7573
"""Of a device of ours that has no alias yet."""
FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)

IFLA_VXLAN_ID, IFLA_VXLAN_GROUP, IFLA_VXLAN_LOCAL, IFLA_VXLAN_PORT = 1, 2, 4, 15
IFLA_VXLAN_GROUP6, IFLA_VXLAN_LOCAL6 = 16, 17

EXISTS: Final = frozenset({errno.EEXIST})
GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL})
"""How the kernel says that there was nothing."""


class Found(NamedTuple):
    """A device of ours."""

    link: Link
    state: DeviceState


class Links:
    """The interfaces of one owner."""

    def __init__(self, ownership: Ownership) -> None:
        self.ownership = ownership

    # Reading

    def look(self, kind: Kind) -> dict[str, Found]:
        """Return the devices of ours of one kind, by name, each table read once for all."""
        ours = [found for found in links() if self._is_ours(found, kind)]
        states = _states(ours, kind) if ours else []
        return {found.name: Found(found, state) for found, state in zip(ours, states, strict=True)}

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the devices of ours of one kind."""
        return sorted(found.name for found in links() if self._is_ours(found, kind))

    def underlay_addresses(self) -> frozenset[Address]:
        """Return the addresses of this machine but for those of our own devices."""
        ours = {
            found.index for found in links() if any(self._is_ours(found, kind) for kind in Kind)
        }
        return frozenset(owned.address for owned in addresses() if owned.index not in ours)

    def find_ours(self, name: str, kind: Kind) -> Link | None:
        """Return the device of ours of this name, None if there is nothing of the name.

        Raises:
            TunnelTrouble: there is an interface of this name that is not ours.
        """
        found = link(name)
        if found is not None and not self._is_ours(found, kind):
            raise TunnelTrouble(
                f"{name}: an interface of this name is not ours (alias {found.alias!r}); "
                "it is left alone: rename or remove it"
            )
        return found

    def _is_ours(self, found: Link, kind: Kind) -> bool:
        if found.alias is None and found.group == GROUP:
            return found.name.startswith(self.ownership.prefix)
        return self.ownership.owns(found.name, found.alias, kind)

    # Making

    def add(self, name: str, *, kind: str, mtu: int = 0, mac: str = "", data: bytes = b"") -> Link:
        """Make a device, down and with no address."""
        with _Telling(name, "cannot be made"):
            add_link(name, kind=kind, group=GROUP, mtu=mtu, mac=mac, data=data)
        found = link(name)
        if found is None:
            raise TunnelTrouble(f"{name}: vanished as soon as it was made")
        return found

    def change_data(self, device: Link, *, kind: str, data: bytes) -> None:
        """Set attributes of a device's kind."""
        with _Telling(device.name, "cannot be changed"):
            set_link_data(device.index, kind=kind, data=data)

    def delete(self, device: Link) -> None:
        """Remove a device; that it is gone already is fine."""
        with _Telling(device.name, "cannot be removed", fine=GONE):
            delete_link(device.index)

    def shape(self, spec: DeviceSpec, device: Link, state: DeviceState | None) -> list[Drift]:
        """Give a device of ours its tag, MTU, addresses, routes and neighbours; bring it up.

        Args:
            spec: how it shall be.
            device: of :meth:`look` or fresh.
            state: how it is; None: fresh, with nothing on it.

        Raises:
            TunnelTrouble: the kernel refuses one of them.
        """
        have = state or DeviceState(name=spec.name, kind=spec.kind, mtu=device.mtu, up=device.up)
        drifts = self._attributes(spec, device, have)
        drifts += self._addresses(spec, device, have)
        drifts += self._routes(spec, device, have)
        if spec.kind is Kind.VXLAN:
            drifts += self._neighbours(spec, device, have)
        return drifts

    def _attributes(self, spec: DeviceSpec, device: Link, have: DeviceState) -> list[Drift]:
        alias = self.ownership.alias(spec.kind)
        differing = [
            Drift(spec.name, what, str(want), str(found))
            for what, want, found in (
                ("alias", alias, device.alias),
                ("mtu", spec.mtu, have.mtu),
                ("state", "up", "up" if have.up else "down"),
            )
            if want != found
        ]
        if differing:
            with _Telling(spec.name, "cannot be changed"):
                set_link(device.index, alias=alias, mtu=spec.mtu, up=True)
        return differing

    def _addresses(self, spec: DeviceSpec, device: Link, have: DeviceState) -> list[Drift]:
        want = frozenset(spec.addresses)
        for address in have.addresses - want:
            with _Telling(spec.name, f"remove {address}", fine=GONE):
                delete_address(device.index, address)
        for address in want - have.addresses:
            with _Telling(spec.name, f"add {address}", fine=EXISTS):
                add_address(device.index, address)
        return _drift(spec.name, "addresses", want, have.addresses)

    def _routes(self, spec: DeviceSpec, device: Link, have: DeviceState) -> list[Drift]:
        peers = (address for tunnel in spec.tunnels for address in tunnel.peer_addresses)
        want = frozenset((address, spec.metric) for address in peers)
        # A device that was down lost its IPv4 routes with it; they are asked for again.
        present = have.routes if have.up else frozenset[tuple[Address, int]]()
        for address, metric in present - want:
            with _Telling(spec.name, f"remove the route to {address}", fine=GONE):
                delete_route(_route(device, address, metric))
        for address, metric in want - present:
            with _Telling(spec.name, f"route to {address}"):
                set_route(_route(device, address, metric))
        return _drift(spec.name, "routes", want, present)

    def _neighbours(self, spec: DeviceSpec, device: Link, have: DeviceState) -> list[Drift]:
        want = frozenset(
            (address, mac_of(tunnel.peer_addresses, tunnel.vni))
            for tunnel in spec.tunnels
            for address in tunnel.peer_addresses
        )
        present = have.neighbours if have.up else frozenset[tuple[Address, str]]()
        for address, mac in want - present:
            with _Telling(spec.name, f"neighbour {address}"):
                set_neighbour(device.index, address, mac)
        return _drift(spec.name, "neighbours", want, want & present)


def _route(device: Link, address: Address, metric: int) -> Route:
    return Route(
        family=FAMILIES[address.version == 6],
        dst=address,
        dst_len=address.max_prefixlen,
        table=RT_TABLE_MAIN,
        protocol=ROUTE_PROTOCOL,
        oif=device.index,
        metric=metric,
    )


def mac_of(ends: Iterable[Address], vni: int) -> str:
    """Return the link address of an end of a VXLAN tunnel, which both ends can compute.

    Locally administered (IEEE 802 section 8.2), from the end's first tunnel address. With it
    nobody asks for link addresses through the tunnel.
    """
    first = min(ends, key=lambda address: (address.version, address))
    digest = hashlib.blake2s(first.packed + vni.to_bytes(3, "big"), digest_size=5).digest()
    return (b"\x02" + digest).hex(":")


def _states(ours: Iterable[Link], kind: Kind) -> Iterable[DeviceState]:
    """Yield the state of each device."""
    owned: dict[int, set[Address]] = {}
    for index, address, _ in addresses():
        if not address.is_link_local:
            owned.setdefault(index, set()).add(address)
    known: dict[int, set[tuple[Address, str]]] = {}
    for index, address, mac in neighbours() if kind is Kind.VXLAN else ():
        known.setdefault(index, set()).add((address, mac))
    ways: dict[int, set[tuple[Address, int]]] = {}
    for family in FAMILIES:
        for route in routes(family, protocol=ROUTE_PROTOCOL):
            if route.dst is not None and route.oif:
                ways.setdefault(route.oif, set()).add((route.dst, route.metric))
    for device in ours:
        data = dict(attributes(device.data)) if kind is Kind.VXLAN else {}
        yield DeviceState(
            name=device.name,
            kind=kind,
            index=device.index,
            up=device.up,
            mtu=device.mtu,
            addresses=frozenset(owned.get(device.index, ())),
            routes=frozenset(ways.get(device.index, ())),
            neighbours=frozenset(known.get(device.index, ())),
            local=_endpoint(data, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6),
            remote=_endpoint(data, IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6),
            vni=u32(data.get(IFLA_VXLAN_ID, b"")),
        )


def _endpoint(data: dict[int, bytes], four: int, six: int) -> Endpoint | None:
    packed = data.get(four) or data.get(six)
    if not packed:
        return None
    port: int = struct.unpack("!H", data.get(IFLA_VXLAN_PORT, bytes(2)))[0]
    return Endpoint(ip_address(packed), port)


class _Telling:
    """Turns the kernel's refusal of a request into one clear message."""

    def __init__(self, name: str, what: str, fine: frozenset[int] = frozenset()) -> None:
        self._name, self._what, self._fine = name, what, fine

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, OSError):
            return False
        if error.errno not in self._fine:
            hint = "the agent needs root" if error.errno == errno.EPERM else error.strerror
            raise TunnelTrouble(f"{self._name}: {self._what}: {hint}") from None
        return True


def _drift(name: str, what: str, want: Collection[Any], have: Collection[Any]) -> list[Drift]:
    if want == have:
        return []
    return [Drift(name, what, _names(want), _names(have))]


def _names(values: Iterable[Any]) -> str:
    parts = (" ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values)
    return ", ".join(sorted(parts)) or "none"
