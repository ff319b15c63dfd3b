"""BFD over UDP in asyncio: the clock, the sockets and the luck of many sessions.

    socket ─► TTL 255? ─► decode ─► whose? ─► Session.receive ─┐
    timer ─► drain the sockets ─► Session.advance ─────────────┴─► send, tell, set the timer

A timer first reads what waits in the sockets: a loop that was held up must not take its
own lateness for the peer's silence. Nothing that arrives can do more than raise a counter.

asyncio rounds a waiting time up to the next millisecond, and a busy machine wakes us later
still: Detection Times of tens of milliseconds need real-time priority, which is for the
program that runs this to ask for.
"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from random import SystemRandom
from time import monotonic_ns
from typing import Final

from patronus.dataplane.bfd.authentication import Authentication, Authenticator
from patronus.dataplane.bfd.intervals import Settings
from patronus.dataplane.bfd.packet import Discard, Discarded, Packet, decode
from patronus.dataplane.bfd.session import Session, StateChanged
from patronus.dataplane.bfd.sockets import (
    CONTROL_PORT,
    SOURCE_PORTS,
    TTL,
    Datagram,
    Peer,
    destination,
    listen,
    receive,
    sender,
)
from patronus.engine.units import NEVER, PPM, SECOND

BATCH: Final = 256
"""Datagrams that one look at a socket reads; then timers and other tasks have their turn."""

FASTEST_US: Final = 1_000
"""Least desired interval: how finely asyncio waits."""

_PASSING: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EPERM})
"""Errors that another socket would meet as well; the session keeps its source port."""

_Key = tuple[IPv4Address | IPv6Address, str | None]


class _Link:
    """A session with its socket and its timer."""

    __slots__ = ("peer", "port", "sender", "session", "timer", "timer_ns")

    def __init__(self, peer: Peer, session: Session) -> None:
        self.peer = peer
        self.session = session
        self.sender: socket.socket | None = None
        self.port = 0
        """Its source port; 0 before the first packet."""
        self.timer: asyncio.TimerHandle | None = None
        self.timer_ns = NEVER

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.hang_up()

    def hang_up(self) -> None:
        if self.sender is not None:
            self.sender.close()
        self.sender = None


class Driver:
    """The BFD sessions of one network namespace; lives in one running event loop."""

    def __init__(
        self, on_event: Callable[[Peer, StateChanged], None], *, port: int = CONTROL_PORT
    ) -> None:
        """Create a driver without sessions.

        Args:
            on_event: called at every change of a session's state.
            port: to receive on and to send to.
        """
        self.discards: Counter[Discard] = Counter()
        """Packets that were refused, by reason."""
        self.received = 0
        """Datagrams that came in, refused ones among them."""
        self.sent = 0
        self.send_errors = 0
        """Packets that the kernel did not take: no route, no interface, no room."""
        self._on_event = on_event
        self._port = port
        self._luck = SystemRandom()
        self._listeners: dict[socket.AddressFamily, socket.socket] = {}
        self._links: dict[_Key, _Link] = {}
        self._by_discriminator: dict[int, _Link] = {}

    # Sessions

    def add(
        self,
        peer: Peer,
        settings: Settings,
        *,
        authentication: Authentication | None = None,
        passive: bool = False,
        enabled: bool = True,
    ) -> Session:
        """Begin a session; the result is to be looked at, not to be driven.

        Raises:
            ValueError: there is one with this peer, or it is to be faster than we can.
            OSError: the port of BFD cannot be had.
        """
        key = (peer.address, peer.interface)
        _check_pace(settings)
        if key in self._links:
            raise ValueError(f"there is a BFD session with {peer.address} already")
        self._listen(peer.family)
        session = Session(
            discriminator=self._discriminator(),
            settings=settings,
            authenticator=self._authenticator(authentication),
            passive=passive,
            enabled=enabled,
        )
        link = self._links[key] = self._by_discriminator[session.discriminator] = _Link(
            peer, session
        )
        self._set_timer(link)
        return session

    def remove(self, peer: Peer) -> None:
        """End a session at once; :meth:`disable` it a Detection Time before to tell the peer."""
        link = self._links.pop((peer.address, peer.interface))
        del self._by_discriminator[link.session.discriminator]
        link.close()

    def configure(self, peer: Peer, settings: Settings) -> None:
        """Change the timers of a session.

        Raises:
            ValueError: it is to be faster than we can.
        """
        _check_pace(settings)
        link = self._links[peer.address, peer.interface]
        link.session.configure(settings, monotonic_ns(), draw_ppm=self._draw())
        self._serve(link)

    def disable(self, peer: Peer) -> None:
        """Hold a session in AdminDown."""
        link = self._links[peer.address, peer.interface]
        link.session.disable(monotonic_ns(), draw_ppm=self._draw())
        self._serve(link)

    def enable(self, peer: Peer) -> None:
        """Let a session come up again."""
        link = self._links[peer.address, peer.interface]
        link.session.enable(monotonic_ns(), draw_ppm=self._draw())
        self._serve(link)

    def close(self) -> None:
        """End everything."""
        for link in self._links.values():
            link.close()
        for listener in self._listeners.values():
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._links.clear()
        self._by_discriminator.clear()
        self._listeners.clear()

    def _discriminator(self) -> int:
        """Return one that no other session has and that is hard to guess."""
        while True:
            drawn = self._luck.randrange(1, 2**32)
            if drawn not in self._by_discriminator:
                return drawn

    def _authenticator(self, agreed: Authentication | None) -> Authenticator | None:
        return None if agreed is None else Authenticator(agreed, self._luck.getrandbits(32))

    def _draw(self) -> int:
        return self._luck.randrange(PPM)

    # Receiving

    def _listen(self, family: socket.AddressFamily) -> None:
        if family not in self._listeners:
            listener = listen(family, self._port)
            self._listeners[family] = listener
            asyncio.get_running_loop().add_reader(listener, self._drain, listener)

    def _drain(self, listener: socket.socket) -> None:
        for _ in range(BATCH):
            datagram = receive(listener)
            if datagram is None:
                return
            self.received += 1
            try:
                self._take(datagram)
            except Discarded as refused:
                self.discards[refused.reason] += 1

    def _take(self, datagram: Datagram) -> None:
        if datagram.ttl != TTL:
            raise Discarded(Discard.TTL)
        packet = decode(datagram.data)
        link = self._whose(packet, datagram)
        try:
            link.session.receive(packet, monotonic_ns(), draw_ppm=self._draw())
        finally:
            self._serve(link)

    def _whose(self, packet: Packet, datagram: Datagram) -> _Link:
        """Find the session: by our discriminator alone, else by where it came from (6.3)."""
        if packet.your_discriminator:
            link = self._by_discriminator.get(packet.your_discriminator)
        else:
            address = datagram.address
            link = self._links.get((address, datagram.interface_name)) or self._links.get(
                (address, None)
            )
        if link is None:
            raise Discarded(Discard.NO_SESSION)
        return link

    # Sending and waiting

    def _serve(self, link: _Link) -> None:
        """Do what a session wants done."""
        packets, events = link.session.take()
        for data in packets:
            self._send(link, data)
        self._set_timer(link)
        # Not from here: what hears of it may well add, change and remove sessions.
        for event in events:
            asyncio.get_running_loop().call_soon(self._on_event, link.peer, event)

    def _send(self, link: _Link, data: bytes) -> None:
        try:
            if link.sender is None:
                link.sender = sender(link.peer, self._ports(link))
                link.port = link.sender.getsockname()[1]
            link.sender.sendto(data, destination(link.peer, self._port))
        except OSError as problem:
            # An interface that was made anew has another index: the next packet gets a new
            # socket. Whatever it is, the peer's silence will tell.
            self.send_errors += 1
            if problem.errno not in _PASSING:
                link.hang_up()
        else:
            self.sent += 1

    def _ports(self, link: _Link) -> Iterator[int]:
        """Yield source ports for a session: the one it had, then such as no other one has."""
        if link.port:
            yield link.port
        taken = {other.port for other in self._links.values()}
        first = self._luck.randrange(len(SOURCE_PORTS))
        yield from (p for p in (*SOURCE_PORTS[first:], *SOURCE_PORTS[:first]) if p not in taken)

    def _set_timer(self, link: _Link) -> None:
        """See to it that a timer runs out by the deadline; one that does so earlier may stay."""
        deadline_ns = link.session.next_deadline()
        if deadline_ns >= link.timer_ns:
            return
        if link.timer is not None:
            link.timer.cancel()
        loop = asyncio.get_running_loop()
        link.timer = loop.call_at(deadline_ns / SECOND, self._awake, link)
        link.timer_ns = deadline_ns

    def _awake(self, link: _Link) -> None:
        link.timer, link.timer_ns = None, NEVER
        for listener in self._listeners.values():
            self._drain(listener)
        link.session.advance(monotonic_ns(), draw_ppm=self._draw())
        self._serve(link)


def _check_pace(settings: Settings) -> None:
    if settings.desired_min_tx_us < FASTEST_US:
        raise ValueError(
            f"BFD desired_min_tx_us is {settings.desired_min_tx_us}; "
            f"we cannot send more often than every {FASTEST_US}"
        )
