"""Classes without BPF: rules of the kernel send real packets by the routes of their class."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_network

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from patronus.dataplane.nexthops import routes, tables
from patronus.dataplane.nexthops.classes import RULES_MOST, class_rules
from patronus.dataplane.nexthops.dataplane import NexthopDataplane, through
from patronus.dataplane.nexthops.routes import LAST, Network, Rule
from patronus.dataplane.nexthops.tables import HopTables
from patronus.engine.forwarding import ForwardingDelta
from patronus.engine.policy import Match, TrafficClass
from patronus.engine.units import SECOND
from tests.dataplane.nexthops.kit import ROWS, Kit, gateway

pytestmark = pytest.mark.root

CLASSES = (
    TrafficClass("voice", (Match(dscp=frozenset({46, 10})),)),
    TrafficClass("web", (Match(protocol=6, ports=((443, 443), (8000, 8080))),
                         Match(prefixes=("10.1.9.0/24", "fd01:9::/32")))),
    TrafficClass("rest"),
)  # fmt: skip
LAN, MAC = "lan0", "02:00:00:00:02:01"
ETH_P_ALL = 3
SYSCTLS = (
    "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
    "net.ipv4.conf.all.rp_filter=0", f"net.ipv4.conf.{LAN}.rp_filter=0",
)  # fmt: skip


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Router:
    """Three tunnels, a LAN, and an entry for each class: voice by the first tunnel, and so on."""

    def __init__(self, kit: Kit, opened: ExitStack) -> None:
        kit.begin([SECOND] * ROWS)
        self.kit = kit
        self.plane = NexthopDataplane(kit.memory, through(kit.channel), rows=ROWS, classes=ROWS)
        every = np.arange(ROWS)
        self.plane.arrive(
            every, sequence=np.zeros(ROWS, dtype=np.int64), hears=np.ones(ROWS, dtype=np.bool_),
            reflection=np.ones(ROWS, dtype=np.bool_), now_ns=0,
        )  # fmt: skip
        self.plane.heartbeat(0)
        self.plane.clear_latch(every.tolist(), 0)
        rows = np.repeat(every[:, None], 3, axis=1).astype(np.int32)
        no = np.zeros(ROWS, dtype=np.bool_)
        self.plane.apply(ForwardingDelta(1, every, rows, drop=no, shared_fate=no), 0)
        prefixes: list[Network] = [ip_network("10.1.0.0/16"), ip_network("fd01::/16")]
        self.wanted = {n: dict.fromkeys(prefixes, n % ROWS) for n in (0, 1, LAST)}
        self.rules = class_rules(CLASSES, [LAN]) or []
        self.tables = HopTables(kit.channel, self.plane, self.wanted, [LAN], self.rules)
        self.eyes = [opened.enter_context(eye(f"hop{row}-far")) for row in range(ROWS)]
        self.lan = opened.enter_context(eye(f"{LAN}-far"))

    def takes(self, packet: Packet) -> int:
        """Send a packet from the LAN; return the tunnel by which it left."""
        for each in self.eyes:
            drained(each)
        mark = bytes(packet)[-8:]
        self.lan.send(bytes(Ether(dst=MAC, src="02:00:00:00:00:09") / packet))
        for _ in range(100):
            for row, each in enumerate(self.eyes):
                each.settimeout(0.02)
                if any(mark in frame for frame in drained(each)):
                    return row
        raise AssertionError("it left by no tunnel")


def eye(name: str) -> socket.socket:
    """Return a socket that sees a device's frames."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((name, ETH_P_ALL))
    return raw


def drained(raw: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(raw.recv(2048))
            raw.setblocking(False)
    except (TimeoutError, BlockingIOError):
        raw.settimeout(0.001)
        return found


@pytest.fixture(scope="module")
def router(kit: Kit) -> Iterator[Router]:
    """Return a router that forwards, with everything in place."""
    with ExitStack() as opened:
        run("ip", "link", "add", LAN, "address", MAC, "type", "veth", "peer", "name", f"{LAN}-far")
        opened.callback(run, "ip", "link", "del", LAN)
        for name in (LAN, f"{LAN}-far"):
            run("ip", "link", "set", name, "up")
        run("ip", "address", "add", "10.0.0.1/16", "dev", LAN)
        run("ip", "address", "add", "fd00::1/64", "dev", LAN, "nodad")
        for setting in SYSCTLS:
            run("sysctl", "-q", "-w", setting)
        for row in range(ROWS):
            neighbour = (str(gateway(row)), "lladdr", "02:00:00:00:01:00", "dev", f"hop{row}")
            run("ip", "-6", "neigh", "replace", *neighbour, "nud", "permanent")
        made = Router(kit, opened)
        made.tables.ensure()
        opened.callback(partial(tables.remove, kit.channel))
        assert made.tables.troubles == []
        yield made


PAYLOAD = b"-marked-"


@pytest.mark.parametrize(
    ("packet", "row"),
    [
        (IP(src="10.0.0.7", dst="10.1.0.9", tos=46 << 2) / UDP(sport=9, dport=9), 0),
        (IP(src="10.0.0.7", dst="10.1.0.9", tos=10 << 2 | 1) / UDP(sport=9, dport=9), 0),
        (IP(src="10.0.0.7", dst="10.1.0.9", tos=46 << 2) / TCP(sport=9, dport=443), 0),
        (IP(src="10.0.0.7", dst="10.1.0.9") / TCP(sport=9, dport=443), 1),
        (IP(src="10.0.0.7", dst="10.1.0.9") / TCP(sport=8050, dport=9), 1),
        (IP(src="10.0.0.7", dst="10.1.9.9") / UDP(sport=9, dport=9), 1),
        (IP(src="10.0.0.7", dst="10.1.0.9") / UDP(sport=9, dport=443), 2),
        (IP(src="10.0.0.7", dst="10.1.0.9", tos=45 << 2) / TCP(sport=9, dport=444), 2),
        (IPv6(src="fd00::7", dst="fd01::9", tc=46 << 2) / UDP(sport=9, dport=9), 0),
        (IPv6(src="fd00::7", dst="fd01::9") / TCP(sport=443, dport=9), 1),
        (IPv6(src="fd00::7", dst="fd01:9::9") / UDP(sport=9, dport=9), 1),
        (IPv6(src="fd00::7", dst="fd01::9") / UDP(sport=9, dport=9), 2),
    ],
    ids=lambda v: v.summary() if isinstance(v, Packet) else str(v),
)
def test_packets_go_by_the_routes_of_their_class(router: Router, packet: Packet, row: int) -> None:
    """The first class that matches takes it: code point, protocol, ports of either end, prefix."""
    assert router.takes(packet / PAYLOAD) == row


def test_rules_and_routes_are_repaired(router: Router) -> None:
    """What is deleted comes back; nothing differs afterwards."""
    assert router.tables.ensure() == 0
    run("ip", "rule", "del", "pref", str(Rule(socket.AF_INET, LAN, 0).priority))
    run("ip", "route", "del", "10.1.0.0/16", "table", str(routes.table_of(1)))
    again = HopTables(router.kit.channel, router.plane, router.wanted, [LAN], router.rules)
    assert again.ensure() == 2
    assert again.ensure() == 0
    packet = IP(src="10.0.0.7", dst="10.1.9.9") / UDP(sport=9, dport=9) / PAYLOAD
    assert router.takes(packet) == 1


def test_fewer_classes_leave_no_routes_behind(router: Router) -> None:
    """Another policy empties the tables of classes that are no more."""
    one = {LAST: router.wanted[LAST]}
    HopTables(router.kit.channel, router.plane, one, [LAN]).ensure()
    assert [routes.routes(n) for n in (0, 1)] == [{}, {}]
    assert [rule for rule in routes.rules() if rule.number != LAST] == []
    voice = IP(src="10.0.0.7", dst="10.1.0.9", tos=46 << 2) / UDP(sport=9, dport=9) / PAYLOAD
    assert router.takes(voice) == 2
    HopTables(router.kit.channel, router.plane, router.wanted, [LAN], router.rules).ensure()
    assert router.takes(voice) == 0


def test_rules_are_products_of_what_a_match_names() -> None:
    """Code points, ranges of ports twice, prefixes of each version, interfaces; few in all."""
    match = Match(frozenset({1, 2}), 17, ((0, 5), (7, 9)), ("10.0.0.0/8", "0.0.0.0/0"))
    found = class_rules((TrafficClass("a", (match,)), TrafficClass("rest")), ["eth1", "eth2"])
    assert found is not None
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 2 * 2
    assert {rule.family for rule in found} == {socket.AF_INET}
    assert {rule.prefix for rule in found} == {"10.0.0.0/8", ""}
    assert {rule.source_ports for rule in found} == {(0, 0), (1, 5), (7, 9)}
    assert class_rules((TrafficClass("rest"),), ["eth1"]) == []


def test_too_many_rules_are_none() -> None:
    """Each packet would be compared with all of them."""
    many = Match(ports=tuple((n, n) for n in range(1, RULES_MOST)))
    assert class_rules((TrafficClass("a", (many,)), TrafficClass("rest")), ["eth1"]) is None
