"""The kernel's rows of tunnels: written where they differ, and reset only for another peer.

A row of a tunnel that goes on keeps its stamps, its accounts and its latch, whatever else of it
changes: an address by DHCP, the interface's index, the row at the peer.
"""

from ipaddress import ip_address
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from patronus.control.agent import wanted
from patronus.control.agent.devices import Devices, inside
from patronus.control.agent.ground import Ground
from patronus.control.agent.meeting import Keys, Met
from patronus.control.agent.pairing import Pairing
from patronus.control.config.layout import Lane, Layout
from patronus.control.config.model import AgentConfig, Kind, Transport
from patronus.dataplane.linux import probing, records
from patronus.dataplane.linux.endpoints import Endpoint, clear_endpoint, write_endpoint
from patronus.dataplane.linux.records import TunnelFlag, Twin
from patronus.dataplane.stamp.session import phase_ns
from patronus.dataplane.tunnels import headers, spec
from patronus.engine.overlay import I64
from patronus.engine.units import SECOND

KINDS: Final = {
    Kind.PLAIN: records.Kind.PLAIN,
    Kind.VXLAN: records.Kind.VXLAN,
    Kind.WIREGUARD: records.Kind.WIREGUARD,
}
_PARTS: Final = (
    "local remote local_port remote_port peer_id session_out mtu peer_site transport ifindex "
    "ifindex_twin twins mark"
).split()
"""Fields that may change while the tunnel stays the same; what keys are used is the last to."""


MTU_LEAST: Final = 68
"""Of IPv4 (RFC 791 section 3.2): however little an interface takes, a row says no less."""

_IDENTITY: Final = ("session_in", "kind", "flags")
"""With another value of one of these it is another tunnel."""


def _under(transport: Transport, ground: Ground, devices: Devices) -> tuple[Any, ...]:
    """Return what the rows of a transport stand on: addresses, size of packets, interfaces."""
    four, six = (ground.local(transport, version) for version in (4, 6))
    return four, six, ground.pmtu(transport), devices.indices(transport)


def _user_mtu(kind: spec.Kind, pmtu: int, *, outer: int, narrow: bool) -> int:
    """Return the largest packet of users over a path.

    Args:
        kind: of the tunnel.
        pmtu: of the path.
        outer: IP version of the path.
        narrow: it takes less than its interface.
    """
    narrow |= headers.device_mtu(kind, pmtu, outer=outer) < spec.MTU_MIN_IPV6
    user = headers.user_mtu(kind, pmtu, outer=outer, inner=6, narrow=narrow)
    return max(user, MTU_LEAST)


class Rows:
    """What is wanted of the rows of one site."""

    def __init__(
        self,
        config: AgentConfig,
        layout: Layout,
        pairings: dict[str, Pairing],
        *,
        tunnels: npt.NDArray[Any],
        schedule: npt.NDArray[Any],
        seats: I64,
    ) -> None:
        self._config, self._layout = config, layout
        self._tunnels, self._schedule, self._seats = tunnels, schedule, seats
        self._sessions = [
            (p.session_in(w.transport.name), p.session_out(w.transport.name))
            for w in layout.lanes
            for p in (pairings[w.peer.name],)
        ]
        """By row: what the peer shows, and what we show."""
        self._interval_ns: I64 = np.array(
            [w.transport.liveness.interval_ns for w in layout.lanes], dtype=np.int64
        )
        self._expected = records.zeros(records.TUNNEL, len(seats))
        self._under: dict[str, tuple[Any, ...]] = {}
        """By transport: what its rows stand on."""
        self._basis: dict[int, tuple[Any, ...]] = {}
        """By row in use: what its record was made of."""
        self.path_mtus: I64 = np.zeros(len(seats), dtype=np.int64)
        """By row: what the path was found to take; 0: not known."""
        self.twins: list[Twin] = [Twin(0)] * len(seats)
        """By row: which keys of either end it uses."""
        self.mets: list[Met | None] = [self._standing(row) for row in range(len(seats))]
        """By row; a row whose other end is unknown is not in use."""

    def _standing(self, row: int) -> Met | None:
        """Return what the kernel has been using for a row."""
        tunnel = self._tunnels[self._seats[row]]
        same = int(tunnel["session_in"]) == self._sessions[row][0]
        if not int(tunnel["flags"]) & TunnelFlag.IN_USE or not same:
            return None
        six = int(tunnel["flags"]) & TunnelFlag.IPV6
        host = str(ip_address(tunnel["remote"].tobytes()[: 16 if six else 4]))
        port = int(tunnel["remote_port"])
        self.path_mtus[row] = self._path_mtu(row, int(tunnel["mtu"]))
        self.twins[row] = Twin(int(tunnel["twins"]) & (Twin.OWN | Twin.PEER))
        return Met(row, int(tunnel["peer_id"]), port, Keys(), host)

    def _path_mtu(self, row: int, user: int) -> int:
        """Return the path's MTU that a row has been used with; the interface may take less."""
        lane = self._layout.lanes[row]
        outer = ip_address(lane.endpoint.address).version if lane.endpoint.address else 4
        return user - headers.user_mtu(spec.Kind(lane.transport.kind), 0, outer=outer, inner=6)

    def _narrowed(self, row: int, under: tuple[Any, ...]) -> tuple[Any, ...]:
        """Add to what a transport stands on whether the path of a row takes less, and how much."""
        four, six, pmtu, *devices = under
        found = int(self.path_mtus[row])
        if pmtu is None or not 0 < found < pmtu or self._layout.lanes[row].transport.mtu:
            return *under, False
        return four, six, found, *devices, True

    def ensure(self, ground: Ground, devices: Devices, now_ns: int) -> int:
        """Write what differs; return how many rows that were in use did.

        A record is worked out again only when something that it is made of has changed; the
        comparison with the kernel's goes over all rows at once.
        """
        for transport in self._config.transports:
            found = _under(transport, ground, devices)
            # The same objects again compare at once, a thousand times below.
            if found != self._under.get(transport.name):
                self._under[transport.name] = found
        under, changed = self._under, 0
        for row, lane in enumerate(self._layout.lanes):
            met = self.mets[row]
            found = (*under[lane.transport.name], devices.lane(row))
            if devices.vxlans is not None and lane.transport.kind is Kind.VXLAN:
                found = (*found[:3], (devices.vxlans.index(lane), 0), 0)
            found = (*self._narrowed(row, found), self.twins[row])
            if met is not None and self._basis.get(row) != (met, *found):
                changed += self._renew(row, lane, met, found, now_ns)
        return changed + self._drifted(now_ns)

    def _renew(self, row: int, lane: Lane, met: Met, under: tuple[Any, ...], now_ns: int) -> int:
        endpoint = self._endpoint(row, lane, met, under)
        if endpoint is None:
            return 0
        fresh = self._expected[row : row + 1]
        write_endpoint(fresh, 0, endpoint, detect_ns=lane.transport.liveness.detect_ns)
        self._basis[row] = (met, *under)
        return self._write(row, lane, now_ns)

    def _drifted(self, now_ns: int) -> int:
        """Write rows that are not in the kernel as they are known to be; return how many."""
        rows = np.array(sorted(self._basis), dtype=np.int64)
        if not len(rows):
            return 0
        have, want = self._tunnels[self._seats[rows]], self._expected[rows]
        differs = np.zeros(len(rows), dtype=np.bool_)
        for key in (*_PARTS, *_IDENTITY):
            unequal = have[key] != want[key]
            differs |= unequal.any(axis=1) if unequal.ndim > 1 else unequal
        slots = self._schedule[self._seats[rows]]
        intervals = self._interval_ns[rows]
        differs |= slots["interval_ns"] != intervals
        # A time far ahead was left by a hand, or before the machine was started: it never comes.
        differs |= slots["due_ns"] > now_ns + intervals + SECOND
        drifted = rows[differs].tolist()
        for row in drifted:
            self._write(row, self._layout.lanes[row], now_ns)
        return len(drifted)

    @property
    def mtu(self) -> int:
        """The largest packet of users that every tunnel in use carries; 0: there is none."""
        used = self._expected["mtu"][sorted(self._basis)]
        return int(used.min()) if len(used) else 0

    def clear_others(self) -> int:
        """Empty the rows of tunnels that are not wanted any more; return how many."""
        used = np.flatnonzero(self._tunnels["flags"] & TunnelFlag.IN_USE)
        gone = np.setdiff1d(used, self._seats)
        for seat in gone.tolist():
            self._schedule["interval_ns"][seat] = 0
            clear_endpoint(self._tunnels, seat)
            self._tunnels["session_in"][seat] = 0
        return len(gone)

    def _endpoint(self, row: int, lane: Lane, met: Met, under: tuple[Any, ...]) -> Endpoint | None:
        transport, (four, six, pmtu, indices, _, narrow, twins) = lane.transport, under
        index = indices[bool(twins & Twin.OWN)]
        outer = ip_address(lane.endpoint.address or met.host)
        over = transport.kind is not Kind.PLAIN
        local, remote = four if outer.version == 4 else six, outer
        if over and not index:
            return None
        if transport.kind is Kind.WIREGUARD:
            outer = four or six or outer
        if over:
            local = inside(self._config.site, transport.name)
            remote = inside(lane.peer.name, transport.name)
        if local is None or pmtu is None:
            return None
        return Endpoint(
            kind=KINDS[transport.kind],
            local=local,
            remote=remote,
            local_port=wanted.port(self._config),
            remote_port=met.port if over else lane.endpoint.port,
            peer_row=met.peer_row,
            session_in=self._sessions[row][0],
            session_out=self._sessions[row][1],
            mtu=_user_mtu(spec.Kind(transport.kind), pmtu, outer=outer.version, narrow=narrow),
            peer_site=int(self._layout.overlay.dst[row]),
            transport=int(self._layout.overlay.transport[row]),
            ifindex=indices[0],
            ifindex_twin=indices[1],
            twins=twins,
            mark=0 if over else wanted.mark(self._config, transport),
        )

    def _write(self, row: int, lane: Lane, now_ns: int) -> int:
        """Bring a row to what is expected; return whether it was in use and differed."""
        seat, fresh = int(self._seats[row]), self._expected[row : row + 1]
        tunnel = self._tunnels[seat : seat + 1]
        was_used = bool(tunnel["flags"][0] & TunnelFlag.IN_USE)
        if not all(tunnel[k] == fresh[k] for k in _IDENTITY):
            self._schedule["interval_ns"][seat] = 0
            probing.forget(self._tunnels, np.array([seat], dtype=np.int64))
            clear_endpoint(self._tunnels, seat)
            for key in (*_PARTS, "session_in", "kind", "detect_ns", "flags"):
                tunnel[key] = fresh[key]
            self._probe(row, seat, lane, now_ns)
            return int(was_used)
        differ = [k for k in _PARTS if not np.array_equal(tunnel[k], fresh[k])]
        for key in differ:
            tunnel[key] = fresh[key]
        self._probe(row, seat, lane, now_ns)
        return int(bool(differ))

    def _probe(self, row: int, seat: int, lane: Lane, now_ns: int) -> None:
        interval_ns, slot = lane.transport.liveness.interval_ns, self._schedule[seat]
        late_ns = int(slot["due_ns"]) - now_ns
        if int(slot["interval_ns"]) == interval_ns and late_ns <= interval_ns + SECOND:
            return
        phase = phase_ns(self._layout.overlay.label(row), interval_ns)
        probing.schedule(
            self._schedule,
            np.array([seat], dtype=np.int64),
            np.array([interval_ns], dtype=np.int64),
            np.array([phase], dtype=np.int64),
            now_ns,
        )
