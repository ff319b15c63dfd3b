"""The tunnel's program: what it accepts, where it delivers, what it lets pass on."""

from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame

from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import Inner, Note, Outcome
from patronus.engine.units import LONG_AGO
from tests.dataplane.linux.kit import NEXT, PORT, REDIRECT, SHOT, Kit, outer, wrapped
from tests.dataplane.linux.testpacket import probe_of

pytestmark = pytest.mark.root

HERE = IP(src="10.1.0.9", dst="10.0.0.7", ttl=9) / UDP(sport=1000, dport=2000) / b"payload"
HERE6 = IPv6(src="fd01::9", dst="fd00::7", hlim=9) / UDP(sport=1000, dport=2000) / b"payload"
ELSEWHERE = IP(src="10.1.0.9", dst="10.2.0.7", ttl=9) / UDP(sport=1000, dport=2000) / b"payload"


@pytest.fixture
def hub(kit: Kit) -> Kit:
    """Return a site with tunnels 1 and 2 to two others, and 3 over IPv6 to the first."""
    kit.route(
        {
            "10.0.0.0/16": Target(0, True),
            "fd00::/16": Target(0, True),
            "10.1.0.0/16": Target(1),
            "10.2.0.0/16": Target(2),
        }
    )
    kit.entry(1, 1)
    kit.entry(2, 2, direct=True)
    kit.settings["lan_ifindex"] = 1
    return kit


@pytest.mark.parametrize("inner", [HERE, HERE6])
@pytest.mark.parametrize("six", [False, True])
def test_a_packet_for_this_site_is_unwrapped(hub: Kit, inner: Frame, six: bool) -> None:
    """Either family comes out of either, with the Ethernet type that it needs."""
    endpoint = hub.tunnel(1, six=six)
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, inner))
    assert (seen.action, seen.outcome) == (NEXT, Outcome.DELIVER_STACK)
    assert seen.frame.type == (0x86DD if IPv6 in inner else 0x0800)
    assert bytes(seen.frame.payload) == bytes(inner)
    assert hub.tunnels["heard_ns"][1] == hub.tunnels["confirmed_ns"][1] == hub.now_ns
    received = hub.counters.tunnels(2)[1][1]
    assert received.packets == 1


def test_a_connection_from_afar_learns_what_fits(hub: Kit) -> None:
    """The MSS is lowered on the way in as well: the far end may not have done it."""
    endpoint = hub.tunnel(1)
    syn = IP(src="10.1.0.9", dst="10.0.0.7") / TCP(flags="S", options=[("MSS", 1460)])
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, syn))
    assert dict(seen.frame[TCP].options)["MSS"] == 1360


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"version": 2}, Outcome.DROP_BAD_HEADER),
        ({"row": 2}, Outcome.DROP_BAD_TUNNEL),
        ({"row": 65535}, Outcome.DROP_BAD_TUNNEL),
        ({"row": 3}, Outcome.DROP_BAD_ADDRESS),
        ({"row": 4}, Outcome.DROP_BAD_ADDRESS),
        ({"session": 0}, Outcome.DROP_BAD_SESSION),
        ({"session": 0x1111_2222_3333_0001 ^ 1 << 63}, Outcome.DROP_BAD_SESSION),
        ({"kind": 5}, Outcome.DROP_BAD_INNER),
        ({"kind": Inner.IPV6}, Outcome.DROP_BAD_INNER),
        ({"inner": b"\x45\x00"}, Outcome.DROP_BAD_INNER),
    ],
)
def test_forged_packets_stamp_nothing(hub: Kit, change: dict[str, Any], outcome: Outcome) -> None:
    """Each way of not being the peer has its counter, and proves nothing."""
    endpoint = hub.tunnel(1, up=False)
    hub.tunnel(3, six=True, up=False)
    hub.tunnel(4, up=False)
    given: dict[str, Any] = {"row": 1, "inner": HERE} | change
    seen = hub.run("tunnel_ether", wrapped(endpoint, given.pop("row"), given.pop("inner"), **given))
    assert (seen.action, seen.outcome) == (SHOT, outcome)
    if outcome is not Outcome.DROP_BAD_INNER:
        assert hub.tunnels["confirmed_ns"][1] == LONG_AGO


@pytest.mark.parametrize(
    "frame",
    [
        Ether(dst="00:00:00:00:00:00") / IP(dst="192.0.2.1") / UDP(dport=PORT + 1) / bytes(64),
        Ether(dst="00:00:00:00:00:00") / IP(dst="192.0.2.1") / TCP(dport=PORT) / bytes(64),
        Ether(dst="00:00:00:00:00:00") / IP(dst="192.0.2.1", frag=9) / UDP(dport=PORT) / bytes(64),
        Ether(dst="02:00:00:00:00:99") / IP(dst="192.0.2.1") / UDP(dport=PORT) / bytes(64),
        Ether(dst="00:00:00:00:00:00", type=0x88B5) / bytes(80),
    ],
)
def test_other_traffic_of_the_transport_passes_untouched(hub: Kit, frame: Frame) -> None:
    """The Internet is on the same device: what is not for our port is left alone."""
    seen = hub.run("tunnel_ether", frame)
    assert (seen.action, seen.outcome, seen.data) == (NEXT, Outcome.PASS_NOT_OVERLAY, bytes(frame))


def test_a_short_header_is_refused(hub: Kit) -> None:
    """A packet for our port that ends amid our header is counted, not read beyond its end."""
    frame = Ether(dst="00:00:00:00:00:00") / IP(dst="192.0.2.1") / UDP(dport=PORT) / bytes(19)
    assert hub.run("tunnel_ether", frame).outcome is Outcome.DROP_BAD_HEADER


def test_transit_goes_over_a_direct_tunnel(hub: Kit) -> None:
    """A packet for another site leaves with its budget spent and its class kept."""
    endpoint = hub.tunnel(1)
    hub.tunnel(2)
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, ELSEWHERE))
    assert (seen.action, seen.outcome) == (REDIRECT, Outcome.TRANSIT)
    ip, overlay, inner = outer(seen)
    assert (ip.dst, overlay.tunnel, overlay.budget, overlay.destination) == ("192.0.2.4", 102, 0, 2)
    assert inner.ttl == 8


def test_transit_ends_after_one_more_site(hub: Kit) -> None:
    """Whatever other sites believe: a packet without budget goes no further."""
    endpoint = hub.tunnel(1)
    hub.tunnel(2)
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, ELSEWHERE, budget=0))
    assert (seen.action, seen.outcome) == (SHOT, Outcome.TRANSIT_NO_BUDGET)


def test_transit_takes_no_detour(hub: Kit) -> None:
    """Candidates that lead through a third site are none for packets in transit."""
    endpoint = hub.tunnel(1)
    hub.tunnel(2)
    hub.entry(2, 2, direct=False)
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, ELSEWHERE))
    assert (seen.action, seen.outcome) == (SHOT, Outcome.TRANSIT_NO_DIRECT)


def test_transit_fails_static_too(hub: Kit) -> None:
    """A direct tunnel without proof carries packets in transit if there is no other."""
    endpoint = hub.tunnel(1)
    hub.tunnel(2, up=False)
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, ELSEWHERE))
    assert (seen.action, seen.outcome) == (REDIRECT, Outcome.TRANSIT_ALL_DEAD)


def test_what_nobody_announces_goes_nowhere(hub: Kit) -> None:
    """A destination without a prefix here is neither delivered nor passed on."""
    endpoint = hub.tunnel(1)
    lost = IP(src="10.1.0.9", dst="198.51.100.1") / UDP()
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, lost))
    assert (seen.action, seen.outcome) == (SHOT, Outcome.TRANSIT_NO_DESTINATION)


def test_transit_tells_the_sender_of_its_last_hop(hub: Kit) -> None:
    """The error is handed in at the LAN, where it is steered back to the sender's site."""
    endpoint = hub.tunnel(1)
    hub.tunnel(2)
    last = ELSEWHERE.copy()
    last.ttl = 1
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, last))
    assert (seen.action, seen.outcome) == (REDIRECT, Outcome.REPLY_TIME_EXCEEDED)
    again = hub.run("steer_lan", seen.data, mark=seen.mark)
    ip, overlay, reply = outer(again)
    assert (ip.dst, overlay.tunnel) == ("192.0.2.3", 101)
    assert (reply.src, reply.dst, reply[ICMP].type) == ("10.0.0.1", "10.1.0.9", 11)


def test_transit_tells_what_fits(hub: Kit) -> None:
    """A smaller tunnel further on is known to the sender: both tunnels' MTUs count."""
    endpoint = hub.tunnel(1)
    hub.tunnel(2, mtu=600)
    large = IP(src="10.1.0.9", dst="10.2.0.7", flags="DF") / UDP() / bytes(600)
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, large))
    assert seen.outcome is Outcome.REPLY_TOO_BIG
    assert seen.frame[ICMP].nexthopmtu == 600


def test_probes_are_stamped_and_reflected(hub: Kit) -> None:
    """A probe counts as heard and confirmed like any packet; what only says so does not."""
    endpoint = hub.tunnel(1, up=False)
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, bytes(92), kind=Inner.STAMP))
    assert seen.outcome is Outcome.DROP_BAD_PROBE
    assert hub.tunnels["confirmed_ns"][1] != hub.now_ns
    seen = hub.run("tunnel_ether", wrapped(endpoint, 1, probe_of(1), kind=Inner.STAMP))
    assert seen.outcome is Outcome.PROBE_REFLECTED
    assert hub.tunnels["confirmed_ns"][1] == hub.now_ns


def test_hostile_packets_get_one_outcome_each(hub: Kit) -> None:
    """Packets cut or flipped anywhere behind the outer addresses are counted once."""
    endpoint = hub.tunnel(1)
    hub.tunnel(2)
    draw = np.random.default_rng(11)
    for inner in (HERE, HERE6, ELSEWHERE):
        frame = bytes(wrapped(endpoint, 1, inner))
        for end in range(34, len(frame)):
            hub.run("tunnel_ether", frame[:end])
        for _ in range(300):
            broken = bytearray(frame)
            for at in draw.integers(14, len(frame), size=3):
                broken[at] = draw.integers(256)
            seen = hub.run("tunnel_ether", bytes(broken))
            assert Note.MOVED not in seen.notes
