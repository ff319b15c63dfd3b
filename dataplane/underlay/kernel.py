"""Reads and writes the kernel's rules and routes for :mod:`patronus.dataplane.underlay.pinning`.

All of it is about the network namespace of the thread that calls.
"""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from patronus.dataplane.linkdump import addresses, links
from patronus.dataplane.routedump import RT_TABLE_MAIN, RTN_UNREACHABLE, Route, routes
from patronus.dataplane.routewrite import delete_route, set_route
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
from patronus.dataplane.underlay.rules import add_rule, delete_rule, rules

GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV})
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


def ensure(pins: Sequence[Pin]) -> Outcome:
    """Make the kernel hold exactly these pins.

    All have passed :func:`patronus.dataplane.underlay.pinning.check`.
    """
    present = observe(pins)
    outcome = Outcome(statuses=statuses(pins, present))
    for step in plan(pins, present):
        refused = _do(step)
        if refused:
            outcome.troubles.append(refused)
        else:
            outcome.steps.append(step)
    outcome.troubles += _strict_filters(pins, outcome.statuses)
    return outcome


def observe(pins: Sequence[Pin]) -> Present:
    """Return what the kernel has that matters to some pins."""
    known = {link.name: (link.index, link.up) for link in links()}
    wanted = {known[pin.interface][0] for pin in pins if pin.interface in known}
    in_tables = [
        route for pin in pins for family in FAMILIES for route in routes(family, table=pin.table)
    ]
    return Present(
        links=known,
        addresses=tuple(owned for owned in addresses() if owned.ifindex in wanted),
        defaults=tuple(
            route
            for family in FAMILIES
            for index in sorted(wanted)
            for route in routes(family, table=RT_TABLE_MAIN, oif=index, default_only=True)
        ),
        rules=frozenset(rules()),
        routes=frozenset(_ours()),
        foreign=frozenset(r for r in in_tables if r.protocol != ROUTE_PROTOCOL),
    )


def remove() -> list[Step]:
    """Remove all rules and routes of ours; return those that there were."""
    return ensure([]).steps


def _do(step: Step) -> str:
    """Send one request; return what the kernel objects to, if it does."""
    try:
        if isinstance(step.what, Rule):
            (add_rule if step.add else delete_rule)(step.what)
        else:
            (set_route if step.add else delete_route)(step.what)
    except OSError as error:
        fine = error.errno == errno.EEXIST if step.add else error.errno in GONE
        hint = "the agent needs root" if error.errno == errno.EPERM else error.strerror
        verb = "add" if step.add else "remove"
        return "" if fine else f"{verb} {_shown(step.what)}: {hint}"
    return ""


def _ours() -> Iterable[Route]:
    """Yield the routes of ours outside of the main table, which holds those of tunnels."""
    for family in FAMILIES:
        for route in routes(family, protocol=ROUTE_PROTOCOL, beside=RT_TABLE_MAIN):
            # IPv6 shows the loopback interface behind an unreachable route.
            yield replace(route, oif=0) if route.type == RTN_UNREACHABLE else route


def _strict_filters(pins: Sequence[Pin], states: Sequence[Status]) -> Iterable[str]:
    """Yield a warning for each interface whose source check drops what tunnels receive.

    With two providers, the main table's default route leads over one of them; on the other,
    the strict check drops every packet from afar. It is the administrator's setting.
    """
    for pin, status in zip(pins, states, strict=True):
        if status.state is not State.NO_INTERFACE and not pin.has_no_gateway:
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
