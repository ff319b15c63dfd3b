"""Sockets and clocks for a roster: asyncio on one side, sans-IO on the other.

Nothing is decided here. A datagram that cannot be sent is counted and forgotten: the
roster repeats what matters.
"""

import asyncio
import errno
import socket
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from patronus.control.members.actions import Change
from patronus.control.members.address import Address, address
from patronus.control.members.envelope import DATAGRAM_BYTES_MAX
from patronus.control.members.membership import Membership
from patronus.control.members.store import Memory
from patronus.control.members.timing import Moment
from patronus.engine.announcement import Announcement
from patronus.engine.engine import Received
from patronus.engine.units import NEVER, SECOND

READS_MAX: Final = 64
"""Datagrams taken from a socket before others have their turn: at most 10 ms of signatures."""

SAVE_NS: Final = 60 * SECOND
"""What has changed is written so often at most."""

WAIT_S_MAX: Final = 3600.0
"""Sleeping longer than this is of no use, and too large a number would overflow."""

RECEIVE_BYTES: Final = 4 << 20
"""A thousand announcements that arrive at one instant; without privileges it is less."""


# Linux has them, Python does not name them.
_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_DONT: Final = 0
_SO_RCVBUFFORCE: Final = 33


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told of what happens."""

    learn: Callable[[Sequence[Received], int], object]
    """As :meth:`Engine.learn`."""
    changed: Callable[[Change], object]


def clock() -> Moment:
    """Return the time."""
    return Moment(time.monotonic_ns(), time.time_ns())


def open_socket(where: Address) -> socket.socket:
    """Return a socket for a driver.

    Raises:
        OSError: the address is not ours, or is taken.
    """
    family = socket.AF_INET6 if where.is_ipv6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if where.is_ipv6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        else:
            # Where the link takes less than IPv6 asks for, routers and we cut datagrams.
            opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        _enlarge(opened)
        opened.bind(tuple(where))
    except BaseException:
        opened.close()
        raise
    return opened


def _enlarge(opened: socket.socket) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
    except PermissionError:  # as much as everybody may have
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)


class Driver:
    """Runs the membership of one site over sockets that are open and bound."""

    def __init__(
        self, membership: Membership, sockets: Sequence[socket.socket], listeners: Listeners
    ) -> None:
        """Take the sockets over; at most one for each family, not blocking."""
        self.roster = membership.roster
        self._membership, self._listeners = membership, listeners
        self._sockets = {s.family == socket.AF_INET6: s for s in sockets}
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.Task[None] | None = None
        self._save_ns = self._retry_ns = 0
        self._changed = False
        self._gone = asyncio.Event()
        self.unsent: Tally[str] = Tally()
        """Datagrams that could not be sent, by the name of the error."""
        self.unread: Tally[str] = Tally()

    async def run(self, stop: asyncio.Event) -> None:
        """Take part until we are told to stop, then leave with a farewell."""
        # Before a number is used, the file must say that it may have been.
        self._membership.keep()
        self._save_ns = self._retry_ns = clock().now_ns + SAVE_NS
        loop = asyncio.get_running_loop()
        try:
            for each in self._sockets.values():
                loop.add_reader(each, self._read, each)
            self.roster.start(clock())
            self._carry_out()
            await stop.wait()
            self.roster.leave(clock())
            self._carry_out()
            await self._gone.wait()
        finally:
            self._close(loop)
            if self._saving is not None:
                await self._saving
        self._membership.keep()

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for each in self._sockets.values():
            loop.remove_reader(each)
            each.close()

    def announce(self, announcement: Announcement) -> bool:
        """Bring an announcement of ours to all; return whether it can be sent at all."""
        sent = self.roster.announce(announcement, clock())
        self._carry_out()
        return sent

    # ------------------------------------------------------------ in

    def _read(self, from_socket: socket.socket) -> None:
        for _ in range(READS_MAX):
            try:
                data, source = from_socket.recvfrom(DATAGRAM_BYTES_MAX + 1)
            except BlockingIOError:
                break
            except OSError as error:
                self.unread[_name(error)] += 1
                break
            self._take(data, source)
        self._carry_out()

    def _take(self, data: bytes, source: tuple[str, int]) -> None:
        try:
            where = address(source[0], source[1])
        except ValueError:  # from port 0: it cannot be answered
            self.unread["port"] += 1
            return
        self.roster.receive(data, where, clock())

    def _wake(self) -> None:
        self.roster.wake(clock())
        self._carry_out()

    # ------------------------------------------------------------ out

    def _carry_out(self) -> None:
        actions = self.roster.take()
        for to, datagram in actions.sends:
            self._send(to, datagram)
        for change in actions.changes:
            self._listeners.changed(change)
            self._changed = True
        now_ns = clock().now_ns
        if actions.received:
            self._listeners.learn(actions.received, now_ns)
        if self.roster.gone:
            self._gone.set()
        self._set_timer(now_ns)
        self._save(now_ns)

    def _send(self, to: Address, datagram: bytes) -> None:
        through = self._sockets.get(to.is_ipv6)
        if through is None:
            self.unsent["family"] += 1
            return
        try:
            through.sendto(datagram, tuple(to))
        except OSError as error:
            self.unsent[_name(error)] += 1

    def _set_timer(self, now_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_ns = self.roster.next_deadline()
        if deadline_ns < NEVER:
            wait_s = min(max(deadline_ns - now_ns, 0) / SECOND, WAIT_S_MAX)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _save(self, now_ns: int) -> None:
        """Write what has changed, away from the loop: a disk can take its time."""
        counter = self._membership.counter
        soon = (counter.due or self._changed) and now_ns >= self._save_ns
        at_once = counter.overdue and now_ns >= self._retry_ns
        busy = self._saving is not None and not self._saving.done()
        if not busy and (soon or at_once):
            self._save_ns, self._changed = now_ns + SAVE_NS, False
            self._saving = asyncio.ensure_future(self._write(self._membership.memory()))

    async def _write(self, memory: Memory) -> None:
        complaint = await asyncio.to_thread(self._membership.write, memory)
        if not self._membership.written(memory, complaint):
            self._retry_ns = clock().now_ns + SAVE_NS


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "unknown")
