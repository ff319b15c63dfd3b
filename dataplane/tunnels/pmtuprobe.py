"""Probes paths with packets that may not be fragmented, for :mod:`patronus.dataplane.tunnels.pmtu`.

One socket of a transport probes the paths to many peers and answers theirs. It runs beside
the tunnels and not through them: what a tunnel adds is known to the byte, while WireGuard
lets its own packets be fragmented, which would hide what is asked for.

A probe is padded to its size; the answer is not, so nobody is flooded through us. The nonce is
random and fresh, so whoever does not see our packets cannot make us believe in a larger MTU;
whoever does see them can drop them anyway. Wire format, 20 bytes, big-endian::

    magic 4 | kind 1 | zero 1 | size 2 | number 4 | nonce 8 | zeros up to the size
"""

import heapq
import secrets
import socket
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from errno import EMSGSIZE
from ipaddress import ip_address
from typing import Final

from patronus.dataplane.tunnels.headers import IP, UDP
from patronus.dataplane.tunnels.pmtu import MAX_PROBES, Action, Found, PathMtu, Probe
from patronus.dataplane.tunnels.spec import Endpoint
from patronus.engine.units import NEVER

FORMAT: Final = struct.Struct("!4sBxHIQ")
MAGIC: Final = b"PtMu"
PROBE: Final = 1
ANSWER: Final = 2
READS_MAX: Final = 64
"""In one go, so that a flood does not hold up the timers."""


@dataclass(slots=True)
class _Path:
    search: PathMtu
    name: str
    """Of the peer, which orders those that are due together."""
    asked: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Nonces of the last probes and when they were sent, by number."""


class Prober:
    """The paths from one end of the underlay."""

    def __init__(self, reserved: socket.socket) -> None:
        """Probe from a socket that never fragments (``plain.reserve``); it is not closed here."""
        self._socket = reserved
        self._paths: dict[Endpoint, _Path] = {}
        self._known: set[Endpoint] = set()
        self._due: list[tuple[int, str, Endpoint]] = []
        self._touched: set[Endpoint] = set()
        self.counts: Counter[str] = Counter()
        """What arrived and was worth nothing, by reason; and what could not be sent."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def acquaint(self, remote: Endpoint) -> None:
        """Answer a peer's probes, without a search of our own."""
        self._known.add(remote)

    def add(self, remote: Endpoint, *, interface_mtu: int) -> None:
        """Search the path to a peer, and answer its probes."""
        self._known.add(remote)
        version = remote.address.version
        self._paths[remote] = _Path(
            PathMtu(version=version, interface_mtu=interface_mtu), str(remote)
        )
        self._plan(remote)

    def remove(self, remote: Endpoint) -> None:
        """Forget a peer."""
        self._known.discard(remote)
        self._paths.pop(remote, None)

    def search(self, remote: Endpoint) -> PathMtu:
        """Return the search of the path to a peer."""
        return self._paths[remote].search

    def suspect(self, remote: Endpoint, now_ns: int) -> None:
        """Large packets to a peer get lost: ask at once."""
        self._do(remote, self._paths[remote].search.suspect(now_ns), now_ns)

    def set_interface_mtu(self, remote: Endpoint, mtu: int, now_ns: int) -> None:
        """Search again if the interface that leads to a peer took packets of another size."""
        self._do(remote, self._paths[remote].search.set_interface_mtu(mtu, now_ns), now_ns)

    def next_deadline(self) -> int:
        """Return when :meth:`poll` has something to do."""
        return self._due[0][0] if self._due else NEVER

    def touched(self) -> set[Endpoint]:
        """Return the peers whose searches have gone on since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    def poll(self, now_ns: int) -> list[tuple[Endpoint, Found]]:
        """Send what is due; return what became known by silence."""
        news: list[tuple[Endpoint, Found]] = []
        while self._due and self._due[0][0] <= now_ns:
            due_ns, _, remote = heapq.heappop(self._due)
            path = self._paths.get(remote)
            if path is not None and path.search.next_deadline() == due_ns:
                news += self._do(remote, path.search.poll(now_ns), now_ns)
        return news

    def receive(self, now_ns: int) -> list[tuple[Endpoint, Found]]:
        """Take what arrived: answer probes, return what became known by answers."""
        news: list[tuple[Endpoint, Found]] = []
        for _ in range(READS_MAX):
            try:
                data, (host, port, *_) = self._socket.recvfrom(65_536)
            except BlockingIOError:
                break
            except OSError:
                self.counts["refused"] += 1  # an ICMP error, which proves nothing
                continue
            news += self.take(data, Endpoint(ip_address(host), port), now_ns)
        return news

    def take(self, data: bytes, remote: Endpoint, now_ns: int) -> list[tuple[Endpoint, Found]]:
        """Take one packet that somebody else has read from the socket; as :meth:`receive`."""
        if remote not in self._known:
            self.counts["unknown peer"] += 1
            return []
        if len(data) < FORMAT.size:
            self.counts["malformed"] += 1
            return []
        magic, kind, size, number, nonce = FORMAT.unpack_from(data)
        if magic == MAGIC and kind == PROBE and size == len(data) + _headers(remote):
            self._send(FORMAT.pack(MAGIC, ANSWER, size, number, nonce), remote)
            return []
        if magic != MAGIC or kind != ANSWER or len(data) != FORMAT.size:
            self.counts["malformed"] += 1
            return []
        path = self._paths.get(remote)
        asked = path.asked.get(number) if path else None
        if path is None or asked is None or asked[0] != nonce:
            self.counts["forged or late"] += 1
            return []
        path.search.set_rtt(now_ns - asked[1])
        return self._do(remote, path.search.answered(number, now_ns), now_ns)

    def _do(
        self, remote: Endpoint, actions: Iterable[Action], now_ns: int
    ) -> list[tuple[Endpoint, Found]]:
        news: list[tuple[Endpoint, Found]] = []
        self._touched.add(remote)
        for action in actions:
            if isinstance(action, Found):
                news.append((remote, action))
            else:
                news += self._probe(remote, action, now_ns)
        self._plan(remote)
        return news

    def _probe(self, remote: Endpoint, probe: Probe, now_ns: int) -> list[tuple[Endpoint, Found]]:
        path = self._paths[remote]
        nonce = secrets.randbits(64)
        path.asked[probe.number] = nonce, now_ns
        path.asked.pop(probe.number - MAX_PROBES, None)
        head = FORMAT.pack(MAGIC, PROBE, probe.size, probe.number, nonce)
        size = probe.size - _headers(remote)
        if self._send(head.ljust(size, b"\0"), remote) == EMSGSIZE:
            # Our own interface says so: no need to wait for silence.
            return self._do(remote, path.search.too_big(probe.size - 1, now_ns), now_ns)
        return []

    def _send(self, data: bytes, remote: Endpoint) -> int:
        """Send a packet; return the error number, 0 if there was none."""
        try:
            self._socket.sendto(data, (str(remote.address), remote.port))
        except OSError as error:
            self.counts["not sent"] += 1
            return error.errno or 0
        return 0

    def _plan(self, remote: Endpoint) -> None:
        path = self._paths[remote]
        heapq.heappush(self._due, (path.search.next_deadline(), path.name, remote))


def _headers(remote: Endpoint) -> int:
    return IP[remote.address.version] + UDP
