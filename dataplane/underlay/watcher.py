"""Wakes whoever keeps the underlay when something that matters there changes.

Events are only a hint to look again: what is done about them follows from the look, so events
that were lost, merged or came twice do no harm. What does not matter, such as 100 k prefixes
of a routing daemon, is told apart by the head of each message.
"""

import errno
import socket
from typing import Final

from patronus.dataplane.routedump import RT_TABLE_MAIN, RTM_NEWROUTE
from patronus.dataplane.rtnetlink import ROUTE_PROTOCOL, SOL_NETLINK, messages
from patronus.engine.units import MS, NEVER, SECOND

NETLINK_ADD_MEMBERSHIP: Final = 1
GROUPS: Final = {"link": 1, "ifaddr4": 5, "route4": 7, "rule4": 8} | {
    "ifaddr6": 9,
    "route6": 11,
    "rule6": 19,
}
"""RTNLGRP_… of linux/rtnetlink.h."""
RTM_DELROUTE: Final = 25
RTMSG_BYTES: Final = 12
_BUFFER: Final = 1 << 16
READS_MAX: Final = 256
"""In one go; what is left wakes the caller again."""


class Watcher:
    """A socket that tells of changes; belongs to the namespace that it was made in."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._nl = socket.socket(socket.AF_NETLINK, kind, 0)
        self._nl.bind((0, 0))
        for group in GROUPS.values():
            self._nl.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        self.lost = 0
        """How often the kernel had more to tell than the socket held."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._nl.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._nl.close()

    def drain(self) -> bool:
        """Take what waits; tell whether any of it matters."""
        matters = False
        for _ in range(READS_MAX):
            try:
                data = self._nl.recv(_BUFFER)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                matters = True
                continue
            matters |= any(relevant(kind, body) for kind, _, body in messages(data))
        return matters


def relevant(kind: int, body: bytes) -> bool:
    """Tell whether a message is about something that pinning depends on.

    Of routes, only defaults and our own are: those of the main table's prefixes change by the
    thousand where a routing daemon runs.
    """
    if kind not in {RTM_NEWROUTE, RTM_DELROUTE} or len(body) < RTMSG_BYTES:
        return True
    dst_len, table, protocol = body[1], body[4], body[5]
    if table == RT_TABLE_MAIN:
        return dst_len == 0
    return protocol == ROUTE_PROTOCOL


class Pace:
    """When to look: soon after a change, never in a rush, and now and then unasked."""

    def __init__(self, *, rest_ns: int = 20 * MS, sweep_ns: int = 10 * SECOND) -> None:
        """Start with a look that is due at once.

        Args:
            rest_ns: between two looks at least; a storm of events costs no more than that.
            sweep_ns: between two looks at most.
        """
        self._rest_ns = rest_ns
        self._sweep_ns = sweep_ns
        self._looked_ns = -NEVER
        self._due_ns = 0

    def changed(self, now_ns: int) -> None:
        """Something happened."""
        self._due_ns = min(self._due_ns, max(now_ns, self._looked_ns + self._rest_ns))

    def looked(self, now_ns: int) -> None:
        """Somebody looks now."""
        self._looked_ns = now_ns
        self._due_ns = now_ns + self._sweep_ns

    def next_deadline(self) -> int:
        """Return when to look."""
        return self._due_ns
