"""Ranges of addresses: the tree finds what the longest prefix says, in Python and in the kernel."""

import ipaddress
from bisect import bisect_right
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from patronus.control.agent.tables import Tables
from patronus.dataplane.linux.pins import Sizes
from patronus.dataplane.linux.prefixes import Network, Target, install_prefixes, install_ranges
from patronus.dataplane.linux.ranges import digest
from patronus.dataplane.linux.rangetree import (
    FAMILIES,
    Family,
    Range,
    flatten,
    levels_of,
    nodes_before,
    room,
)
from patronus.dataplane.linux.records import Outcome
from patronus.dataplane.linux.rules import compile_rules
from patronus.dataplane.linux.views import top_flows
from patronus.engine.policy import Match, TrafficClass
from tests.dataplane.linux.kit import Kit, lan

SMALL = Family(4, 8, 3)
"""A family whose addresses can all be tried."""


@st.composite
def ranges(draw: st.DrawFn) -> list[Range]:
    """Draw the ranges of different prefixes of the small family."""
    found = {}
    for address, length in draw(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 8)))):
        size = 2 ** (8 - length)
        low = address // size * size
        found[low, length] = Range(low, length, low + size - 1, draw(st.integers(1, 3)))
    return list(found.values())


def search(levels: list[np.ndarray], address: int) -> int:
    """Return the place of an address, as the kernel walks to it."""
    place = 0
    for nodes in levels:
        place = place * SMALL.keys + int((nodes[place] <= address).sum()) - 1
    return place


@given(ranges())
def test_the_narrowest_range_counts(given_ranges: list[Range]) -> None:
    """For each address but the highest one, which nothing is sent to."""
    starts, words = flatten(given_ranges, SMALL.highest)
    levels = levels_of(starts, SMALL)
    assert len(starts) <= 2 * len(given_ranges) + 1
    for address in range(SMALL.highest):
        around = [r for r in given_ranges if r.low <= address <= r.high]
        word = max(around, key=lambda r: r.length).word if around else 0
        assert words[search(levels, address)] == word
        assert search(levels, address) == bisect_right(starts, address) - 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prefixes", [0, 1, 7, 8, 64, 4095, 65_536])
def test_there_is_room_for_the_worst_case(family: Family, prefixes: int) -> None:
    """A prefix begins two ranges at most: all levels of their tree fit into the maps."""
    levels = levels_of(list(range(2 * prefixes + 1)), family)
    nodes, places = room(prefixes, family.keys)
    assert nodes_before(len(levels) - 1, family.keys) + len(levels[-1]) <= nodes
    assert 2 * prefixes + 1 <= places


def drawn(draw: np.random.Generator, version: int, count: int) -> dict[Network, Target]:
    """Draw prefixes that lie within each other, of all lengths."""
    bits, found = (32, dict[Network, Target]()) if version == 4 else (128, {})
    while len(found) < count:
        start = 10 << 24 if version == 4 else 0xFD << 120
        free = 20 if version == 4 else int(draw.choice([60, 112]))
        address = start | int(draw.integers(2**16)) << (bits - 8 - 16) | int(draw.integers(2**8))
        length = bits - int(draw.integers(0, free))
        found[ipaddress.ip_network((address, length), strict=False)] = Target(
            int(draw.integers(60)), bool(draw.integers(2))
        )
    return found


def longest(wanted: dict[Network, Target], address: int, version: int) -> Target | None:
    """Return what the longest prefix of an address leads to, found by trying all."""
    around = [
        n for n in wanted
        if n.version == version and int(n.network_address) <= address <= int(n.broadcast_address)
    ]  # fmt: skip
    return wanted[max(around, key=lambda n: n.prefixlen)] if around else None


@pytest.mark.root
@pytest.mark.parametrize("version", [4, 6])
def test_the_kernel_finds_what_the_longest_prefix_says(kit: Kit, version: int) -> None:
    """Many prefixes within each other, and addresses in and beside them."""
    draw = np.random.default_rng(version)
    wanted = drawn(draw, version, 200)
    for part in (dict(islice(wanted.items(), 5)), wanted):  # both banks
        install_prefixes(kit.pins, part)
        for network in part:
            for address in (int(network.network_address), int(network.broadcast_address) + 1):
                check(kit, address, version, longest(part, address, version))
    assert int(kit.settings["ranges"][0, int(version == 6)]) >> 1 > 1, "more than one level"


def check(kit: Kit, address: int, version: int, target: Target | None) -> None:
    """Send a packet to an address, and compare what became of it."""
    kit.pins.array("flows").view(np.uint8)[:] = 0
    to = str(ipaddress.IPv4Address(address) if version == 4 else ipaddress.IPv6Address(address))
    packet = IP(dst=to) if version == 4 else IPv6(dst=to)
    outcome = kit.run("steer_lan", lan(packet / UDP())).outcome
    if target is None or target.local:
        assert outcome is (Outcome.PASS_LOCAL if target else Outcome.PASS_NO_DESTINATION), to
    else:
        assert outcome is Outcome.DROP_NO_PATH, to
        assert top_flows(kit.pins, 1)[0].destination == target.destination, to


@pytest.mark.root
def test_a_set_that_is_larger_than_the_maps_is_refused(kit: Kit) -> None:
    """With a message, before anything is changed."""
    known: dict[Network, Target] = {ipaddress.ip_network("10.1.0.0/16"): Target(1)}
    install_prefixes(kit.pins, known)
    many = dict(known)
    for n in range(600):
        many[ipaddress.ip_network((10 << 24 | n << 9, 24))] = Target(2)
    with pytest.raises(ValueError, match="no room for so many prefixes of IPv4"):
        install_prefixes(kit.pins, many)
    check(kit, 10 << 24 | 1 << 16 | 5, 4, Target(1))
    assert install_prefixes(kit.pins, known) == 0


@pytest.mark.root
def test_who_is_killed_between_ranges_and_tries_does_it_again(kit: Kit) -> None:
    """Ranges come first, so that tries which are as wanted tell that ranges are."""
    wanted: dict[Network, Target] = {ipaddress.ip_network("10.1.0.0/16"): Target(1)}
    assert install_ranges(kit.pins, wanted) == 1
    assert install_prefixes(kit.pins, wanted) == 1
    assert install_ranges(kit.pins, wanted) == 0


@pytest.mark.root
def test_what_somebody_wrote_into_the_ranges_is_noticed(kit: Kit) -> None:
    """By a digest, and put right by installing them once more."""
    wanted: dict[Network, Target] = {ipaddress.ip_network("10.1.0.0/16"): Target(1)}
    install_prefixes(kit.pins, wanted)
    sound = digest(kit.pins, 1)
    bank = int(kit.settings["ranges"][0, 0]) & 1
    with kit.pins.glance("places4") as places:
        places["bank"][1, bank] = 9
    assert digest(kit.pins, 1) != sound
    check(kit, 10 << 24 | 1 << 16, 4, Target(8))
    assert install_ranges(kit.pins, wanted) == 1
    check(kit, 10 << 24 | 1 << 16, 4, Target(1))


@pytest.mark.root
def test_the_agent_repairs_ranges_and_outdates_flows(kit: Kit) -> None:
    """What was written into them is found at the next comparison, and flows decide again."""
    wanted: dict[Network, Target] = {ipaddress.ip_network("10.1.0.0/16"): Target(1)}
    tables = Tables(kit.pins, wanted, compile_rules([TrafficClass("all", (Match(),))]))
    assert (tables.ensure(), tables.ensure()) == (2, 0), "a prefix and the rules"
    bank, epoch = int(kit.settings["ranges"][0, 0]) & 1, int(kit.settings["epoch"][0])
    with kit.pins.glance("places4") as places:
        places["bank"][1, bank] = 9
    assert (tables.ensure(), tables.ensure()) == (1, 0)
    assert int(kit.settings["epoch"][0]) == epoch + 2
    check(kit, 10 << 24 | 1 << 16, 4, Target(1))


def test_sizes_follow_the_number_of_prefixes() -> None:
    """Nodes for two banks; a place holds both."""
    sizes = Sizes(prefixes=256)
    for family in FAMILIES:
        nodes, places = room(256, family.keys)
        assert sizes.entries_of(f"ranges{family.version}") == 2 * nodes
        assert sizes.entries_of(f"places{family.version}") == places


@settings(max_examples=20)
@given(st.integers(1, 5), st.sampled_from([3, 8, 16]))
def test_levels_lie_behind_each_other(level: int, keys: int) -> None:
    """Each begins where the ones above it end, if all their nodes were there."""
    assert nodes_before(level, keys) == sum(keys**n for n in range(level))
