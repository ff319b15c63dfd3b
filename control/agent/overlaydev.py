"""The overlay device, through which the kernel itself reaches other sites.

Routes of the main table lead there: the router's own packets, those that the kernel forwards in
mode ``mark``, and those that it had to cut in pieces. At its egress ``steer_out`` takes them.
What comes out of a tunnel and is the kernel's business is handed in at the device
(``bpf/handin.h``), so for reverse path checks and firewalls both directions are one device's.

Our routes have a metric behind all others: whoever knows a better way to one of these prefixes,
such as a provider's default route, keeps it for what the router sends itself. Marked packets of
the LAN do not ask the main table (:func:`patronus.control.agent.wanted.overlay_pin`).
"""

import errno
from collections.abc import Collection, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from patronus.dataplane.linkdump import Link, link
from patronus.dataplane.linkwrite import add_link, delete_link, set_link
from patronus.dataplane.linux.prefixes import Network
from patronus.dataplane.routedump import RT_TABLE_MAIN, Route, raw_routes, routes
from patronus.dataplane.routewrite import delete_route, set_route
from patronus.dataplane.rtnetlink import ROUTE_PROTOCOL
from patronus.dataplane.tunnels.driver import Ownership
from patronus.dataplane.underlay.pinning import FAMILIES

MAC: Final = "02:50:61:74:72:6e"
"""``OVERLAY_MAC`` of ``bpf/handin.h``."""
KINDS: Final = ("dummy", "ifb")
"""Devices that resolve no neighbours; kernels for tests often lack the first."""
METRIC: Final = 7_470
GROUP: Final = 0x7074_6F76
MTU_LEAST: Final = {4: 68, 6: 1_280}
"""RFC 791 section 3.2; RFC 8200 section 5: a smaller device has no IPv6."""

_GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV})

Sources = Mapping[int, IPv4Address | IPv6Address]


class OverlayDevice:
    """The device of one agent, and the routes over it."""

    def __init__(self, ownership: Ownership, prefixes: Collection[Network] = ()) -> None:
        """Name what is wanted; nothing is done yet.

        Args:
            ownership: of our devices.
            prefixes: of other sites.
        """
        self.name = name_of(ownership)
        self._alias = f"{ownership.tag}:overlay"
        self._prefixes = prefixes
        self._mtu_least = max((MTU_LEAST[p.version] for p in prefixes), default=MTU_LEAST[6])
        self.index = 0
        """The kernel's number of it; 0: there is none."""
        self._mtu = 0
        """What it was given last."""
        self.troubles: list[str] = []
        self._sound: tuple[tuple[int, Sources], list[list[bytes]]] | None = None
        """What the kernel held when its routes were found to be right, and for what."""

    def ensure(self, mtu: int) -> int:
        """Make the device, or what is wanted of it; return whether somebody had changed it.

        Args:
            mtu: what every tunnel carries, 0 while there is none.
        """
        self.troubles = []
        mtu, before = max(mtu or MTU_LEAST[6], self._mtu_least), (self._alias, self._mtu, True)
        try:
            found = link(self.name)
            if found is not None and self._is_strange(found):
                self.troubles = [f"{self.name}: an interface of this name is not ours"]
                self.index = 0
                return 0
            changed = found is None or _state(found) != before
            found = found or self._make(mtu)
            if _state(found) != (self._alias, mtu, True):
                set_link(found.index, alias=self._alias, mtu=mtu, up=True)
            drifted = changed and self._mtu > 0  # the first time it is news, no drift
            self.index, self._mtu = found.index, mtu
            return int(drifted)
        except OSError as error:
            self.index = 0
            self.troubles = [f"{self.name} cannot be had: {error.strerror}"]
            return 0

    def _is_strange(self, found: Link) -> bool:
        return found.alias != self._alias and found.group != GROUP

    def _make(self, mtu: int) -> Link:
        for kind in KINDS:
            try:
                add_link(self.name, kind=kind, group=GROUP, mtu=mtu, mac=MAC, data=b"")
                break
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP or kind == KINDS[-1]:
                    raise
        found = link(self.name)
        if found is None:
            raise OSError(errno.ENODEV, "vanished as soon as it was made")
        return found

    def lead(self, sources: Sources) -> int:
        """Make the routes of the main table; return how many differed.

        Args:
            sources: the address that the router's own packets come from, by version of IP: one
                that other sites can answer.
        """
        if not self.index:
            return 0
        there = self.index, dict(sources)
        raw = [raw_routes(f, table=RT_TABLE_MAIN, oif=self.index) for f in FAMILIES]
        if self._sound == (there, raw):
            return 0
        changed = self._lead(sources)
        # To make routes of bytes takes ten times as long as to ask for them.
        self._sound = None if changed else (there, raw)
        return changed

    def _lead(self, sources: Sources) -> int:
        want = {self._route(prefix, sources) for prefix in self._prefixes}
        have = {
            route
            for family in FAMILIES
            for route in routes(family, table=RT_TABLE_MAIN, oif=self.index)
            if route.protocol == ROUTE_PROTOCOL
        }
        for route in have - want:
            _delete(route)
        for route in want - have:
            try:
                set_route(route)
            except OSError as error:
                self.troubles.append(f"route to {route.dst or 'default'}: {error.strerror}")
        return len(have ^ want)

    def _route(self, prefix: Network, sources: Sources) -> Route:
        whole = Route(
            FAMILIES[prefix.version == 6], prefix.network_address, prefix.prefixlen,
            RT_TABLE_MAIN, ROUTE_PROTOCOL, oif=self.index, metric=METRIC,
            prefsrc=sources.get(prefix.version),
        )  # fmt: skip
        return whole if prefix.prefixlen else replace(whole, dst=None)

    def remove(self) -> list[str]:
        """Take the device away, and its routes with it; return what there was."""
        found = link(self.name)
        if found is None or self._is_strange(found):
            return []
        delete_link(found.index)
        return [self.name]


def name_of(ownership: Ownership) -> str:
    """Return the name of an agent's overlay device."""
    return f"{ownership.prefix}overlay"


def _state(found: Link) -> tuple[str | None, int, bool]:
    return found.alias, found.mtu, found.up


def _delete(route: Route) -> None:
    try:
        delete_route(route)
    except OSError as error:
        if error.errno not in _GONE:
            raise
