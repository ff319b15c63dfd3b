"""The table of flows: its sets, who must leave one, and records that are being written."""

import threading
from collections import Counter as Tally

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from patronus.dataplane.linux import syscall
from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import FLOW_TICK, FLOW_WAYS, Note, Outcome
from patronus.dataplane.linux.views import top_flows
from patronus.engine.units import MS, SECOND
from tests.dataplane.linux.kit import LOOPBACK, Kit, lan, outer

pytestmark = pytest.mark.root

TUNNEL_AT = 14 + 20 + 8 + 4
"""Where the overlay header behind Ethernet, IPv4 and UDP names the tunnel."""


@pytest.fixture
def table(kit: Kit) -> Kit:
    """Return a site with two destinations, each behind a tunnel, and all flows in one set."""
    kit.route({"10.1.0.0/16": Target(1), "10.2.0.0/16": Target(2)})
    for row in range(2):
        kit.tunnel(row, detect_ns=10**6 * SECOND)
        kit.entry(row + 1, row)
    kit.settings["flow_sets"] = 0
    return kit


def flow(port: int, *, site: int = 1) -> Frame:
    """Return a packet of the flow with a source port."""
    return lan(IP(src="10.0.0.7", dst=f"10.{site}.0.9") / UDP(sport=port, dport=2000))


def ports(kit: Kit) -> set[int]:
    """Return the source ports of the flows that have a record."""
    return {found.source_port for found in top_flows(kit.pins, 10_000)}


def later(kit: Kit, packet: Frame, after_ns: int = 10 * MS) -> dict[Note, int]:
    """Steer a packet some time later; return what was noted, but for moves of entries."""
    kit.at(kit.now_ns + after_ns)
    seen = kit.run("steer_lan", packet)
    assert seen.outcome is Outcome.STEER_PRIMARY
    return {note: count for note, count in seen.notes.items() if note is not Note.MOVED}


def fill(kit: Kit) -> None:
    """Let flows 1 to 8 begin, one after the other, so that their set is full."""
    for port in range(1, FLOW_WAYS + 1):
        assert later(kit, flow(port)) == {Note.FLOW_NEW: 1}


def test_a_full_set_forgets_the_flow_that_was_idle_longest(table: Kit) -> None:
    """Flow 1 has just been heard of again, so flow 2 makes room; all others stay."""
    fill(table)
    assert later(table, flow(1)) == {}
    assert later(table, flow(9)) == {Note.FLOW_NEW: 1, Note.FLOW_EVICTED: 1}
    assert ports(table) == {1, 3, 4, 5, 6, 7, 8, 9}
    assert later(table, flow(2)) == {Note.FLOW_NEW: 1, Note.FLOW_EVICTED: 1}
    assert ports(table) == {1, 2, 4, 5, 6, 7, 8, 9}


def test_addresses_of_two_families_that_look_alike_are_two_flows(table: Kit) -> None:
    """The IPv6 addresses begin with the bytes of the IPv4 ones and go on with zeroes."""
    table.route({"10.1.0.0/16": Target(1), "a01::/16": Target(1)})
    fill(table)
    six = lan(IPv6(src="a00:7::", dst="a01:9::") / UDP(sport=8, dport=2000))
    assert later(table, six) == {Note.FLOW_NEW: 1, Note.FLOW_EVICTED: 1}
    assert later(table, flow(8)) == later(table, six) == {}
    alike = {str(f.source): f.packets for f in top_flows(table.pins, 10) if f.source_port == 8}
    assert alike == {"10.0.0.7": 2, "a00:7::": 2}


def test_idleness_is_right_where_times_wrap(table: Kit) -> None:
    """Flows before and after the wrap of their times: the oldest is still the oldest."""
    table.at((1 << 32 + FLOW_TICK) - 45 * MS)
    fill(table)
    lasts = table.pins.array("flows")["way"]["last"][0]
    assert lasts.min() < 1000 < lasts.max(), "some lie behind the wrap, some before it"
    later(table, flow(9))
    assert ports(table) == {2, 3, 4, 5, 6, 7, 8, 9}


def test_a_flow_that_another_cpu_saw_later_is_not_the_oldest(table: Kit) -> None:
    """Clocks are read before the table is: a record may be of a time slightly ahead."""
    fill(table)
    later(table, flow(1), after_ns=SECOND)
    table.at(table.now_ns - SECOND)
    later(table, flow(9))
    assert ports(table) == {1, 3, 4, 5, 6, 7, 8, 9}


def test_a_record_that_is_being_written_steers_nothing(table: Kit) -> None:
    """Half of it may be another flow's: the packet goes by prefixes and rules, unrecorded."""
    later(table, flow(1))
    way = table.pins.array("flows")["way"][0]
    at = int(np.flatnonzero(way["sequence"])[0])
    way["sequence"][at] |= 1
    way["destination"][at] = 2
    before = way[at].tobytes()
    seen = table.run("steer_lan", flow(1))
    assert outer(seen)[1].tunnel == 100
    assert seen.notes == {Note.FLOW_FULL: 1}
    assert way[at].tobytes() == before
    assert ports(table) == set()


def test_a_whole_record_steers_without_prefixes(table: Kit) -> None:
    """Destination and class come from the record while its epoch is the present one."""
    later(table, flow(1))
    way = table.pins.array("flows")["way"][0]
    way["destination"][way["sequence"] != 0] = 2
    assert outer(table.run("steer_lan", flow(1)))[1].tunnel == 101
    table.settings["epoch"] = int(table.settings["epoch"][0]) + 2
    assert outer(table.run("steer_lan", flow(1)))[1].tunnel == 100
    assert set(way["destination"]) == {0, 1}, "the record has been set right"


def test_bytes_are_counted_beyond_32_bits(table: Kit) -> None:
    """The sum is kept in two parts, and what the lower one cannot hold reaches the other."""
    later(table, flow(1))
    way = table.pins.array("flows")["way"][0]
    used = way["sequence"] != 0
    way["bytes_low"][used] = 2**32 - 1
    later(table, flow(1))
    (found,) = top_flows(table.pins, 10)
    assert (found.bytes, found.packets) == (2**32 - 1 + len(bytes(flow(1))), 2)


def places(kit: Kit) -> list[int]:
    """Return the sets of 600 flows whose ports follow each other, in order of ports."""
    sets = kit.pins.array("flows")["way"]
    sets.view(np.uint8)[:] = 0
    for port in range(1, 601):
        kit.run("steer_lan", flow(port))
    used = np.argwhere(sets["sequence"])
    found = {int(sets["source_port"][a, b]): a for a, b in used.tolist()}
    return [found.get(port, -1) for port in range(1, 601)]


def test_nobody_knows_which_flows_share_a_set(table: Kit) -> None:
    """Ports in a row spread like chance, and otherwise under another key."""
    table.settings["flow_sets"] = table.sizes.flow_sets - 1
    one = places(table)
    taken = Tally(one)
    assert len(taken) > 0.9 * table.sizes.flow_sets
    table.settings["flow_key"] = np.arange(1000, 13000, 1000, dtype=np.uint32) ** 2
    other = places(table)
    same = sum(a == b for a, b in zip(one, other, strict=True))
    assert same < 60, "128 sets: by chance about five, or some more where flows were forgotten"


def storm(kit: Kit, seed: int, wrong: list[int]) -> None:
    """Steer packets of sixteen flows of both sites in an order of one's own."""
    frames = [bytes(flow(port, site=1 + port % 2)) for port in range(16)]
    program = kit.pins.programs["steer_lan"]
    for port in np.random.default_rng(seed).integers(0, 16, 4000).tolist():
        done = syscall.run_program(program, frames[port], ifindex=LOOPBACK)
        tunnel = int.from_bytes(done.packet[TUNNEL_AT : TUNNEL_AT + 2], "big")
        if tunnel != 100 + port % 2:
            wrong.append(port)


def test_cpus_that_share_a_set_never_mix_flows(table: Kit) -> None:
    """Twice as many flows as places, from four threads: each packet goes to its own site."""
    wrong: list[int] = []
    threads = [threading.Thread(target=storm, args=(table, n, wrong)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    way = table.pins.array("flows")["way"][0]
    assert not (way["sequence"] & 1).any(), "nobody is writing any more"
    assert all(way["destination"] == 1 + way["source_port"] % 2)
    evicted = table.counters.notes()[Note.FLOW_EVICTED].packets
    assert evicted > 1000
