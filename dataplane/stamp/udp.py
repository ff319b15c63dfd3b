"""STAMP over UDP in user space: sockets and timers around sessions and reflectors.

For tunnels whose probes the kernel cannot authenticate (HMAC mode). The receive time is the
kernel's (``SO_TIMESTAMPNS``, brought over to the monotonic clock), so waiting in the socket is
not measured as delay. What remains is noise: from the clock's reading to the packet's leaving,
twice a round trip, some 20 µs on an idle machine and milliseconds where others want the
processor. Hence ``Session.detects`` is False here and no blackout detector is fed by it.

Probes leave from a port of their own, to which reflections come back; probes of the peer come
to the reflector's port. So the two kinds, which look alike, are told apart (RFC 8762 section 3).
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from patronus.dataplane.stamp.fields import Malformed, Refusal
from patronus.dataplane.stamp.packet import OCTETS_MAX, PORT, Reflection
from patronus.dataplane.stamp.peer import Peer
from patronus.dataplane.stamp.reflector import Reflector
from patronus.dataplane.stamp.session import Sample, Session
from patronus.dataplane.stamp.tlv import Liveness, Tlv, Type, liveness_of
from patronus.engine.units import SECOND

SO_TIMESTAMPNS: Final = 35
"""Not in the socket module; the value of x86-64 (asm-generic/socket.h)."""

IP_RECVTTL: Final = 12
"""Likewise (linux/in.h); Python has it from 3.14 on."""

BATCH: Final = 64
"""Datagrams of one socket before others get their turn."""

TTL: Final = 255
"""So that hops can be counted (RFC 8762 section 4.2.1)."""

Sink = Callable[[Sample, Liveness], object]


class Datagram(NamedTuple):
    """What came, and how."""

    data: bytes
    source: tuple[str, int]
    ttl: int
    received_ns: int
    """By the monotonic clock."""


class Sender:
    """Drives the session of one tunnel."""

    def __init__(self, session: Session, peer: Peer, key: bytes, sink: Sink) -> None:
        """Create a sender; ``sink`` gets each sample, and what the peer said with it."""
        assert session.session == peer.session
        self._session, self._peer, self._key, self._sink = session, peer, key, sink
        self.refused = dict.fromkeys(Refusal, 0)
        self.unsent = 0
        """Probes that the socket did not take, for want of a route for example."""
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, local: str, remote: str, port: int = PORT, *, mark: int = 0) -> None:
        """Begin to probe, by packets with a firewall mark; inside a running event loop.

        Raises:
            OSError: the address is not ours, or the remote one is none.
        """
        assert self._socket is None
        self._socket = _open(local, 0, mark)
        try:
            self._socket.connect((remote, port))
        except OSError:
            self._socket.close()
            self._socket = None
            raise
        asyncio.get_running_loop().add_reader(self._socket, self._receive, self._socket)
        self._arm()

    def stop(self) -> None:
        """Stop probing."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            _close(self._socket)
        self._timer = self._socket = None

    def _arm(self) -> None:
        now_ns = time.monotonic_ns()
        wait_ns = max(self._session.due_ns(now_ns) - now_ns, 0)
        self._timer = asyncio.get_running_loop().call_later(wait_ns / SECOND, self._send)

    def _send(self) -> None:
        assert self._socket is not None
        now_ns = time.monotonic_ns()
        if now_ns >= self._session.due_ns(now_ns):  # a timer may be early by its resolution
            self._peer.probes_sent += 1
            tlv = Tlv(Type.LIVENESS, self._peer.liveness(now_ns).pack())
            try:
                self._socket.send(self._session.send(now_ns, tlv.pack()).pack(self._key))
            except OSError:
                self.unsent += 1
        self._arm()

    def _receive(self, sock: socket.socket) -> None:
        for datagram in _datagrams(sock):
            try:
                back = Reflection.parse(datagram.data, self._key)
                told = liveness_of(back.tlvs)
            except Malformed as error:
                self.refused[error.refusal] += 1
                continue
            sample = self._session.take(back, datagram.received_ns, told)
            if isinstance(sample, Sample):
                self._peer.arrive(told, datagram.received_ns, reflection=True)
                self._sink(sample, told)


class Listener:
    """Answers the probes of all sessions that come to one address."""

    def __init__(self, reflectors: Mapping[str, Reflector]) -> None:
        """Create a listener for peers by their address."""
        self._reflectors = reflectors
        self.strangers = 0
        """Datagrams of addresses without a session."""
        self.unsent = 0
        self._socket: socket.socket | None = None

    def start(self, local: str, port: int = PORT, *, mark: int = 0) -> int:
        """Begin to answer, inside a running event loop; return the port.

        Raises:
            OSError: the address is not ours, or taken.
        """
        assert self._socket is None
        self._socket = _open(local, port, mark)
        asyncio.get_running_loop().add_reader(self._socket, self._receive, self._socket)
        bound: int = self._socket.getsockname()[1]
        return bound

    def stop(self) -> None:
        """Stop answering."""
        if self._socket is not None:
            _close(self._socket)
        self._socket = None

    def _receive(self, sock: socket.socket) -> None:
        for datagram in _datagrams(sock):
            reflector = self._reflectors.get(datagram.source[0])
            if reflector is None:
                self.strangers += 1
                continue
            answer = reflector.take(
                datagram.data,
                ttl=datagram.ttl,
                received_ns=datagram.received_ns,
                now_ns=time.monotonic_ns(),
            )
            if answer is not None:
                try:
                    sock.sendto(answer, datagram.source)
                except OSError:
                    self.unsent += 1


def _open(local: str, port: int, mark: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if mark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, TTL)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        sock.bind((local, port))
    except OSError:
        sock.close()
        raise
    return sock


def _close(sock: socket.socket) -> None:
    asyncio.get_running_loop().remove_reader(sock)
    sock.close()


def _datagrams(sock: socket.socket) -> list[Datagram]:
    """Return what waits in a socket, a bounded number."""
    found: list[Datagram] = []
    for _ in range(BATCH):
        try:
            # One octet more than we take, so that a longer one is seen to be too long.
            data, extra, _, source = sock.recvmsg(OCTETS_MAX + 1, 256)
        except BlockingIOError:
            break
        except OSError:  # what ICMP said of a probe of ours; liveness finds out by itself
            continue
        found.append(Datagram(data, (source[0], source[1]), *_circumstances(extra)))
    return found


def _circumstances(extra: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    """Return the TTL of a datagram and when it came, by the monotonic clock."""
    ttl, received_ns = 0, time.monotonic_ns()
    for level, kind, value in extra:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, rest = struct.unpack("@qq", value)
            # Within these lines nobody sets the clock; if so, it came now.
            waited_ns = time.time_ns() - (seconds * SECOND + rest)
            received_ns -= waited_ns if 0 <= waited_ns < SECOND else 0
        elif (level, kind) in (
            (socket.IPPROTO_IP, socket.IP_TTL),
            (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
        ):
            ttl = int(struct.unpack("@i", value)[0])
    return ttl, received_ns
