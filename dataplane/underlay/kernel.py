"""Reads and writes the kernel's rules and routes for :mod:`patronus.dataplane.underlay.pinning`.

An instance belongs to one thread and the network namespace that it was made in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, IPPROTO_UDP
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from patronus.dataplane.linkdump import addresses, links
from patronus.dataplane.routedump import (
    RT_TABLE_MAIN,
    RTN_UNREACHABLE,
    RTNH_F_ONLINK,
    Route,
    routes,
)
from patronus.dataplane.rtnetlink import ROUTE_PROTOCOL
from patronus.dataplane.underlay.pinning import (
    FAMILIES,
    Pin,
    Present,
    Rule,
    State,
    Status,
    Step,
    plan,
    statuses,
)

RT_SCOPE_LINK: Final = 253
FR_ACT_TO_TBL: Final = 1
EXISTS: Final = 17
GONE: Final = frozenset({2, 3, 19})
"""ENOENT, ESRCH, ENODEV."""
RP_FILTERS: Final = Path("/proc/sys/net/ipv4/conf")
STRICT: Final = "1"
"""RFC 3704 section 2.2: drop what would not go back the way it came."""


@dataclass(slots=True)
class Outcome:
    """What came of an ``ensure``."""

    steps: list[Step] = field(default_factory=list)
    """What differed and was repaired, to be counted."""
    troubles: list[str] = field(default_factory=list)
    """One clear message for each step that the kernel refused."""
    statuses: list[Status] = field(default_factory=list)


class Underlay:
    """The rules and routes of ours in one namespace."""

    def __init__(self) -> None:
        self._ip = IPRoute()

    def close(self) -> None:
        """Release the socket; rules and routes stay."""
        self._ip.close()

    def ensure(self, pins: Sequence[Pin]) -> Outcome:
        """Make the kernel hold exactly these pins.

        All have passed :func:`patronus.dataplane.underlay.pinning.check`.
        """
        present = self.observe(pins)
        outcome = Outcome(statuses=statuses(pins, present))
        for step in plan(pins, present):
            refused = self._do(step)
            if refused:
                outcome.troubles.append(refused)
            else:
                outcome.steps.append(step)
        outcome.troubles += _strict_filters(pins, outcome.statuses)
        return outcome

    def observe(self, pins: Sequence[Pin]) -> Present:
        """Return what the kernel has that matters to some pins."""
        known = {link.name: (link.index, link.up) for link in links()}
        wanted = {known[pin.interface][0] for pin in pins if pin.interface in known}
        in_tables = [
            route
            for pin in pins
            for family in FAMILIES
            for route in routes(family, table=pin.table)
        ]
        return Present(
            links=known,
            addresses=tuple(owned for owned in addresses() if owned.index in wanted),
            defaults=tuple(
                route
                for family in FAMILIES
                for index in sorted(wanted)
                for route in routes(family, table=RT_TABLE_MAIN, oif=index, default_only=True)
            ),
            rules=frozenset(self._rules()),
            routes=frozenset(_ours()),
            foreign=frozenset(r for r in in_tables if r.protocol != ROUTE_PROTOCOL),
        )

    def remove(self) -> list[Step]:
        """Remove all rules and routes of ours; return those that there were."""
        return self.ensure([]).steps

    def _rules(self) -> Iterable[Rule]:
        for family in FAMILIES:
            for message in self._ip.get_rules(family=family):
                if message.get_attr("FRA_PROTOCOL") == ROUTE_PROTOCOL:
                    yield _rule(message)

    def _do(self, step: Step) -> str:
        """Send one request; return what the kernel objects to, if it does."""
        try:
            if isinstance(step.what, Rule):
                self._ip.rule("add" if step.add else "del", **_rule_fields(step.what))
            else:
                self._ip.route("replace" if step.add else "del", **_route_fields(step.what))
        except NetlinkError as error:
            fine = error.code == EXISTS if step.add else error.code in GONE
            if fine:
                return ""
            hint = "the agent needs root" if error.code == 1 else error.args[1]
            return f"{'add' if step.add else 'remove'} {_shown(step.what)}: {hint}"
        return ""


def _ours() -> Iterable[Route]:
    """Yield the routes of ours outside of the main table, which holds those of tunnels."""
    for family in FAMILIES:
        for route in routes(family, protocol=ROUTE_PROTOCOL):
            if route.table != RT_TABLE_MAIN:
                # IPv6 shows the loopback interface behind an unreachable route.
                yield replace(route, oif=0) if route.type == RTN_UNREACHABLE else route


def _rule(message: Any) -> Rule:
    source = message.get_attr("FRA_SRC")
    ports = message.get_attr("FRA_DPORT_RANGE")
    return Rule(
        family=message["family"],
        priority=message.get_attr("FRA_PRIORITY") or 0,
        table=message.get_attr("FRA_TABLE") or message["table"],
        mark=message.get_attr("FRA_FWMARK") or 0,
        mask=message.get_attr("FRA_FWMASK") or 0,
        source=ip_address(source) if source else None,
        port=int(str(ports).partition(":")[0]) if ports else 0,
    )


def _rule_fields(rule: Rule) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "family": rule.family,
        "priority": rule.priority,
        "table": rule.table,
        "protocol": ROUTE_PROTOCOL,
        "action": FR_ACT_TO_TBL,
    }
    if rule.mark:
        fields |= {"fwmark": rule.mark, "fwmask": rule.mask}
    if rule.source is not None:
        fields |= {"src": str(rule.source), "src_len": rule.source.max_prefixlen}
    if rule.port:
        fields |= {"ip_proto": IPPROTO_UDP, "dport_range": f"{rule.port}:{rule.port}"}
    return fields


def _route_fields(route: Route) -> dict[str, Any]:
    dst = f"{route.dst}/{route.dst_len}" if route.dst is not None else "default"
    fields: dict[str, Any] = {
        "family": route.family,
        "dst": dst,
        "table": route.table,
        "proto": route.protocol,
        "type": route.type,
        "priority": route.metric,
    }
    if route.oif:
        fields["oif"] = route.oif
    if route.gateway is not None:
        fields["gateway"] = str(route.gateway)
    elif route.family == AF_INET and route.type != RTN_UNREACHABLE:
        fields["scope"] = RT_SCOPE_LINK
    if route.onlink:
        fields["flags"] = RTNH_F_ONLINK
    return fields


def _strict_filters(pins: Sequence[Pin], states: Sequence[Status]) -> Iterable[str]:
    """Yield a warning for each interface whose source check drops what tunnels receive.

    With two providers, the main table's default route leads over one of them; on the other,
    the strict check drops every packet from afar. It is the administrator's setting.
    """
    for pin, status in zip(pins, states, strict=True):
        if status.state is not State.NO_INTERFACE:
            values = [_setting(name) for name in ("all", pin.interface)]
            if max(values) == STRICT:
                yield (
                    f"{pin.interface}: rp_filter is strict, so packets that the main table would "
                    f"not send back there are dropped: set net.ipv4.conf.{pin.interface}."
                    "rp_filter=2"
                )


def _setting(interface: str) -> str:
    try:
        return (RP_FILTERS / interface / "rp_filter").read_text().strip()
    except OSError:
        return ""


def _shown(what: Rule | Route) -> str:
    if isinstance(what, Rule):
        selector = f"mark {what.mark:#x}" if what.mark else f"from {what.source} port {what.port}"
        return f"rule {selector} to table {what.table}"
    return f"route {what.dst or 'default'}/{what.dst_len} in table {what.table}"
