"""Somebody on a wan who sends what he likes, under any address."""

import json
import socket
from collections.abc import Iterable

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from patronus.dataplane.linux.pins import Pins
from tests.control.agent.fleet import Fleet, Site, inside, run
from tests.dataplane.linux.testpacket import probe_of

OVERLAY, MEMBERS, MEETING, BFD = 4789, 4510, 4511, 3784
MAC = "02:00:00:00:00:66"
PROBE = 0
"""What the class of a test packet says that it is."""


class Attacker:
    """Stands on a wan, between a site and its hub."""

    def __init__(self, fleet: Fleet, victim: Site, wan: str) -> None:
        self.victim, self.wan = victim, wan
        with inside(fleet.bridges[wan]):
            self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._raw.bind(("bridge", 0))
        link = json.loads(run("ip", "-j", "-n", victim.router, "link", "show", "dev", wan))
        self._to = link[0]["address"]

    def close(self) -> None:
        self._raw.close()

    def frame(self, payload: bytes, *, source: str, port: int, ttl: int = 64) -> bytes:
        """Return a datagram to the victim's address on the wan."""
        from_port = 49_152 if port == BFD else port
        packet = Ether(dst=self._to, src=MAC) / IP(src=source, dst=self.victim.wan(self.wan),
                                                   ttl=ttl)  # fmt: skip
        return bytes(packet / UDP(sport=from_port, dport=port) / Raw(payload))

    def send(self, frames: Iterable[bytes]) -> int:
        """Send frames as fast as can be; return how many."""
        count = 0
        for frame in frames:
            self._raw.send(frame)
            count += 1
        return count


class Tunnel:
    """What the victim's kernel knows of a tunnel, for packets that nearly fit."""

    def __init__(self, victim: Site, remote: str) -> None:
        with Pins.open(victim.pins) as pins:
            tunnels = pins.array("tunnels")
            address = [*socket.inet_aton(remote)]
            (self.row,) = (r for r in range(16) if tunnels["remote"][r, :4].tolist() == address)
            self.session = int(tunnels["session_in"][self.row])

    def header(self, kind: int = PROBE, *, row: int | None = None, flip: int = 0) -> bytes:
        """Return an overlay header in front of a test packet; flip: bits of the session."""
        row = self.row if row is None else row
        head = bytes([0x11, 0, kind, 1]) + row.to_bytes(2) + bytes(2) + (1).to_bytes(4)
        return head + (self.session ^ flip).to_bytes(8)

    def probe(self, kind: int = PROBE, *, row: int | None = None, flip: int = 0) -> bytes:
        """Return a test packet."""
        return self.header(kind, row=row, flip=flip) + probe_of(1)
