"""Routes to users' prefixes, each over the group of its entry, and the rules that lead there.

They stand in a table of their own, with a ``throw`` for what lies behind this site. What comes
from the LAN or out of a tunnel looks there first. All else, such as the router's own packets and
the kernel's check of the way back, looks there too, but for the default route: it must not
swallow what the underlay sends.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
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
PRIORITY: Final = 1_100
"""Of the rules, behind those of the underlay; the rule for all others follows them."""
LOCAL: Final = -1
"""In place of an entry: the prefix lies behind this site."""
METRIC: Final = 100
"""Of IPv6 routes, as it is shown; IPv4 ones have none."""

RTM_DELROUTE: Final = 25
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTA_NH_ID: Final = 30
RTN_THROW: Final = 9
FR_ACT_TO_TBL: Final = 1
FRA_IIFNAME, FRA_PRIORITY, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_PROTOCOL = 3, 6, 14, 15, 21
FAMILIES: Final = (AF_INET, AF_INET6)

_RULE: Final = struct.Struct("=BBBBBBBBI")


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """Who looks into the table: what comes from an interface, or all but for default routes."""

    family: int
    interface: str = ""


def adding(prefix: Network, entry: int) -> Request:
    """Return the request that makes or replaces a route."""
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, _route(prefix, entry))


def dropping(prefix: Network) -> Request:
    """Return the request that removes a route."""
    return Request(RTM_DELROUTE, 0, _route(prefix, LOCAL, any_type=True))


def routes() -> dict[Network, int]:
    """Return the entry of each prefix of ours.

    Raises:
        OSError: the kernel refused.
    """
    found: dict[Network, int] = {}
    for family in FAMILIES:
        question = ROUTE.pack(family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
        question += attribute(RTA_TABLE, struct.pack("=I", TABLE))
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


def _route(prefix: Network, entry: int, *, any_type: bool = False) -> bytes:
    family, local = (AF_INET, AF_INET6)[prefix.version == 6], entry == LOCAL
    kind = RTN_UNICAST if not local else 0 if any_type else RTN_THROW
    body = ROUTE.pack(family, prefix.prefixlen, 0, 0, 0, PROTOCOL, 0, kind, 0)
    body += attribute(RTA_TABLE, struct.pack("=I", TABLE))
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
                name = values.get(FRA_IIFNAME, b"").rstrip(b"\0").decode()
                found.append(Rule(family, name))
    return sorted(found)


def _rule(rule: Rule) -> bytes:
    body = _RULE.pack(rule.family, 0, 0, 0, 0, 0, 0, FR_ACT_TO_TBL, 0)
    body += attribute(FRA_PROTOCOL, bytes([PROTOCOL]))
    body += attribute(FRA_TABLE, struct.pack("=I", TABLE))
    if rule.interface:
        body += attribute(FRA_IIFNAME, rule.interface.encode() + b"\0")
    else:
        body += attribute(FRA_SUPPRESS_PREFIXLEN, struct.pack("=I", 0))
    priority = PRIORITY if rule.interface else PRIORITY + 1
    return body + attribute(FRA_PRIORITY, struct.pack("=I", priority))
