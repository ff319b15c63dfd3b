"""Reads and writes the rules of ours that lead packets to tables (linux/fib_rules.h)."""

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from socket import IPPROTO_UDP
from typing import Final

from patronus.dataplane.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    ROUTE_PROTOCOL,
    attribute,
    attributes,
    change,
    dump,
    u32,
)
from patronus.dataplane.underlay.pinning import FAMILIES, Rule

RTM_NEWRULE: Final = 32
RTM_DELRULE: Final = 33
RTM_GETRULE: Final = 34
FR_ACT_TO_TBL: Final = 1
FRA_SRC, FRA_PRIORITY, FRA_FWMARK, FRA_TABLE, FRA_FWMASK = 2, 6, 10, 15, 16
FRA_PROTOCOL, FRA_IP_PROTO, FRA_DPORT_RANGE = 21, 22, 24
_RULE: Final = struct.Struct("=BBBBBBBBI")
"""struct fib_rule_hdr: family, lengths of destination and source, TOS, table, two spare, action,
flags."""


def rules() -> Iterator[Rule]:
    """Yield the rules of ours, of both families."""
    for family in FAMILIES:
        for body in dump(RTM_GETRULE, _RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            found = dict(attributes(body, _RULE.size))
            if found.get(FRA_PROTOCOL) == bytes([ROUTE_PROTOCOL]):
                yield _rule(family, found)


def add_rule(rule: Rule) -> None:
    """Add a rule.

    Raises:
        OSError: the kernel refused; EEXIST: it is there.
    """
    change(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, _body(rule))


def delete_rule(rule: Rule) -> None:
    """Remove a rule.

    Raises:
        OSError: the kernel refused; ENOENT: there is none.
    """
    change(RTM_DELRULE, 0, _body(rule))


def _rule(family: int, found: dict[int, bytes]) -> Rule:
    source = found.get(FRA_SRC)
    return Rule(
        family=family,
        priority=u32(found.get(FRA_PRIORITY, b"")),
        table=u32(found.get(FRA_TABLE, b"")),
        mark=u32(found.get(FRA_FWMARK, b"")),
        mask=u32(found.get(FRA_FWMASK, b"")),
        source=ip_address(source) if source else None,
        port=int.from_bytes(found.get(FRA_DPORT_RANGE, b"")[:2], "little"),
    )


def _body(rule: Rule) -> bytes:
    source_len = rule.source.max_prefixlen if rule.source is not None else 0
    body = _RULE.pack(rule.family, 0, source_len, 0, 0, 0, 0, FR_ACT_TO_TBL, 0)
    body += attribute(FRA_PROTOCOL, bytes([ROUTE_PROTOCOL]))
    body += attribute(FRA_PRIORITY, struct.pack("=I", rule.priority))
    body += attribute(FRA_TABLE, struct.pack("=I", rule.table))
    if rule.mark:
        body += attribute(FRA_FWMARK, struct.pack("=I", rule.mark))
        body += attribute(FRA_FWMASK, struct.pack("=I", rule.mask))
    if rule.source is not None:
        body += attribute(FRA_SRC, rule.source.packed)
    if rule.port:
        body += attribute(FRA_IP_PROTO, bytes([IPPROTO_UDP]))
        body += attribute(FRA_DPORT_RANGE, struct.pack("=HH", rule.port, rule.port))
    return body
