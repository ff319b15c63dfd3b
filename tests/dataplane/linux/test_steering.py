"""The steering program, packet in and packet out."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet as Frame

from patronus.dataplane.linux import syscall
from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import Note, Outcome, Setting
from patronus.engine.policy import Match, TrafficClass
from patronus.engine.units import MS, SECOND
from tests.dataplane.linux.kit import NEXT, REDIRECT, SHOT, Kit, lan, outer

pytestmark = pytest.mark.root

FOUR = IP(src="10.0.0.7", dst="10.1.0.9", ttl=17) / UDP(sport=1000, dport=2000) / b"payload"
SIX = IPv6(src="fd00::7", dst="fd01::9", hlim=17) / UDP(sport=1000, dport=2000) / b"payload"


@pytest.fixture
def steering(kit: Kit) -> Kit:
    """Return a site with two tunnels to one destination."""
    kit.route({"10.1.0.0/16": Target(1), "fd01::/16": Target(1), "10.0.0.0/24": Target(0, True)})
    kit.tunnel(3)
    kit.tunnel(4)
    kit.tunnel(5, six=True)
    kit.entry(1, 3, 4)
    return kit


def aged(packet: Frame) -> Frame:
    """Return a packet one hop later."""
    older = packet.copy()
    if IP in older:
        older[IP].ttl -= 1
        del older[IP].chksum
    else:
        older[IPv6].hlim -= 1
    return older


def right_sums(packet: Frame) -> bool:
    """Tell whether all checksums are what scapy computes."""
    fresh = packet.copy()
    for layer in (IP, TCP, UDP, ICMP):
        if layer in fresh:
            del fresh[layer].chksum
    return bytes(type(packet)(bytes(fresh))) == bytes(packet)


@pytest.mark.parametrize("inner", [FOUR, SIX])
@pytest.mark.parametrize("six", [False, True])
def test_a_packet_leaves_on_the_primary(steering: Kit, inner: Frame, six: bool) -> None:
    """Either family travels in either: UDP between the tunnel's addresses, one hop older."""
    row = 5 if six else 3
    steering.entry(1, row, 4)
    seen = steering.run("steer_lan", lan(inner))
    assert (seen.action, seen.outcome) == (REDIRECT, Outcome.STEER_PRIMARY)
    ip, overlay, left = outer(seen)
    if six:
        assert (ip.src, ip.dst, ip.hlim, ip.nh) == ("2001:db8::1", "2001:db8::7", 64, 17)
        assert ip.plen == len(ip.payload)
    else:
        assert (ip.src, ip.dst, ip.ttl, ip.proto) == ("192.0.2.1", "192.0.2.5", 64, 17)
        assert (ip.flags, ip.len) == ("DF", len(ip))
        assert bytes(IP(bytes(ip), chksum=None))[:20] == bytes(ip)[:20]
    assert ip[UDP].len == len(ip[UDP])
    assert (overlay.version, overlay.tunnel, overlay.destination) == (1, row + 100, 1)
    assert (overlay.hears, overlay.budget, overlay.segments) == (True, 1, 1)
    assert overlay.session == 0x8888_9999_AAAA_0000 + row
    assert bytes(left) == bytes(aged(inner))


def test_numbers_rise_by_one(steering: Kit) -> None:
    """The packets of a tunnel are numbered, across the end of 32 bits."""
    steering.tunnels["tx_sequence"][3] = 2**32 - 1
    numbers = [outer(steering.run("steer_lan", lan(FOUR)))[1].sequence for _ in range(3)]
    assert numbers == [2**32 - 1, 0, 1]


def test_sizes_are_counted(steering: Kit) -> None:
    """The sender's account is kept by size of the inner packet."""
    for size in (28, 128, 129, 512, 513, 1024, 1025, 1400):
        steering.run("steer_lan", lan(IP(dst="10.1.0.9") / UDP() / bytes(size - 28)))
    assert steering.tunnels["tx_packets"][3].tolist() == [2, 2, 2, 2]


def test_the_backup_takes_over_by_itself(steering: Kit) -> None:
    """A proof one nanosecond too old: this very packet goes over the backup."""
    now = steering.at(steering.now_ns + 30 * MS)
    assert steering.run("steer_lan", lan(FOUR)).outcome is Outcome.STEER_PRIMARY
    steering.at(now + 1)
    steering.tunnels["confirmed_ns"][4] = now
    seen = steering.run("steer_lan", lan(FOUR))
    assert seen.outcome is Outcome.STEER_BACKUP
    assert outer(seen)[1].tunnel == 104
    assert seen.notes[Note.EXPIRED] == seen.notes[Note.MOVED] == 1


def test_the_congestion_mark_stays_inside(steering: Kit) -> None:
    """The codepoint is copied out, the two bits of ECN are not (RFC 6040)."""
    ip, _, inner = outer(steering.run("steer_lan", lan(IP(dst="10.1.0.9", tos=0xBA) / UDP())))
    assert (ip.tos, inner.tos) == (0xB8, 0xBA)
    steering.entry(1, 5)
    ip, _, _ = outer(steering.run("steer_lan", lan(IPv6(dst="fd01::9", tc=0xBB) / UDP())))
    assert ip.tc == 0xB8


def test_short_frames_travel_without_padding(steering: Kit) -> None:
    """Bytes that fill up an Ethernet frame are none of the packet's."""
    tiny = IP(src="10.0.0.7", dst="10.1.0.9") / UDP() / b"x"
    _, _, inner = outer(steering.run("steer_lan", bytes(lan(tiny)).ljust(60, b"\0")))
    assert bytes(inner) == bytes(aged(tiny))


@pytest.mark.parametrize(
    ("frame", "outcome"),
    [
        (lan(ARP()), Outcome.PASS_NOT_IP),
        (Ether(dst="00:00:00:00:00:00", type=0x88B5) / (b"x" * 60), Outcome.PASS_NOT_IP),
        (lan(FOUR, dst="ff:ff:ff:ff:ff:ff"), Outcome.PASS_MULTICAST),
        (lan(IP(dst="224.0.0.251") / UDP()), Outcome.PASS_MULTICAST),
        (lan(IPv6(dst="ff02::1") / UDP()), Outcome.PASS_MULTICAST),
        (
            lan(
                IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
                / BOOTP() / DHCP(options=["end"]),
                dst="ff:ff:ff:ff:ff:ff",
            ),
            Outcome.PASS_MULTICAST,
        ),
        (lan(FOUR, dst="02:00:00:00:00:99"), Outcome.PASS_OTHER_HOST),
        (lan(IP(dst="169.254.1.1") / UDP()), Outcome.PASS_LOCAL),
        (lan(IPv6(dst="fe80::1") / UDP()), Outcome.PASS_LOCAL),
        (lan(IP(dst="10.0.0.99") / UDP()), Outcome.PASS_LOCAL),
        (lan(IP(dst="8.8.8.8") / UDP()), Outcome.PASS_NO_DESTINATION),
        (lan(IPv6(dst="2001::1") / UDP()), Outcome.PASS_NO_DESTINATION),
        (bytes(lan(FOUR))[: 14 + 25], Outcome.PASS_MALFORMED),
        (bytes(lan(SIX))[: 14 + 45], Outcome.PASS_MALFORMED),
        (lan(IP(dst="10.1.0.9", ihl=4) / UDP()), Outcome.PASS_MALFORMED),
    ],
)  # fmt: skip
def test_what_is_not_ours_passes_untouched(steering: Kit, frame: Any, outcome: Outcome) -> None:
    """ARP, DHCP, multicast, other hosts' frames and other networks see no change at all."""
    seen = steering.run("steer_lan", frame)
    assert (seen.action, seen.outcome) == (NEXT, outcome)
    assert seen.data == bytes(frame)


def test_without_settings_nothing_happens(steering: Kit) -> None:
    """Programs that run before anybody has set the maps up leave packets alone."""
    steering.settings["layout"] = 0
    before = steering.counters.totals().copy()
    for name in "steer_lan steer_out tunnel_ether tunnel_ip".split():
        done = syscall.run_program(steering.pins.programs[name], bytes(lan(FOUR)), ifindex=1)
        assert (done.action, done.packet) == (NEXT, bytes(lan(FOUR)))
    assert (steering.counters.totals() == before).all()


def test_an_expired_packet_is_answered(steering: Kit) -> None:
    """The last hop is told to the sender, who sees its own header and ports."""
    last = FOUR.copy()
    last.ttl = 1
    seen = steering.run("steer_lan", lan(last))
    assert (seen.action, seen.outcome) == (REDIRECT, Outcome.REPLY_TIME_EXCEEDED)
    frame = seen.frame
    assert (frame.dst, frame.src) == ("02:00:00:00:00:02", "00:00:00:00:00:00")
    assert (frame[IP].src, frame[IP].dst, frame[ICMP].type) == ("10.0.0.1", "10.0.0.7", 11)
    assert bytes(frame[ICMP].payload) == bytes(IP(bytes(last)))[:28]
    assert right_sums(frame[IP])


def test_an_expired_ipv6_packet_is_answered(steering: Kit) -> None:
    """ICMPv6 time exceeded, with a checksum over the pseudo-header."""
    last = SIX.copy()
    last.hlim = 1
    seen = steering.run("steer_lan", lan(last))
    reply = seen.frame[IPv6]
    assert (reply.src, reply.dst) == ("fd00::1", "fd00::7")
    assert bytes(reply[ICMPv6TimeExceeded].payload) == bytes(IPv6(bytes(last)))[:48]
    fresh = reply.copy()
    del fresh[ICMPv6TimeExceeded].cksum
    assert bytes(fresh) == bytes(reply)


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="10.0.0.7", dst="10.1.0.9", ttl=1) / ICMP(type=3),
        IP(src="0.0.0.0", dst="10.1.0.9", ttl=1) / UDP(),
        IP(src="10.0.0.7", dst="10.1.0.9", ttl=1, frag=5) / (b"x" * 40),
        IPv6(src="fd00::7", dst="fd01::9", hlim=1) / ICMPv6TimeExceeded(),
        IPv6(src="::", dst="fd01::9", hlim=1) / UDP(),
    ],
)
def test_no_error_answers_an_error(steering: Kit, packet: Frame) -> None:
    """ICMP errors, later fragments and senders without address are not answered."""
    seen = steering.run("steer_lan", lan(packet))
    assert (seen.action, seen.outcome) == (SHOT, Outcome.DROP_TIME_EXCEEDED)


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Stay on one processor: each has a budget of its own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_cpu")
def test_errors_are_limited(steering: Kit) -> None:
    """Fifty at once, then one a millisecond; what is not told is counted, other kinds are told."""
    last, large = FOUR.copy(), IP(src="10.0.0.7", dst="10.1.0.9", flags="DF") / UDP() / bytes(1400)
    last.ttl = 1
    now_ns = int(steering.settings["test_now_ns"][0])
    steering.settings["test_now_ns"] = now_ns + SECOND
    seen = [steering.run("steer_lan", lan(last)) for _ in range(55)]
    assert [each.outcome for each in seen[:50]] == [Outcome.REPLY_TIME_EXCEEDED] * 50
    assert [each.outcome for each in seen[50:]] == [Outcome.DROP_TIME_EXCEEDED] * 5
    assert [each.notes.get(Note.ERROR_LIMITED, 0) for each in seen] == [0] * 50 + [1] * 5
    assert steering.run("steer_lan", lan(large)).outcome is Outcome.REPLY_TOO_BIG
    steering.settings["test_now_ns"] = now_ns + SECOND + 2 * MS
    seen = [steering.run("steer_lan", lan(last)) for _ in range(3)]
    assert [each.outcome for each in seen] == [
        Outcome.REPLY_TIME_EXCEEDED, Outcome.REPLY_TIME_EXCEEDED, Outcome.DROP_TIME_EXCEEDED,
    ]  # fmt: skip


def test_a_large_packet_is_refused_with_the_size_that_fits(steering: Kit) -> None:
    """Path MTU discovery works: DF gets "fragmentation needed" with the tunnel's MTU."""
    fits = IP(src="10.0.0.7", dst="10.1.0.9", flags="DF") / UDP() / bytes(1372)
    assert steering.run("steer_lan", lan(fits)).outcome is Outcome.STEER_PRIMARY
    seen = steering.run("steer_lan", lan(fits / b"x"))
    assert (seen.action, seen.outcome) == (REDIRECT, Outcome.REPLY_TOO_BIG)
    reply = seen.frame[ICMP]
    assert (reply.type, reply.code, reply.nexthopmtu) == (3, 4, 1400)
    assert right_sums(seen.frame[IP])


def test_a_large_ipv6_packet_is_refused(steering: Kit) -> None:
    """ICMPv6 packet too big, with the tunnel's MTU."""
    seen = steering.run("steer_lan", lan(IPv6(src="fd00::7", dst="fd01::9") / UDP() / bytes(1353)))
    assert seen.outcome is Outcome.REPLY_TOO_BIG
    assert seen.frame[ICMPv6PacketTooBig].mtu == 1400


def test_what_may_be_fragmented_goes_to_the_kernel(steering: Kit) -> None:
    """Without DF the kernel cuts the packet on its way to the overlay device."""
    frame = lan(IP(src="10.0.0.7", dst="10.1.0.9") / UDP() / bytes(1380))
    seen = steering.run("steer_lan", frame)
    assert (seen.action, seen.outcome, seen.data) == (NEXT, Outcome.PASS_TO_FRAGMENT, bytes(frame))
    assert steering.run("steer_out", frame).outcome is Outcome.DROP_TOO_BIG


@pytest.mark.parametrize(
    ("packet", "mss"),
    [
        (IP(dst="10.1.0.9") / TCP(flags="S", options=[("MSS", 1460)]), 1360),
        (IP(dst="10.1.0.9") / TCP(flags="SA", options=[("NOP", None), ("MSS", 9000)]), 1360),
        (IP(dst="10.1.0.9") / TCP(flags="S", options=[("SAckOK", b""), ("MSS", 1361)]), 1360),
        (IP(dst="10.1.0.9") / TCP(flags="S", options=[("MSS", 1200)]), 1200),
        (IPv6(dst="fd01::9") / TCP(flags="S", options=[("WScale", 7), ("MSS", 1440)]), 1340),
        (IP(dst="10.1.0.9") / TCP(flags="A", options=[("MSS", 1460)]), 1460),
    ],
)
def test_new_connections_learn_what_fits(steering: Kit, packet: Frame, mss: int) -> None:
    """The MSS of a SYN is lowered to the tunnel's MTU, never raised, checksum and all."""
    seen = steering.run("steer_lan", lan(packet))
    _, _, inner = outer(seen)
    assert dict(inner[TCP].options)["MSS"] == mss
    assert right_sums(inner)
    assert (Note.MSS_CLAMPED in seen.notes) == (dict(packet[TCP].options)["MSS"] != mss)


@pytest.mark.parametrize("options", [b"\x05\x00", b"\x02\x04", b"\x01" * 40, b"\x08\x01" * 10])
def test_broken_options_harm_nobody(steering: Kit, options: bytes) -> None:
    """A SYN whose options are cut or endless is forwarded as it is."""
    header = bytearray(bytes(TCP(flags="S"))[:20] + options.ljust(-(-len(options) // 4) * 4, b"\1"))
    header[12] = len(header) // 4 << 4
    packet = IP(dst="10.1.0.9", proto=6) / bytes(header)
    seen = steering.run("steer_lan", lan(packet))
    assert seen.outcome is Outcome.STEER_PRIMARY
    assert bytes(outer(seen)[2]) == bytes(aged(IP(bytes(packet))))


def test_fragments_follow_the_first(steering: Kit) -> None:
    """Later fragments are classified by the ports that only the first one shows."""
    voice = TrafficClass("voice", (Match(ports=((2000, 2000),)),))
    steering.policy(voice, TrafficClass("rest"))
    steering.entry(2, 3)
    steering.entry(3, 4)
    packet = IP(src="10.0.0.7", dst="10.1.0.9", id=77) / UDP(sport=1, dport=2000) / bytes(900)
    first, *later = fragment(packet, fragsize=400)  # type: ignore[no-untyped-call]  # scapy's
    seen = [steering.run("steer_lan", lan(each)) for each in (first, *later)]
    assert [outer(each)[1].tunnel for each in seen] == [103] * 3
    assert [each.notes.get(Note.FRAGMENT_FOLLOWED, 0) for each in seen] == [0, 1, 1]
    stray = later[0].copy()
    stray.id = 78
    orphan = steering.run("steer_lan", lan(stray))
    assert outer(orphan)[1].tunnel == 104
    assert orphan.notes[Note.FRAGMENT_ORPHAN] == 1


def test_ipv6_fragments_follow_too(steering: Kit) -> None:
    """The fragment header of IPv6 is found, behind other extension headers as well."""
    voice = TrafficClass("voice", (Match(ports=((2000, 2000),)),))
    steering.policy(voice, TrafficClass("rest"))
    steering.entry(2, 3)
    steering.entry(3, 4)
    head = IPv6(src="fd00::7", dst="fd01::9") / IPv6ExtHdrDestOpt()
    whole = bytes(UDP(sport=1, dport=2000, len=408, chksum=1)) + bytes(400)
    for offset, more, data in ((0, 1, whole[:200]), (25, 0, whole[200:])):
        part = head / IPv6ExtHdrFragment(nh=17, offset=offset, m=more, id=9) / data
        assert outer(steering.run("steer_lan", lan(part)))[1].tunnel == 103


def test_mode_mark_leaves_forwarding_to_the_kernel(steering: Kit) -> None:
    """LAN ingress marks a packet with its class; at the overlay device it is steered."""
    steering.policy(TrafficClass("voice", (Match(dscp=frozenset({46})),)), TrafficClass("rest"))
    steering.entry(3, 3)
    steering.settings["flags"] = Setting.MARK
    steering.settings["mark"] = 0x500
    seen = steering.run("steer_lan", lan(FOUR))
    assert (seen.action, seen.outcome, seen.mark) == (NEXT, Outcome.PASS_MARKED, 0x501)
    assert seen.data == bytes(lan(FOUR))
    routed = steering.run("steer_out", lan(FOUR))
    assert routed.outcome is Outcome.STEER_PRIMARY
    assert bytes(outer(routed)[2]) == bytes(FOUR)


def test_the_outer_packet_carries_the_transports_mark(steering: Kit) -> None:
    """Which routing table the outer packet uses is the tunnel's matter, not the sender's."""
    steering.tunnel(6, mark=0x77)
    steering.entry(1, 6)
    assert steering.run("steer_lan", lan(FOUR), mark=5).mark == 0x77


def test_what_has_no_way_is_dropped_and_counted(steering: Kit) -> None:
    """An entry without candidates, and one whose class drops rather than fails static."""
    steering.entry(1)
    assert steering.run("steer_lan", lan(FOUR)).outcome is Outcome.DROP_NO_PATH
    steering.entry(1, 3, drop=True)
    steering.kill(3)
    seen = steering.run("steer_lan", lan(FOUR))
    assert (seen.action, seen.outcome) == (SHOT, Outcome.DROP_ALL_DEAD)


def test_counters_tell_class_rule_and_tunnel(steering: Kit) -> None:
    """Each steered packet is seen in the counters of its class, its rule and its tunnel."""
    voice = TrafficClass("voice", (Match(dscp=frozenset({1})), Match(dscp=frozenset({46}))))
    steering.policy(voice, TrafficClass("rest", (Match(protocol=6),)))
    steering.entry(2, 3)
    steering.entry(3, 4)
    steering.run("steer_lan", lan(IP(dst="10.1.0.9", tos=46 << 2) / UDP()))
    steering.run("steer_lan", lan(IP(dst="10.1.0.9") / TCP()))
    steering.run("steer_lan", lan(IP(dst="10.1.0.9") / ICMP()))
    assert [c.packets for c in steering.counters.classes()[:2]] == [1, 2]
    rules = [c.packets for c in steering.counters.rules()]
    assert (rules[:3], rules[64]) == ([0, 1, 1], 1)
    sent = [tunnel[0].packets for tunnel in steering.counters.tunnels(5)]
    assert sent == [0, 0, 0, 1, 2]


def test_hostile_bytes_never_reach_a_tunnel_broken(steering: Kit) -> None:
    """Packets cut or flipped anywhere get exactly one outcome, whatever it is."""
    draw = np.random.default_rng(7)
    frames = [bytes(lan(each)) for each in (FOUR, SIX, IP(dst="10.1.0.9") / TCP(flags="S"))]
    for frame in frames:
        # The kernel runs no program on frames without a whole IP header.
        for end in range(14 + 40, len(frame)):
            steering.run("steer_lan", frame[:end])
        for _ in range(300):
            broken = bytearray(frame)
            for at in draw.integers(14, len(frame), size=3):
                broken[at] = draw.integers(256)
            steering.run("steer_lan", bytes(broken))


def test_ping_is_no_flow_with_ports(steering: Kit) -> None:
    """Protocols without ports are steered as well."""
    assert steering.run("steer_lan", lan(IP(dst="10.1.0.9") / ICMP())).outcome is (
        Outcome.STEER_PRIMARY
    )
    ping = IPv6(dst="fd01::9") / ICMPv6EchoRequest()
    assert steering.run("steer_lan", lan(ping)).outcome is Outcome.STEER_PRIMARY
