"""Prefixes in the kernel: the longest wins, and differences alone are written."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from patronus.dataplane.linux.prefixes import (
    Network,
    Target,
    install_prefixes,
    installed_prefixes,
    key_of,
    network_of,
)
from patronus.dataplane.linux.records import Outcome
from tests.dataplane.linux.kit import Kit, lan

NETWORKS = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
        lambda p: ipaddress.ip_network(p, strict=False)
    ),
    st.tuples(st.integers(2**32, 2**128 - 1), st.integers(0, 128)).map(
        lambda p: ipaddress.ip_network(p, strict=False)
    ),
)
TARGETS = st.builds(Target, st.integers(0, 65_535), st.booleans())


@given(NETWORKS)
def test_keys_are_read_as_they_were_written(network: Network) -> None:
    """Any prefix of either family, of any length."""
    assert network_of(key_of(network)) == network


@pytest.mark.root
def test_the_kernel_holds_what_is_wanted(kit: Kit) -> None:
    """From any set of prefixes to any other, and the number of changes is right."""

    @settings(max_examples=60)
    @given(st.lists(st.dictionaries(NETWORKS, TARGETS, max_size=12), max_size=4))
    def holds(lives: list[dict[Network, Target]]) -> None:
        standing: dict[Network, Target] = {}
        install_prefixes(kit.pins, {})
        for wanted in lives:
            epoch = int(kit.settings["epoch"][0])
            changed = install_prefixes(kit.pins, wanted)
            assert installed_prefixes(kit.pins) == wanted
            assert changed == len(
                {n for n in standing.keys() | wanted.keys() if standing.get(n) != wanted.get(n)}
            )
            # Flows are looked up anew if anything changed, and only then.
            assert int(kit.settings["epoch"][0]) == epoch + 2 * (changed > 0)
            standing = wanted

    holds()


@pytest.mark.root
@pytest.mark.parametrize(
    ("packet", "outcome"),
    [
        (IP(dst="10.1.2.3"), Outcome.PASS_LOCAL),
        (IP(dst="10.1.3.3"), Outcome.DROP_NO_PATH),
        (IP(dst="10.2.0.1"), Outcome.PASS_NO_DESTINATION),
        (IPv6(dst="fd01::1"), Outcome.DROP_NO_PATH),
        (IPv6(dst="fd01:1::1"), Outcome.PASS_LOCAL),
    ],
)
def test_the_longest_prefix_wins(kit: Kit, packet: Any, outcome: Outcome) -> None:
    """A part of another site's prefix may lie here, and the other way round."""
    kit.route(
        {
            "10.1.0.0/16": Target(1),
            "10.1.2.0/24": Target(0, True),
            "fd01::/16": Target(1),
            "fd01:1::/32": Target(0, True),
        }
    )
    assert kit.run("steer_lan", lan(packet / UDP())).outcome is outcome
