"""How large packets the path of each tunnel takes, found out while the agent runs.

Probes go between the sockets on which the ends of tunnels meet: addresses learned and kept open
by NATs serve both. Until a search has proved that a row's size does not pass, the row keeps the
size it has, that of the interface or what an agent before this one has found: neither a restart
nor an outage makes packets too big. A proved larger size is used at once.

A transport with a configured ``mtu`` is not searched; its peers' probes are answered.
"""

import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import numpy as np

from patronus.control.agent.ground import Ground
from patronus.control.agent.meeting import Lane, Where
from patronus.control.config.layout import Layout
from patronus.dataplane.tunnels.pmtu import Found, PathMtu
from patronus.dataplane.tunnels.pmtuprobe import MAGIC, Prober
from patronus.dataplane.tunnels.spec import Endpoint
from patronus.engine.overlay import I64
from patronus.engine.units import NEVER

News = Iterable[tuple[Endpoint, Found]]
Key = tuple[str, int]
"""Transport, version of IP."""


class PathMtus:
    """The paths of all rows of one site."""

    def __init__(self, layout: Layout, mtus: I64) -> None:
        """Search nothing yet.

        Args:
            layout: of the rows.
            mtus: by row, what is known: of whole packets of the underlay, 0: nothing. They are
                changed in place.
        """
        self._transports = [lane.transport for lane in layout.lanes]
        self.mtus = mtus
        self.lowered: I64 = np.zeros(len(mtus), dtype=np.int64)
        """How often a row's size turned out not to pass any more, or not to have passed."""
        self.raised: I64 = np.zeros(len(mtus), dtype=np.int64)
        self._ceiling: I64 = np.zeros(len(mtus), dtype=np.int64)
        """By row: what its interface takes, 0: no search."""
        self._probers: dict[Key, Prober] = {}
        self._remote: list[Endpoint | None] = [None] * len(mtus)
        self._rows: dict[tuple[str, Endpoint], int] = {}
        self._pending: dict[int, int] = {}
        """What passes on rows whose own size is not disproved yet."""
        self._followed: list[tuple[Where, int] | None] = [None] * len(mtus)
        """By row: where its peer is and what the interface takes, as they were last seen."""
        self._past: Counter[str] = Counter()
        self._changed: set[int] = set()

    # ------------------------------------------------------------ sockets

    def open(self, transport: str, version: int, opened: socket.socket) -> None:
        """Probe through a socket from now on."""
        self._probers[transport, version] = Prober(opened)

    def close(self, transport: str, version: int) -> None:
        """A socket is about to be closed; what was found stays."""
        for row, remote in enumerate(self._remote):
            if remote is not None and self._key(row, remote) == (transport, version):
                self._forget(row)
        self._past.update(self._probers.pop((transport, version)).counts)

    def take(self, transport: str, data: bytes, source: Where, now_ns: int) -> bool:
        """Take a datagram; tell whether it was one of ours."""
        if not data.startswith(MAGIC):
            return False
        remote = Endpoint(ip_address(source.host), source.port)
        prober = self._probers.get((transport, remote.address.version))
        if prober is not None:
            self._learn(transport, prober.take(data, remote, now_ns))
        return True

    # ------------------------------------------------------------ time

    def next_deadline(self) -> int:
        """Return when to call :meth:`poll`."""
        return min((p.next_deadline() for p in self._probers.values()), default=NEVER)

    def poll(self, now_ns: int) -> None:
        """Send what is due."""
        for (transport, _), prober in self._probers.items():
            self._learn(transport, prober.poll(now_ns))
            for remote in prober.touched():
                row = self._rows.get((transport, remote))
                if row in self._pending:
                    self._weigh(row)

    def changed(self) -> I64:
        """Return the rows whose size has changed since the last call."""
        rows = np.array(sorted(self._changed), dtype=np.int64)
        self._changed.clear()
        return rows

    # ------------------------------------------------------------ what others know

    def follow(self, lanes: Sequence[Lane], ground: Ground, now_ns: int) -> None:
        """Search the paths to those who have been met, over the interfaces that there are.

        Args:
            lanes: of the meeting, by row.
            ground: looked at lately.
            now_ns: the time.
        """
        searched = {t.name: t for t in self._transports if t.mtu is None}
        ceilings = {name: ground.pmtu(t) or 0 for name, t in searched.items()}
        for row, lane in enumerate(lanes):
            if lane.where is None:
                continue
            ceiling = ceilings.get(lane.transport, 0) if lane.proven else 0
            seen = lane.where, ceiling
            if self._followed[row] == seen:
                continue
            remote = Endpoint(ip_address(lane.where.host), lane.where.port)
            if (remote, ceiling) != (self._remote[row], int(self._ceiling[row])):
                self._move(row, remote, ceiling, now_ns)
            # Without a socket it is tried again.
            self._followed[row] = seen if self._remote[row] == remote else None

    def suspect(self, rows: I64, now_ns: int) -> None:
        """Large packets of rows get lost while small ones arrive: ask at once."""
        for row in rows.tolist():
            remote = self._remote[row]
            if remote is not None and self._ceiling[row]:
                self._probers[self._key(row, remote)].suspect(remote, now_ns)

    def state(self, row: int) -> str:
        """Return how far a row's search is: ``fixed``, ``unknown``, or a state of RFC 8899."""
        if self._transports[row].mtu is not None:
            return "fixed"
        search = self._search(row)
        return "unknown" if search is None else str(search.state)

    @property
    def counts(self) -> dict[str, int]:
        """What came and was worth nothing, by reason; and what could not be sent."""
        total = Counter(self._past)
        for prober in self._probers.values():
            total.update(prober.counts)
        return dict(total)

    # ------------------------------------------------------------ steps

    def _key(self, row: int, remote: Endpoint) -> Key:
        return self._transports[row].name, remote.address.version

    def _search(self, row: int) -> PathMtu | None:
        remote = self._remote[row]
        if remote is None or not self._ceiling[row]:
            return None
        return self._probers[self._key(row, remote)].search(remote)

    def _move(self, row: int, remote: Endpoint, ceiling: int, now_ns: int) -> None:
        prober = self._probers.get(self._key(row, remote))
        if prober is None:
            return
        if remote == self._remote[row] and ceiling and self._ceiling[row]:
            self._ceiling[row] = ceiling
            prober.set_interface_mtu(remote, ceiling, now_ns)
            return
        self._forget(row)
        self._remote[row], self._ceiling[row] = remote, ceiling
        self._rows[self._transports[row].name, remote] = row
        if ceiling:
            prober.add(remote, interface_mtu=ceiling)
        else:
            prober.acquaint(remote)

    def _forget(self, row: int) -> None:
        remote = self._remote[row]
        self._remote[row], self._ceiling[row], self._followed[row] = None, 0, None
        self._pending.pop(row, None)
        if remote is None:
            return
        self._rows.pop((self._transports[row].name, remote), None)
        prober = self._probers.get(self._key(row, remote))
        if prober is not None:
            prober.remove(remote)

    def _learn(self, transport: str, news: News) -> None:
        for remote, found in news:
            row = self._rows.get((transport, remote))
            if row is not None:
                self._pending[row] = found.pmtu
                self._weigh(row)

    def _weigh(self, row: int) -> None:
        """Use what was found, if it is more than is used, or if that is known not to pass."""
        search, found = self._search(row), self._pending[row]
        ceiling = int(self._ceiling[row])
        used = min(int(self.mtus[row]) or ceiling, ceiling)
        if search is None or (found < used < search.refused):
            return
        del self._pending[row]
        if found != self.mtus[row]:
            self._changed.add(row)
        if found != used:
            (self.lowered if found < used else self.raised)[row] += 1
        self.mtus[row] = found
