"""Pinning: a transport's packets leave by its interface, or not at all (DATAPLANE 7).

Each transport has a routing table of its own, which holds the prefixes of its interface, its
default route, and at the end ``unreachable``. Rules lead the packets of its tunnels there: by
their mark, and those of VXLAN devices, which the kernel does not mark, by source address and
port. So when WAN 1 loses its default route its tunnels die; without this they would go on over
WAN 2, and what looks like two paths would be one.

This module is pure: :func:`plan` compares what is wanted with what is present and returns the
steps from one to the other. The gateway is the one that DHCP, router advertisements or the
administrator put into the main table for the interface, unless the configuration names one;
a change of address, gateway or interface index is therefore just another difference.

Only rules and routes that carry our protocol number are ever changed. Routes of others in a
table of ours are reported, and left alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_interface
from socket import AF_INET, AF_INET6
from typing import Final, TypeAlias

from patronus.dataplane.routedump import RTN_UNICAST, RTN_UNREACHABLE, Route
from patronus.dataplane.rtnetlink import ROUTE_PROTOCOL

Address: TypeAlias = IPv4Address | IPv6Address

FAMILIES: Final[tuple[int, ...]] = (AF_INET, AF_INET6)
RESERVED_TABLES: Final = frozenset({0, 253, 254, 255})
"""unspec, default, main, local (linux/rtnetlink.h)."""
METRIC: Final = 100
LAST_METRIC: Final = 2**32 - 1
"""Of ``unreachable``: behind every other route."""
PRIORITY: Final = 1_000
"""Of the rules: behind the local table (0), before main (32766)."""
MARK_MASK: Final = 0x3F00_0000
"""The bits of a packet's mark that are ours; others use the lower ones."""


class BadPins(Exception):
    """Transports cannot be pinned like this; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What is wanted for one transport."""

    transport: str
    interface: str
    mark: int
    table: int
    mask: int = MARK_MASK
    gateways: tuple[Address, ...] = ()
    """Configured next hops, at most one of each family; none: as the main table says."""
    vxlan_port: int = 0
    """Where its VXLAN devices send to; 0: it has none."""
    has_no_gateway: bool = False
    """All that is marked leaves by the interface, with no next hop."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of ours."""

    family: int
    priority: int
    table: int
    mark: int = 0
    mask: int = 0
    source: Address | None = None
    port: int = 0
    """UDP destination port; 0: any packet."""


@dataclass(frozen=True, slots=True)
class Present:
    """What the kernel has."""

    links: dict[str, tuple[int, bool]]
    """Index of each interface, and whether it is up."""
    addresses: tuple[tuple[int, Address, int], ...]
    """Interface index, address, prefix length."""
    defaults: tuple[Route, ...]
    """Default routes of the main table."""
    rules: frozenset[Rule]
    """Ours."""
    routes: frozenset[Route]
    """Ours, in any table but main."""
    foreign: frozenset[Route] = frozenset()
    """Others', in our tables."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request to the kernel."""

    add: bool
    what: Rule | Route


class State(StrEnum):
    """What a transport can do at present."""

    PINNED = "pinned"
    NO_INTERFACE = "no interface"
    DOWN = "interface down"
    NO_ADDRESS = "no address"
    NO_GATEWAY = "no gateway"
    """Only what is on its own link can be reached."""


@dataclass(frozen=True, slots=True)
class Status:
    """How one transport is, and why."""

    transport: str
    state: State
    addresses: tuple[Address, ...] = ()
    """What its tunnels may send from; changes with DHCP."""
    versions: frozenset[int] = frozenset()
    """Versions of IP that have a default route."""
    trouble: str = ""


def check(pins: Sequence[Pin]) -> None:
    """Refuse pins that cannot work.

    Raises:
        BadPins: the first thing that is wrong.
    """
    for pin in pins:
        for problem in _problems(pin):
            raise BadPins(f"transport {pin.transport!r}: {problem}")
    for name in ("transport", "interface", "table", "mark"):
        for value, count in Counter(getattr(pin, name) for pin in pins).items():
            if count > 1:
                raise BadPins(f"two transports have the same {name}: {value}")
    if len({pin.mask for pin in pins}) > 1:
        raise BadPins("transports have different masks: one mark could lead to two tables")


def _problems(pin: Pin) -> Iterator[str]:
    if pin.table in RESERVED_TABLES or not 0 < pin.table < 2**32:
        yield f"table {pin.table} is the system's"
    if not 0 < pin.mark < 2**32 or pin.mark & ~pin.mask:
        yield f"mark {pin.mark:#x} is not within the mask {pin.mask:#x}"
    if not 0 <= pin.vxlan_port <= 65_535:
        yield f"port {pin.vxlan_port} is not one of 0 to 65535"
    if any(n > 1 for n in Counter(gateway.version for gateway in pin.gateways).values()):
        yield "two gateways of one version of IP"


def plan(pins: Sequence[Pin], present: Present) -> list[Step]:
    """Return the steps that lead from what is present to what is wanted.

    Additions come first, and among them what makes a table safe before what leads to it: at
    no point does a packet find a rule whose table lets it through to the next one.
    """
    rules = {rule for pin in pins for rule in _rules(pin, present)}
    routes = {route for pin in pins for route in _routes(pin, present)}
    return [
        *(Step(True, route) for route in sorted(routes - present.routes, key=_safest_first)),
        *(Step(True, rule) for rule in sorted(rules - present.rules, key=str)),
        *(Step(False, rule) for rule in sorted(present.rules - rules, key=str)),
        *(Step(False, r) for r in sorted(present.routes - routes, key=_safest_first, reverse=True)),
    ]


def statuses(pins: Sequence[Pin], present: Present) -> list[Status]:
    """Tell how each transport is."""
    return [_status(pin, present) for pin in pins]


def _status(pin: Pin, present: Present) -> Status:
    index, up = present.links.get(pin.interface, (0, False))
    own = tuple(_own_addresses(pin, present))
    hops = dict(_next_hops(pin, present))
    versions = frozenset(4 if family == AF_INET else 6 for family in hops)
    state = State.PINNED
    if not index:
        state = State.NO_INTERFACE
    elif not up:
        state = State.DOWN
    elif not own:
        state = State.NO_ADDRESS
    elif not versions:
        state = State.NO_GATEWAY
    others = [route for route in present.foreign if route.table == pin.table]
    trouble = f"table {pin.table} holds {len(others)} routes that are not ours" if others else ""
    return Status(pin.transport, state, own, versions, trouble)


def _rules(pin: Pin, present: Present) -> Iterator[Rule]:
    for family in FAMILIES:
        yield Rule(family, PRIORITY, pin.table, mark=pin.mark, mask=pin.mask)
    if pin.vxlan_port:
        for address in _own_addresses(pin, present):
            yield Rule(_family(address), PRIORITY, pin.table, source=address, port=pin.vxlan_port)


def _routes(pin: Pin, present: Present) -> Iterator[Route]:
    for family in FAMILIES:
        yield Route(family, None, 0, pin.table, ROUTE_PROTOCOL, RTN_UNREACHABLE, metric=LAST_METRIC)
    index, up = present.links.get(pin.interface, (0, False))
    if not up:
        return
    for owner, address, length in present.addresses:
        # A host route to ourselves leads nowhere; link-local prefixes are the interface's own.
        if owner == index and length < address.max_prefixlen and not address.is_link_local:
            prefix = ip_interface((address, length)).network.network_address
            yield replace(_via(pin, _family(address), index), dst=prefix, dst_len=length)
    for family, gateway in _next_hops(pin, present):
        # On link: the gateway of many a provider is outside of the prefix that it hands out.
        onlink = gateway is not None
        yield replace(_via(pin, family, index), gateway=gateway, onlink=onlink)


def _via(pin: Pin, family: int, index: int) -> Route:
    """Return a default route of ours over an interface."""
    return Route(family, None, 0, pin.table, ROUTE_PROTOCOL, oif=index, metric=METRIC)


def _next_hops(pin: Pin, present: Present) -> Iterator[tuple[int, Address | None]]:
    """Yield the next hop of each family that has one; None: the link has but one other end."""
    index, up = present.links.get(pin.interface, (0, False))
    if not up:
        return
    for family in FAMILIES:
        configured = [gateway for gateway in pin.gateways if _family(gateway) == family]
        if configured or pin.has_no_gateway:
            yield family, configured[0] if configured else None
            continue
        offered = [
            route
            for route in present.defaults
            if route.family == family and route.oif == index and route.type == RTN_UNICAST
        ]
        if offered:
            yield family, min(offered, key=lambda route: (route.metric, str(route.gateway))).gateway


def _family(address: Address) -> int:
    return AF_INET if address.version == 4 else AF_INET6


def _safest_first(route: Route) -> tuple[bool, bool, str]:
    """Order by: the end of a table, what is on link, what leads away."""
    return route.type != RTN_UNREACHABLE, route.gateway is not None, str(route)


def _own_addresses(pin: Pin, present: Present) -> Iterator[Address]:
    index, _ = present.links.get(pin.interface, (0, False))
    return (a for owner, a, _ in present.addresses if owner == index and not a.is_link_local)
