"""Telling classes apart without BPF: rules of the kernel that lead to a table for each class.

A match of a class becomes rules of the routing policy: one for each of its code points, ranges of
ports (as source and as target), prefixes, versions of IP and interfaces of the LAN. The kernel
looks at them one after the other for each packet, so there are at most ``RULES_MOST``; a policy
that needs more is not told apart. What matches none goes by the last class's table, as do the
router's own packets and packets in transit, whose interfaces are those of tunnels.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from socket import AF_INET
from typing import Final

from patronus.dataplane.nexthops.routes import FAMILIES, NO_DSCP, Rule
from patronus.engine.policy import Match, TrafficClass

RULES_MOST: Final = 256
"""Some 20 ns each on the way of every packet from the LAN."""


def class_rules(classes: Sequence[TrafficClass], interfaces: Iterable[str]) -> list[Rule] | None:
    """Return the rules of all classes but the last, None for too many.

    Args:
        classes: in their order: the first that matches takes a packet.
        interfaces: of the LAN.
    """
    names = list(interfaces)
    found: list[Rule] = []
    for number, traffic_class in enumerate(classes[:-1]):
        for match in traffic_class.matches or (Match(),):
            for rule in _rules(match, number, names):
                found.append(rule)
                if len(found) > RULES_MOST:
                    return None
    return found


def _rules(match: Match, number: int, interfaces: Sequence[str]) -> Iterator[Rule]:
    points = sorted(match.dscp) or [NO_DSCP]
    for family, name, point in product(FAMILIES, interfaces, points):
        rule = Rule(family, name, number, dscp=point, protocol=match.protocol or 0)
        for prefix, low_high in product(_prefixes(match, family), match.ports or [None]):
            narrow = replace(rule, prefix=prefix)
            if low_high is None:
                yield narrow
                continue
            # Port 0 stands for no port: only rules that ask for none match it.
            ports = max(low_high[0], 1), low_high[1]
            yield replace(narrow, source_ports=ports)
            yield replace(narrow, target_ports=ports)


def _prefixes(match: Match, family: int) -> list[str]:
    """Return the prefixes of a match in one version of IP; "" for any."""
    if not match.prefixes:
        return [""]
    networks = [ipaddress.ip_network(text) for text in match.prefixes]
    version = 4 if family == AF_INET else 6
    # The kernel has no rule for everything with a prefix of length 0: it is one without.
    return [str(n) if n.prefixlen else "" for n in networks if n.version == version]
