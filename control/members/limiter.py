"""How many signatures are looked at: by source, and for all sources together.

The generic cell rate algorithm: for each source one number is kept, the time at which its
debt is paid. The table is bounded; whoever is pushed out of it is forgiven his debt, and
the bound over all sources still holds.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from patronus.control.members.address import Address
from patronus.engine.units import MS, SECOND

SOURCES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """What sources may send."""

    interval_ns: int
    """One datagram of one source in so long, on average ..."""
    burst: int
    """... and so many at once."""
    total_interval_ns: int
    """The same for all sources together."""
    total_burst: int


STRANGERS: Final = Rate(20 * MS, 100, 2 * MS, 1000)
"""Requests of those who have no session yet. A signature takes about 0.15 ms: all strangers
together get less than a tenth of a core."""

MEMBERS: Final = Rate(SECOND // 1000, 2000, SECOND // 5000, 10_000)
"""Five of the longest announcements a second from one source."""


class Limiter:
    """Admits datagrams at a rate."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._paid_ns: OrderedDict[str, int] = OrderedDict()
        self._all_paid_ns = 0

    def __len__(self) -> int:
        """Return how many sources are known."""
        return len(self._paid_ns)

    def admits(self, source: Address, now_ns: int) -> bool:
        """Return whether a datagram is within the rate; if it is, it counts."""
        rate, network = self._rate, _network(source)
        paid_ns = max(self._paid_ns.get(network, now_ns), now_ns)
        all_paid_ns = max(self._all_paid_ns, now_ns)
        if paid_ns - now_ns >= rate.interval_ns * rate.burst:
            return False
        if all_paid_ns - now_ns >= rate.total_interval_ns * rate.total_burst:
            return False
        self._all_paid_ns = all_paid_ns + rate.total_interval_ns
        self._paid_ns[network] = paid_ns + rate.interval_ns
        self._paid_ns.move_to_end(network)
        if len(self._paid_ns) > SOURCES_MAX:
            self._paid_ns.popitem(last=False)
        return True


def _network(source: Address) -> str:
    """Return what one sender can choose his source from: an address of IPv4, a /64 of IPv6."""
    if not source.is_ipv6:
        return source.host
    return IPv6Address(source.host).packed[:8].hex()
