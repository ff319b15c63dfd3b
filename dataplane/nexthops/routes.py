"""Routes to users' prefixes, each over the group of its entry, and the rules that lead there.

They stand in a table for each class, with a ``throw`` for what lies behind this site. What comes
from the LAN looks into that of the first class that it matches (``classes.py``), then, as what
comes out of a tunnel, into that of the last one. All else, such as the router's own packets and the
kernel's check of the way back, looks there too, but for the default route: it must not swallow
what the underlay sends.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from socket import AF_INET, AF_INET6
from typing import Final, TypeAlias

from patronus.dataplane.nexthops.netlink import Request
from patronus.dataplane.nexthops.objects import GROUP_FIRST, PROTOCOL
from patronus.dataplane.routedump import (
    ROUTE,
    RTA_DST,
    RTA_PRIORITY,
    RTA_TABLE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    RTN_UNICAST,
)
from patronus.dataplane.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    attribute,
    attributes,
    dump,
    u32,
)

Network: TypeAlias = IPv4Network | IPv6Network

TABLE: Final = 7_400
"""Of the last class; those of the others follow it."""
CLASSES_MAX: Final = 64
LAST: Final = -1
"""In place of a class's number: the last one."""
PRIORITY: Final = 1_100
"""Of the rules, behind those of the underlay; those of classes come before, in their order, and
the rule for all others follows."""
NO_DSCP: Final = -1
NO_PORTS: Final = (0, 0)
LOCAL: Final = -1
"""In place of an entry: the prefix lies behind this site."""
METRIC: Final = 100
"""Of IPv6 routes, as it is shown; IPv4 ones have none."""

RTM_DELROUTE: Final = 25
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTA_NH_ID: Final = 30
RTN_THROW: Final = 9
FR_ACT_TO_TBL: Final = 1
FRA_DST, FRA_IIFNAME, FRA_PRIORITY, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE = 1, 3, 6, 14, 15
FRA_PROTOCOL, FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE, FRA_DSCP = 21, 22, 23, 24, 25
FAMILIES: Final = (AF_INET, AF_INET6)

_RULE: Final = struct.Struct("=BBBBBBBBI")
_PORTS: Final = struct.Struct("=HH")


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """Who looks into a table: what comes from an interface, or all but for default routes."""

    family: int
    interface: str = ""
    number: int = LAST
    """Of the class; what follows says of which of its packets."""
    dscp: int = NO_DSCP
    protocol: int = 0
    source_ports: tuple[int, int] = NO_PORTS
    target_ports: tuple[int, int] = NO_PORTS
    prefix: str = ""
    """Where they go."""

    @property
    def priority(self) -> int:
        """Rules are asked in this order."""
        if self.number != LAST:
            return PRIORITY - CLASSES_MAX + self.number
        return PRIORITY if self.interface else PRIORITY + 1


def table_of(number: int) -> int:
    """Return the table of a class."""
    return TABLE if number == LAST else TABLE + 1 + number


def adding(prefix: Network, entry: int, number: int = LAST) -> Request:
    """Return the request that makes or replaces a route of a class."""
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, _route(prefix, entry, number))


def dropping(prefix: Network, number: int = LAST) -> Request:
    """Return the request that removes a route of a class."""
    return Request(RTM_DELROUTE, 0, _route(prefix, LOCAL, number, any_type=True))


def routes(number: int = LAST) -> dict[Network, int]:
    """Return the entry of each prefix of ours in the table of a class.

    Raises:
        OSError: the kernel refused.
    """
    found: dict[Network, int] = {}
    for family in FAMILIES:
        question = ROUTE.pack(family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
        question += attribute(RTA_TABLE, struct.pack("=I", table_of(number)))
        for body in dump(RTM_GETROUTE, question):
            found.update(_parsed(body))
    return found


def _parsed(body: bytes) -> Iterator[tuple[Network, int]]:
    family, length, _, _, _, protocol, _, kind, _ = ROUTE.unpack_from(body)
    if protocol != PROTOCOL:
        return
    values = dict(attributes(body, ROUTE.size))
    raw = values.get(RTA_DST, bytes(4 if family == AF_INET else 16))
    prefix = IPv4Network((raw, length)) if family == AF_INET else IPv6Network((raw, length))
    yield prefix, LOCAL if kind == RTN_THROW else u32(values.get(RTA_NH_ID, b"")) - GROUP_FIRST


def _route(prefix: Network, entry: int, number: int, *, any_type: bool = False) -> bytes:
    family, local = (AF_INET, AF_INET6)[prefix.version == 6], entry == LOCAL
    kind = RTN_UNICAST if not local else 0 if any_type else RTN_THROW
    body = ROUTE.pack(family, prefix.prefixlen, 0, 0, 0, PROTOCOL, 0, kind, 0)
    body += attribute(RTA_TABLE, struct.pack("=I", table_of(number)))
    body += attribute(RTA_DST, prefix.network_address.packed)
    if family == AF_INET6:
        body += attribute(RTA_PRIORITY, struct.pack("=I", METRIC))
    if not local:
        body += attribute(RTA_NH_ID, struct.pack("=I", GROUP_FIRST + entry))
    return body


def adding_rule(rule: Rule) -> Request:
    """Return the request that makes a rule."""
    return Request(RTM_NEWRULE, NLM_F_CREATE, _rule(rule))


def dropping_rule(rule: Rule) -> Request:
    """Return the request that removes a rule."""
    return Request(RTM_DELRULE, 0, _rule(rule))


def rules() -> list[Rule]:
    """Return the rules of ours, each as often as it is there.

    Raises:
        OSError: the kernel refused.
    """
    found = []
    for family in FAMILIES:
        for body in dump(RTM_GETRULE, _RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            values = dict(attributes(body, _RULE.size))
            if values.get(FRA_PROTOCOL) == bytes([PROTOCOL]):
                found.append(_rule_of(family, body[1], values))
    return sorted(found)


def _rule_of(family: int, length: int, values: dict[int, bytes]) -> Rule:
    table, raw = u32(values.get(FRA_TABLE, b"")), values.get(FRA_DST)
    network = IPv4Network if family == AF_INET else IPv6Network
    return Rule(
        family,
        values.get(FRA_IIFNAME, b"").rstrip(b"\0").decode(),
        LAST if table == TABLE else table - TABLE - 1,
        dscp=values[FRA_DSCP][0] if FRA_DSCP in values else NO_DSCP,
        protocol=values.get(FRA_IP_PROTO, b"\0")[0],
        source_ports=_range(values.get(FRA_SPORT_RANGE)),
        target_ports=_range(values.get(FRA_DPORT_RANGE)),
        prefix=str(network((raw, length))) if raw else "",
    )


def _range(value: bytes | None) -> tuple[int, int]:
    if value is None:
        return NO_PORTS
    low, high = _PORTS.unpack_from(value)
    return low, high


def _rule(rule: Rule) -> bytes:
    prefix = ip_network(rule.prefix) if rule.prefix else None
    length = prefix.prefixlen if prefix else 0
    body = _RULE.pack(rule.family, length, 0, 0, 0, 0, 0, FR_ACT_TO_TBL, 0)
    body += attribute(FRA_PROTOCOL, bytes([PROTOCOL]))
    body += attribute(FRA_TABLE, struct.pack("=I", table_of(rule.number)))
    if prefix is not None:
        body += attribute(FRA_DST, prefix.network_address.packed)
    if rule.dscp != NO_DSCP:
        body += attribute(FRA_DSCP, bytes([rule.dscp]))
    if rule.protocol:
        body += attribute(FRA_IP_PROTO, bytes([rule.protocol]))
    for kind, ports in (
        (FRA_SPORT_RANGE, rule.source_ports), (FRA_DPORT_RANGE, rule.target_ports),
    ):  # fmt: skip
        if ports != NO_PORTS:
            body += attribute(kind, _PORTS.pack(*ports))
    if rule.interface:
        body += attribute(FRA_IIFNAME, rule.interface.encode() + b"\0")
    else:
        body += attribute(FRA_SUPPRESS_PREFIXLEN, struct.pack("=I", 0))
    return body + attribute(FRA_PRIORITY, struct.pack("=I", rule.priority))
