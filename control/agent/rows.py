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
from patronus.control.agent.meeting import Met
from patronus.control.agent.pairing import Pairing
from patronus.control.config.layout import Lane, Layout
from patronus.control.config.model import AgentConfig, Kind
from patronus.dataplane.linux import probing, records
from patronus.dataplane.linux.endpoints import Endpoint, clear_endpoint, write_endpoint
from patronus.dataplane.linux.records import TunnelFlag
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
    "local remote local_port remote_port peer_id session_out mtu peer_site transport ifindex mark"
).split()
"""Fields that may change while the tunnel stays the same."""


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
        self._config, self._layout, self._pairings = config, layout, pairings
        self._tunnels, self._schedule, self._seats = tunnels, schedule, seats
        self.mets: list[Met | None] = [self._standing(row) for row in range(len(seats))]
        """By row; a row whose other end is unknown is not in use."""

    def _standing(self, row: int) -> Met | None:
        """Return what the kernel has been using for a row."""
        tunnel, lane = self._tunnels[self._seats[row]], self._layout.lanes[row]
        pairing = self._pairings[lane.peer.name]
        same = int(tunnel["session_in"]) == pairing.session_in(lane.transport.name)
        if not int(tunnel["flags"]) & TunnelFlag.IN_USE or not same:
            return None
        six = int(tunnel["flags"]) & TunnelFlag.IPV6
        host = str(ip_address(tunnel["remote"].tobytes()[: 16 if six else 4]))
        port = int(tunnel["remote_port"])
        return Met(row, int(tunnel["peer_id"]), port, 0, bytes(32), host)

    def ensure(self, ground: Ground, devices: Devices, now_ns: int) -> int:
        """Write what differs; return how many rows that were in use did."""
        drifted = 0
        for row, lane in enumerate(self._layout.lanes):
            met = self.mets[row]
            endpoint = self._endpoint(row, lane, met, ground, devices) if met else None
            if endpoint is not None:
                drifted += self._write(row, lane, endpoint, now_ns)
        return drifted

    def clear_others(self) -> int:
        """Empty the rows of tunnels that are not wanted any more; return how many."""
        used = np.flatnonzero(self._tunnels["flags"] & TunnelFlag.IN_USE)
        gone = np.setdiff1d(used, self._seats)
        for seat in gone.tolist():
            self._schedule["interval_ns"][seat] = 0
            clear_endpoint(self._tunnels, seat)
            self._tunnels["session_in"][seat] = 0
        return len(gone)

    def _endpoint(
        self, row: int, lane: Lane, met: Met, ground: Ground, devices: Devices
    ) -> Endpoint | None:
        transport, pairing = lane.transport, self._pairings[lane.peer.name]
        outer = ip_address(lane.endpoint.address or met.host)
        pmtu = ground.pmtu(transport)
        kind = spec.Kind(transport.kind)
        over = transport.kind is Kind.WIREGUARD
        local, remote = ground.local(transport, outer.version), outer
        if over:
            outer = ground.local(transport, 4) or ground.local(transport, 6) or outer
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
            session_in=pairing.session_in(transport.name),
            session_out=pairing.session_out(transport.name),
            mtu=headers.user_mtu(
                kind, pmtu, outer=outer.version, inner=6, patronus=records.OVERLAY.itemsize
            ),
            peer_site=int(self._layout.overlay.dst[row]),
            transport=int(self._layout.overlay.transport[row]),
            ifindex=devices.index(transport),
            mark=0 if over else wanted.mark(self._config, transport),
        )

    def _write(self, row: int, lane: Lane, endpoint: Endpoint, now_ns: int) -> int:
        seat, detect_ns = int(self._seats[row]), lane.transport.liveness.detect_ns
        fresh = records.zeros(records.TUNNEL)
        write_endpoint(fresh, 0, endpoint, detect_ns=detect_ns)
        tunnel = self._tunnels[seat : seat + 1]
        same = all(tunnel[k] == fresh[k] for k in ("session_in", "kind", "flags"))
        if not same:
            was_used = bool(tunnel["flags"][0] & TunnelFlag.IN_USE)
            self._schedule["interval_ns"][seat] = 0
            probing.forget(self._tunnels, np.array([seat], dtype=np.int64))
            write_endpoint(self._tunnels, seat, endpoint, detect_ns=detect_ns)
            self._probe(row, seat, lane, now_ns)
            return int(was_used)
        differ = [k for k in _PARTS if not np.array_equal(tunnel[k], fresh[k])]
        for key in differ:
            tunnel[key] = fresh[key]
        slot = self._schedule[seat]
        stray = int(slot["interval_ns"]) != lane.transport.liveness.interval_ns
        # A time far ahead was left by a hand, or before the machine was started: it never comes.
        stray |= int(slot["due_ns"]) > now_ns + lane.transport.liveness.interval_ns + SECOND
        if stray:
            self._probe(row, seat, lane, now_ns)
        return int(bool(differ) or stray)

    def _probe(self, row: int, seat: int, lane: Lane, now_ns: int) -> None:
        interval_ns = lane.transport.liveness.interval_ns
        phase = phase_ns(self._layout.overlay.label(row), interval_ns)
        probing.schedule(
            self._schedule,
            np.array([seat], dtype=np.int64),
            np.array([interval_ns], dtype=np.int64),
            np.array([phase], dtype=np.int64),
            now_ns,
        )
