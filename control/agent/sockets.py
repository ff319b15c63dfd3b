"""The sockets on which the ends of tunnels meet: one for each transport and version of IP."""

import asyncio
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from patronus.control.agent import wanted
from patronus.control.agent.ground import Address, Ground
from patronus.control.agent.meeting import Meeting, Met, Where
from patronus.control.agent.pathmtu import PathMtus
from patronus.control.config.model import AgentConfig, Transport
from patronus.dataplane.tunnels.driver import TunnelTrouble
from patronus.dataplane.tunnels.plain import reserve
from patronus.dataplane.tunnels.spec import Endpoint

READS_MAX: Final = 64
BYTES_MAX: Final = 65_535
"""Probes of a path's MTU are as large as the interface lets them be."""


class MeetingSockets:
    """Carries datagrams for a meeting, and beside them the probes of the paths' MTUs."""

    def __init__(
        self,
        config: AgentConfig,
        ground: Ground,
        meeting: Meeting,
        met: Callable[[Met], object],
        sizes: PathMtus,
    ) -> None:
        self._config, self._ground, self._meeting, self._met = config, ground, meeting, met
        self._sizes = sizes
        self._open: dict[tuple[str, int], tuple[Address, socket.socket]] = {}
        self._loop = asyncio.get_running_loop()
        self.unsent = 0

    def ensure(self) -> None:
        """Listen on the addresses that transports have now."""
        for transport in self._config.transports:
            for version in (4, 6):
                self._ensure(transport, version)

    def _ensure(self, transport: Transport, version: int) -> None:
        key, address = (transport.name, version), self._ground.local(transport, version)
        before = self._open.get(key)
        if before is not None and before[0] == address:
            return
        if before is not None:
            self._close(key)
        if address is None:
            return
        try:
            opened = reserve(
                Endpoint(address, wanted.MEETING_PORT), mark=wanted.mark(self._config, transport)
            )
        except TunnelTrouble:  # not there yet: an address by DHCP, or one that is still tentative
            return
        self._open[key] = address, opened
        self._sizes.open(transport.name, version, opened)
        self._loop.add_reader(opened, self._read, transport.name, opened)

    def _read(self, transport: str, opened: socket.socket) -> None:
        for _ in range(READS_MAX):
            try:
                data, source = opened.recvfrom(BYTES_MAX)
            except OSError:
                return
            where = Where(str(ip_address(source[0].partition("%")[0])), source[1])
            now_ns = time.monotonic_ns()
            if self._sizes.take(transport, data, where, now_ns):
                continue
            said, met = self._meeting.receive(transport, data, where, now_ns)
            for each in said:
                self._send(*each)
            if met is not None:
                self._met(met)

    def wake(self, now_ns: int) -> None:
        """Send what is due."""
        for each in self._meeting.wake(now_ns):
            self._send(*each)

    def _send(self, transport: str, where: Where, data: bytes) -> None:
        through = self._open.get((transport, ip_address(where.host).version))
        try:
            if through is not None:
                through[1].sendto(data, tuple(where))
                return
        except OSError:
            pass
        self.unsent += 1

    def _close(self, key: tuple[str, int]) -> None:
        _, opened = self._open.pop(key)
        self._sizes.close(*key)
        self._loop.remove_reader(opened)
        opened.close()

    def close(self) -> None:
        """Listen no more."""
        for key in list(self._open):
            self._close(key)
