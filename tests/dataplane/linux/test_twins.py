"""Two keys at either end of a WireGuard tunnel: one byte says which packets leave by."""

from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import Kind, Outcome, Twin
from tests.dataplane.linux.kit import LOOPBACK, REDIRECT, SHOT, Kit, lan, outer, wrapped

pytestmark = pytest.mark.root

PAIRS = tuple(Twin(bits) for bits in range(4))
THERE = IP(src="10.0.0.7", dst="10.1.0.9") / UDP(sport=1, dport=2) / b"payload"
HERE = IP(src="10.1.0.9", dst="10.0.0.7") / UDP(sport=2, dport=1) / b"payload"


@pytest.fixture
def site(kit: Kit) -> Kit:
    """Return a site with one destination behind tunnel 1."""
    kit.route({"10.1.0.0/16": Target(1), "10.0.0.0/16": Target(0, True)})
    kit.entry(1, 1)
    return kit


def other(address: object, second: object) -> IPv6Address:
    """Return an end's address inside, of its first key or of its second one."""
    return IPv6Address(int(IPv6Address(str(address))) ^ bool(second))


@pytest.mark.parametrize("pair", PAIRS)
def test_one_byte_says_by_which_keys_a_packet_leaves(site: Kit, pair: Twin) -> None:
    """Both addresses, and with ours the device, are those of the pair in use."""
    endpoint = site.tunnel(1, six=True, kind=Kind.WIREGUARD, ifindex_twin=LOOPBACK)
    site.tunnels["twins"][1] = pair
    seen = site.run("steer_lan", lan(THERE))
    assert (seen.action, seen.outcome) == (REDIRECT, Outcome.STEER_PRIMARY)
    ip, _, inner = outer(seen)
    assert isinstance(ip, IPv6)
    assert IPv6Address(ip.src) == other(endpoint.local, pair & Twin.OWN)
    assert IPv6Address(ip.dst) == other(endpoint.remote, pair & Twin.PEER)
    assert bytes(inner) != b""


@pytest.mark.parametrize("pair", PAIRS)
def test_the_second_key_has_a_device_of_its_own(site: Kit, pair: Twin) -> None:
    """Where there is none, nothing leaves by it: the first one's would be another key."""
    site.tunnel(1, six=True, kind=Kind.WIREGUARD)
    site.tunnels["twins"][1] = pair
    seen = site.run("steer_lan", lan(THERE))
    assert seen.outcome is (Outcome.DROP_NO_ROUTE if pair & Twin.OWN else Outcome.STEER_PRIMARY)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("kind", [Kind.WIREGUARD, Kind.VXLAN, Kind.PLAIN])
def test_either_key_of_either_end_is_received(site: Kit, pair: Twin, kind: Kind) -> None:
    """Whatever is sent by; without WireGuard, which has checked the key, no address but one is."""
    endpoint = site.tunnel(1, six=True, kind=kind)
    frame = wrapped(
        replace(
            endpoint,
            local=other(endpoint.local, pair & Twin.OWN),
            remote=other(endpoint.remote, pair & Twin.PEER),
        ),
        1,
        HERE,
    )
    seen = site.run("tunnel_ether", frame)
    good = kind is Kind.WIREGUARD or not pair
    assert seen.outcome is (Outcome.DELIVER_STACK if good else Outcome.DROP_BAD_ADDRESS)
    assert (seen.action == SHOT) == (not good)


def test_an_address_that_is_neither_keys_is_refused(site: Kit) -> None:
    """It differs in another bit than the last."""
    endpoint = site.tunnel(1, six=True, kind=Kind.WIREGUARD)
    strange = IPv6Address(int(IPv6Address(str(endpoint.remote))) ^ 2)
    seen = site.run("tunnel_ether", wrapped(replace(endpoint, remote=strange), 1, HERE))
    assert seen.outcome is Outcome.DROP_BAD_ADDRESS
