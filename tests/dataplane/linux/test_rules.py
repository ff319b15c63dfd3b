"""Traffic classes in the kernel: the first match wins, as a plain reading of the policy says."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from patronus.dataplane.linux import records
from patronus.dataplane.linux.prefixes import Target, table_of
from patronus.dataplane.linux.rules import compile_rules
from patronus.engine.policy import Match, TrafficClass
from tests.dataplane.linux.kit import Kit, lan, outer

PREFIXES = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "0.0.0.0/0", "fd00::/8", "fd01::/16"]
ADDRESSES = ["10.1.2.3", "10.1.9.9", "10.9.9.9", "11.0.0.1", "fd01::1", "fd02::1"]
POINTS = [0, 10, 46]
PROTOCOLS = [17, 6, 89]
PORTS = [1, 53, 5060, 65535]

MATCHES = st.builds(
    Match,
    dscp=st.frozensets(st.sampled_from(POINTS), max_size=2),
    protocol=st.none() | st.sampled_from(PROTOCOLS),
    ports=st.lists(
        st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda p: (min(p), max(p))),
        max_size=2,
    ).map(tuple),
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=2).map(tuple),
)
POLICIES = st.lists(st.lists(MATCHES, min_size=1, max_size=4).map(tuple), min_size=1, max_size=5)


def matches(match: Match, address: str, point: int, protocol: int, ports: tuple[int, int]) -> bool:
    to = ipaddress.ip_address(address)
    shown = ports if protocol in {6, 17} else ()
    return (
        (not match.dscp or point in match.dscp)
        and match.protocol in {None, protocol}
        and (not match.ports or any(lo <= p <= hi for p in shown for lo, hi in match.ports))
        and (not match.prefixes or any(to in ipaddress.ip_network(p) for p in match.prefixes))
    )


@pytest.mark.root
def test_packets_are_classified_as_the_policy_reads(kit: Kit) -> None:
    """For any policy and packet the kernel finds the class that a plain reading finds."""
    for row in range(6):
        kit.tunnel(row, detect_ns=10**18)
    packets = st.tuples(
        st.sampled_from(ADDRESSES),
        st.sampled_from(POINTS),
        st.sampled_from(PROTOCOLS),
        st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)),
    )

    @settings(max_examples=80)
    @given(POLICIES, st.lists(packets, min_size=1, max_size=6))
    def holds(
        policy: list[tuple[Match, ...]], sent: list[tuple[str, int, int, tuple[int, int]]]
    ) -> None:
        classes = [TrafficClass(f"c{n}", each) for n, each in enumerate(policy)]
        kit.policy(*classes, TrafficClass("rest", (Match(dscp=frozenset({63})),)))
        kit.route({"0.0.0.0/0": Target(0), "::/0": Target(0)})
        for number in range(len(classes) + 1):
            kit.entry(number, number)
        for address, point, protocol, ports in sent:
            ip = IP(dst=address, tos=point << 2, proto=protocol) if "." in address else IPv6(
                dst=address, tc=point << 2, nh=protocol
            )  # fmt: skip
            header = ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big") + bytes(16)
            seen = kit.run("steer_lan", lan(ip / Raw(header)))
            expected = next(
                (
                    number
                    for number, each in enumerate(policy)
                    if any(matches(m, address, point, protocol, ports) for m in each)
                ),
                len(classes),
            )
            overlay = outer(seen)[1]
            assert (overlay.traffic_class, overlay.tunnel) == (expected, expected + 100)

    holds()


def test_more_rules_than_bits_are_refused() -> None:
    """64 matches are the most; one more is an error that says so."""
    many = TrafficClass("many", tuple(Match(dscp=frozenset({n % 64})) for n in range(65)))
    with pytest.raises(ValueError, match="65 matches in all, 64 is the most"):
        compile_rules([many])
    assert len(compile_rules([TrafficClass("many", many.matches[:64])]).prefixes) == 0


@pytest.mark.root
def test_a_prefix_of_the_old_rules_hides_no_wider_one(kit: Kit) -> None:
    """While both rules stand in the trie, the longest prefix found may be the old one's."""
    kit.tunnel(0)
    kit.route({"0.0.0.0/0": Target(0)})
    for prefix in ("10.1.2.0/24", "10.0.0.0/8"):
        kit.policy(TrafficClass("a", (Match(prefixes=(prefix,)),)), TrafficClass("b"))
        kit.entry(0, 0)
        kit.entry(1, 0)
        seen = kit.run("steer_lan", lan(IP(dst="10.1.2.3") / UDP()))
        assert outer(seen)[1].traffic_class == 0


@pytest.mark.root
def test_old_rules_leave_no_prefixes_behind(kit: Kit) -> None:
    """After two changes of policy the tries hold the prefixes of the last one alone."""
    kit.policy(TrafficClass("a", (Match(prefixes=("10.0.0.0/8", "fd00::/8")),)))
    for _ in range(2):
        kit.policy(TrafficClass("b", (Match(prefixes=("10.1.0.0/16",)),)))
    held = {
        version: len(list(table_of(kit.pins.maps[f"targets{version}"], version, records.RULE_BITS)))
        for version in (4, 6)
    }
    assert held == {4: 1, 6: 0}


@pytest.mark.root
def test_a_class_of_the_last_rule_of_all_is_found(kit: Kit) -> None:
    """Bit 63 works like the others."""
    kit.tunnel(0)
    kit.route({"0.0.0.0/0": Target(0)})
    never = Match(protocol=200)
    kit.policy(TrafficClass("a", (never,) * 63), TrafficClass("b", (Match(),)))
    kit.entry(1, 0)
    seen = kit.run("steer_lan", lan(IP(dst="10.0.0.1") / UDP()))
    assert outer(seen)[1].traffic_class == 1
