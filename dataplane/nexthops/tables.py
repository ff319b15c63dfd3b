"""What the kernel must hold beside devices: objects of entries, routes over them, and rules.

Compared with what is wanted, and repaired. Objects and rules are few and looked at each time.
100 k routes take a second to read, so they are looked at again after a hundred times as long as
that took, and at once where an object was gone, for its routes go with it.
"""

import errno
import time
from collections.abc import Iterable, Mapping
from typing import Final

from patronus.dataplane.nexthops import objects, routes
from patronus.dataplane.nexthops.dataplane import NexthopDataplane
from patronus.dataplane.nexthops.netlink import Channel, Request
from patronus.dataplane.nexthops.objects import CARRIER_FIRST, GROUP_FIRST, Hop
from patronus.dataplane.nexthops.routes import (
    CLASSES_MAX,
    FAMILIES,
    LAST,
    LOCAL,
    Network,
    Rule,
)

REST: Final = 100
"""Times as long as a look took is the time until the next."""
_GONE: Final = frozenset({errno.ENOENT, errno.ESRCH})


class HopTables:
    """The objects, routes and rules of one site."""

    def __init__(
        self,
        channel: Channel,
        plane: NexthopDataplane,
        wanted: Mapping[int, dict[Network, int]],
        interfaces: Iterable[str],
        classes: Iterable[Rule] = (),
    ) -> None:
        """Name what is wanted; nothing is done yet.

        Args:
            channel: of the network namespace.
            plane: knows which tunnel carries an entry.
            wanted: by the number of a class (``LAST``: the last one), the entry of each prefix,
                ``LOCAL`` for what lies behind this site.
            interfaces: whose packets go by all routes: of the LAN and of tunnels.
            classes: rules that lead to the tables of the other classes.
        """
        self._channel, self._plane, self._routes = channel, plane, wanted
        entries = (entry for routes_of in wanted.values() for entry in routes_of.values())
        self._entries = sorted(set(entries) - {LOCAL})
        usual = [Rule(family, name) for family in FAMILIES for name in ["", *interfaces]]
        self._rules = sorted({*usual, *classes})
        self._due_ns = 0
        self._others = [n for n in range(CLASSES_MAX) if n not in wanted]
        """Classes whose tables one of before may have filled; looked at once."""
        self.troubles: list[str] = []

    def ensure(self) -> int:
        """Repair what differs; return how much that was.

        Raises:
            OSError: the kernel does not let itself be asked.
        """
        self.troubles = []
        drifted, gone = self._ensure_objects()
        drifted += self._ensure_rules()
        now_ns = time.monotonic_ns()
        if gone or now_ns >= self._due_ns:
            drifted += self._ensure_routes()
            took_ns = time.monotonic_ns() - now_ns
            self._due_ns = now_ns + REST * took_ns
        return drifted

    def _ensure_objects(self) -> tuple[int, bool]:
        """Return how many objects differed, and whether a group was gone."""
        have = objects.hops()
        want = {hop.number: hop for hop in self._wanted()}
        wrong = [hop for number, hop in sorted(want.items()) if have.get(number) != hop]
        strange = sorted(have.keys() - want.keys(), reverse=True)  # groups before their members
        self._do("object", [objects.putting(hop) for hop in wrong])
        self._do("object", [objects.removing(number) for number in strange])
        gone = any(hop.number >= GROUP_FIRST and hop.number not in have for hop in wrong)
        return len(wrong) + len(strange), gone

    def _wanted(self) -> Iterable[Hop]:
        for entry in self._entries:
            yield self._plane.hop(entry)
            yield objects.group(entry)

    def _ensure_rules(self) -> int:
        have = routes.rules()
        missing = [rule for rule in self._rules if rule not in have]
        strange = [rule for rule in have if rule not in self._rules]
        twice = [rule for at, rule in enumerate(have) if rule in have[:at] and rule not in strange]
        self._do("rule", [routes.adding_rule(rule) for rule in missing])
        self._do("rule", [routes.dropping_rule(rule) for rule in strange + twice])
        return len(missing) + len(strange) + len(twice)

    def _ensure_routes(self) -> int:
        differed = sum(self._ensure_table(n, self._routes.get(n, {})) for n in self._others)
        self._others = []
        return differed + sum(self._ensure_table(n, want) for n, want in self._routes.items())

    def _ensure_table(self, number: int, want: dict[Network, int]) -> int:
        have = routes.routes(number)
        wrong = [(p, entry) for p, entry in want.items() if have.get(p) != entry]
        strange = [prefix for prefix in have if prefix not in want]
        self._do("route", [routes.adding(prefix, entry, number) for prefix, entry in wrong])
        self._do("route", [routes.dropping(prefix, number) for prefix in strange])
        return len(wrong) + len(strange)

    def _do(self, what: str, requests: list[Request]) -> None:
        refused = self._channel.change(requests)
        numbers = {number for _, number in refused} - _GONE
        for number in sorted(numbers):
            count = sum(n == number for _, n in refused)
            name = errno.errorcode.get(number, str(number))
            self.troubles.append(f"the kernel refuses {count} of our {what}s ({name})")


def remove(channel: Channel) -> list[str]:
    """Take everything away; return what there was, a line each.

    Raises:
        OSError: the kernel does not let itself be asked.
    """
    rules, there = routes.rules(), objects.hops()
    have = [(prefix, n) for n in (LAST, *range(CLASSES_MAX)) for prefix in routes.routes(n)]
    channel.change([routes.dropping_rule(rule) for rule in rules])
    channel.change([routes.dropping(prefix, number) for prefix, number in have])
    channel.change([objects.removing(number) for number in sorted(there, reverse=True)])
    gone = [f"{len(rules)} rules to table {routes.TABLE} and those of classes"] if rules else []
    gone += [f"{len(have)} routes of these tables"] if have else []
    return gone + ([f"{len(there)} next-hop objects"] if there else [])


assert CARRIER_FIRST < GROUP_FIRST, "a group is made after its member, and goes before it"
