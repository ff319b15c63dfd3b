"""Packet in, packet out: run the kernel's programs on packets that tests make.

Packets go through ``BPF_PROG_TEST_RUN`` one at a time, each freshly made, and every run
must be counted exactly once, under one outcome.
"""

import ipaddress
from typing import Any, NamedTuple

import numpy as np
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame

from patronus.dataplane.linux import records, syscall, words
from patronus.dataplane.linux.endpoints import Endpoint, clear_endpoint, write_endpoint
from patronus.dataplane.linux.loader import initialise
from patronus.dataplane.linux.pins import Pins, Sizes
from patronus.dataplane.linux.prefixes import Network, Target, install_prefixes
from patronus.dataplane.linux.records import Kind, Note, Outcome
from patronus.dataplane.linux.rules import compile_rules, install_rules
from patronus.dataplane.linux.views import Counters
from patronus.dataplane.linux.words import Entries
from patronus.engine.forwarding import NO_ROW
from patronus.engine.policy import TrafficClass
from patronus.engine.units import SECOND

PORT = 4790
OK, SHOT, REDIRECT, NEXT = 0, 2, 7, 0xFFFFFFFF
"""What programs answer; NEXT is TC_ACT_UNSPEC: the next filter, then the kernel."""

LOOPBACK = 1


class Overlay(NamedTuple):
    """An overlay header, read."""

    version: int
    inner: int
    hears: bool
    budget: int
    traffic_class: int
    segments: int
    tunnel: int
    destination: int
    sequence: int
    session: int


class Seen(NamedTuple):
    """What a program did with one packet."""

    action: int
    outcome: Outcome
    notes: dict[Note, int]
    data: bytes
    mark: int

    @property
    def frame(self) -> Frame:
        """The packet as it left, from its Ethernet header on."""
        return Ether(self.data)


class Kit:
    """Programs and maps, with what most tests put into them."""

    def __init__(self, pins: Pins, sizes: Sizes) -> None:
        self.pins, self.sizes = pins, sizes
        self.settings: Any = pins.array("settings")
        self.tunnels: Any = pins.array("tunnels")
        self.entries: Any = pins.array("entries")
        self.used: Any = pins.array("used")
        self.counters = Counters(pins)
        self.clear()

    def clear(self) -> None:
        """Empty everything, as after a fresh start; the agent has just been heard."""
        for name in "tunnels entries used counters rules ring moves settings flows".split():
            self.pins.array(name).view(np.uint8)[:] = 0
        initialise(self.pins, self.sizes)
        self.settings["port"] = PORT
        self.settings["router_v4"][0] = [10, 0, 0, 1]
        router = ipaddress.ip_address("fd00::1").packed
        self.settings["router_v6"][0] = np.frombuffer(router, np.uint8)
        install_prefixes(self.pins, {})
        table, key_bytes = self.pins.maps["fragments"], records.FRAGMENT_KEY.itemsize
        while (key := syscall.next_key(table, None, key_bytes)) is not None:
            syscall.delete(table, key)
        self.at(1000 * SECOND)
        self.heartbeat()

    def at(self, now_ns: int) -> int:
        """Set the programs' clock."""
        self.settings["test_now_ns"] = now_ns
        return now_ns

    @property
    def now_ns(self) -> int:
        return int(self.settings["test_now_ns"][0])

    def heartbeat(self) -> None:
        self.settings["heartbeat_ns"] = self.now_ns

    def tunnel(self, row: int, *, up: bool = True, detect_ns: int = 30_000_000, **more: Any) -> Any:
        """Make a tunnel; its peer numbers it ``row + 100``."""
        six = more.pop("six", False)
        local, remote = ("2001:db8::1", f"2001:db8::{row + 2:x}") if six else (
            "192.0.2.1", f"192.0.2.{row + 2}"
        )  # fmt: skip
        known: dict[str, Any] = {
            "kind": Kind.PLAIN,
            "local": ipaddress.ip_address(local),
            "remote": ipaddress.ip_address(remote),
            "local_port": PORT,
            "remote_port": PORT,
            "peer_row": row + 100,
            "session_in": 0x1111_2222_3333_0000 + row,
            "session_out": 0x8888_9999_AAAA_0000 + row,
            "mtu": 1400,
            "peer_site": row + 1,
            "ifindex": LOOPBACK,
        }
        endpoint = Endpoint(**known | more)
        write_endpoint(self.tunnels, row, endpoint, detect_ns=detect_ns)
        if up:
            self.confirm(row)
        return endpoint

    def confirm(self, row: int) -> None:
        """Let a tunnel be heard, confirmed and unlatched now."""
        for name in "heard_ns confirmed_ns since_ns".split():
            self.tunnels[name][row] = self.now_ns
        self.tunnels["latched"][row] = False

    def kill(self, row: int) -> None:
        """Let a tunnel's proof be stale by one nanosecond."""
        gone = self.now_ns - int(self.tunnels["detect_ns"][row]) - 1
        self.tunnels["confirmed_ns"][row] = gone

    def remove(self, row: int) -> None:
        clear_endpoint(self.tunnels, row)

    def entry(
        self,
        index: int,
        *rows: int,
        drop: bool = False,
        direct: bool = False,
        shares: tuple[int, int] = (0, 0),
    ) -> None:
        """Write an entry of the table in force."""
        padded = (*rows, *(NO_ROW,) * (3 - len(rows)))
        made = Entries(
            rows=np.array([padded], dtype=np.int32),
            drop=np.array([drop]),
            shared_fate=np.array([False]),
            direct=np.array([[direct and row != NO_ROW for row in padded]]),
            shares=np.array([shares], dtype=np.int64),
        )
        bank = int(self.settings["bank_word"][0]) & 1
        self.entries.reshape(2, -1)[bank, index] = words.pack(made)[0]

    def route(self, wanted: dict[str, Target]) -> None:
        """Install prefixes."""
        networks: dict[Network, Target] = {ipaddress.ip_network(n): t for n, t in wanted.items()}
        install_prefixes(self.pins, networks)

    def policy(self, *classes: TrafficClass) -> None:
        install_rules(self.pins, compile_rules(classes))
        self.settings["classes"] = len(classes)

    def run(self, program: str, frame: Frame | bytes, *, mark: int = 0) -> Seen:
        """Run a program on a packet; every run must be counted once."""
        before = self.counters.totals()[:, 0].astype(np.int64)
        done = syscall.run_program(
            self.pins.programs[program], bytes(frame), ifindex=LOOPBACK, mark=mark
        )
        rise = self.counters.totals()[:, 0].astype(np.int64) - before
        outcomes = rise[: len(Outcome)]
        assert np.count_nonzero(outcomes) == 1, "one outcome a packet"
        notes = {n: int(rise[64 + n]) for n in Note if rise[64 + n]}
        return Seen(done.action, Outcome(int(outcomes.argmax())), notes, done.packet, done.mark)


def outer(seen: Seen) -> tuple[Frame, Overlay, Frame]:
    """Return outer IP header, overlay header and inner packet of what left on a tunnel."""
    frame = seen.frame
    # The outermost one: scapy, if it knows the port, may find others in what we carry.
    ip = frame.getlayer(1)
    assert isinstance(ip, IP | IPv6), "it left in an outer packet"
    header = bytes(ip[UDP].payload)
    at = np.frombuffer(header[: records.OVERLAY.itemsize], dtype=records.OVERLAY)[0]
    high, low = (int(half) for half in at["session"])
    overlay = Overlay(
        version=int(at["version_inner"]) >> 4,
        inner=int(at["version_inner"]) & 15,
        hears=bool(at["flags"] & records.OVERLAY_HEARS),
        budget=int(at["flags"]) & 15,
        traffic_class=int(at["class"]),
        segments=int(at["segments"]),
        tunnel=int(at["tunnel"]),
        destination=int(at["destination"]),
        sequence=int(at["sequence"]),
        session=high << 32 | low,
    )
    kind = IP if overlay.inner == records.Inner.IPV4 else IPv6
    return ip, overlay, kind(header[records.OVERLAY.itemsize :])


def wrapped(
    endpoint: Endpoint,
    row: int,
    inner: Frame | bytes,
    *,
    kind: int | None = None,
    sequence: int = 0,
    hears: bool = True,
    budget: int = 1,
    traffic_class: int = 0,
    segments: int = 1,
    session: int | None = None,
    version: int = records.OVERLAY_VERSION,
    ether: bool = True,
) -> Frame | bytes:
    """Return a packet as the peer of a tunnel would send it."""
    if kind is None:
        kind = records.Inner.IPV6 if isinstance(inner, IPv6) else records.Inner.IPV4
    shown = endpoint.session_in if session is None else session
    header = records.zeros(records.OVERLAY)
    header["version_inner"] = version << 4 | kind
    header["flags"] = (records.OVERLAY_HEARS if hears else 0) | budget
    header["class"], header["segments"] = traffic_class, segments
    header["tunnel"], header["sequence"] = row, sequence
    header["session"][0] = [shown >> 32, shown & 0xFFFFFFFF]
    ip = IPv6 if endpoint.local.version == 6 else IP
    packet = ip(src=str(endpoint.remote), dst=str(endpoint.local)) / UDP(
        sport=endpoint.remote_port, dport=endpoint.local_port
    )
    packet = packet / (header.tobytes() + bytes(inner))
    return bytes(
        Ether(dst="00:00:00:00:00:00", src="02:00:00:00:00:09") / packet if ether else packet
    )


def lan(inner: Frame, **ether: Any) -> Frame:
    """Return a packet as a host of the LAN would send it to us."""
    return Ether(**{"dst": "00:00:00:00:00:00", "src": "02:00:00:00:00:02"} | ether) / inner
