"""What the kernel must hold beside devices: objects of entries, routes over them, and rules.

Compared with what is wanted, and repaired. Objects and rules are few and looked at each time.
100 k routes take a second to read, so they are looked at again after a hundred times as long as
that took, and at once where an object was gone, for its routes go with it.
"""

import errno
import time
from collections.abc import Iterable
from typing import Final

from patronus.dataplane.nexthops import objects, routes
from patronus.dataplane.nexthops.dataplane import NexthopDataplane
from patronus.dataplane.nexthops.netlink import Channel, Request
from patronus.dataplane.nexthops.objects import CARRIER_FIRST, GROUP_FIRST, Hop
from patronus.dataplane.nexthops.routes import FAMILIES, LOCAL, Network, Rule

REST: Final = 100
"""Times as long as a look took is the time until the next."""
_GONE: Final = frozenset({errno.ENOENT, errno.ESRCH})


class HopTables:
    """The objects, routes and rules of one site."""

    def __init__(
        self,
        channel: Channel,
        plane: NexthopDataplane,
        wanted: dict[Network, int],
        interfaces: Iterable[str],
    ) -> None:
        """Name what is wanted; nothing is done yet.

        Args:
            channel: of the network namespace.
            plane: knows which tunnel carries an entry.
            wanted: entry of each prefix, ``LOCAL`` for what lies behind this site.
            interfaces: whose packets go by all routes: of the LAN and of tunnels.
        """
        self._channel, self._plane, self._routes = channel, plane, wanted
        self._entries = sorted(set(wanted.values()) - {LOCAL})
        self._rules = sorted(
            Rule(family, name) for family in FAMILIES for name in ["", *interfaces]
        )
        self._due_ns = 0
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
        have = routes.routes()
        wrong = [(p, entry) for p, entry in self._routes.items() if have.get(p) != entry]
        strange = [prefix for prefix in have if prefix not in self._routes]
        self._do("route", [routes.adding(prefix, entry) for prefix, entry in wrong])
        self._do("route", [routes.dropping(prefix) for prefix in strange])
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
    have, rules, there = routes.routes(), routes.rules(), objects.hops()
    channel.change([routes.dropping_rule(rule) for rule in rules])
    channel.change([routes.dropping(prefix) for prefix in have])
    channel.change([objects.removing(number) for number in sorted(there, reverse=True)])
    gone = [f"{len(rules)} rules to table {routes.TABLE}"] if rules else []
    gone += [f"{len(have)} routes of table {routes.TABLE}"] if have else []
    return gone + ([f"{len(there)} next-hop objects"] if there else [])


assert CARRIER_FIRST < GROUP_FIRST, "a group is made after its member, and goes before it"
