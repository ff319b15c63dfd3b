"""Flows: their records, pinning, draining, weighted sharing."""

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import FLOW_TICK, Note, Outcome
from patronus.dataplane.linux.views import top_flows
from patronus.engine.policy import Match, TrafficClass
from patronus.engine.units import MS, SECOND
from tests.dataplane.linux.kit import Kit, Seen, lan, outer, wrapped

pytestmark = pytest.mark.root

FLOW = IP(src="10.0.0.7", dst="10.1.0.9") / UDP(sport=1000, dport=2000)
TICK = 1 << FLOW_TICK
"""Times of flows are kept in such units: a gap must be as much longer to be believed."""
RETURN = IP(src="10.1.0.9", dst="10.0.0.7") / UDP(sport=2000, dport=1000)


@pytest.fixture
def pinned(kit: Kit) -> Kit:
    """Return a site whose only class is pinned; delays are 10, 50 and 50 ms."""
    kit.route({"10.1.0.0/16": Target(1), "fd01::/16": Target(1), "10.0.0.0/16": Target(0, True)})
    for row, delay_ms in enumerate((10, 50, 50)):
        kit.tunnel(row, detect_ns=1000 * SECOND)
        kit.tunnels["delay_ns"][row] = delay_ms * MS
    kit.entry(1, 0, 1)
    kit.settings["pinned_classes"] = 1
    return kit


def send(kit: Kit, *, after_ns: int = 0, packet: Frame = FLOW) -> tuple[int, Seen]:
    """Send a packet; return the tunnel that it took."""
    kit.at(kit.now_ns + after_ns)
    seen = kit.run("steer_lan", lan(packet))
    return outer(seen)[1].tunnel - 100, seen


def test_a_flow_stays_where_it_began(pinned: Kit) -> None:
    """When the engine prefers another tunnel, new flows take it and old ones stay."""
    assert send(pinned)[0] == 0
    pinned.entry(1, 1, 0)
    row, seen = send(pinned)
    assert (row, seen.outcome) == (0, Outcome.STEER_PINNED)
    assert send(pinned, packet=IP(src="10.0.0.8", dst="10.1.0.9") / UDP())[0] == 1


def test_other_classes_follow_the_engine_at_once(pinned: Kit) -> None:
    """Without pinning a flow goes where its entry says, packet by packet."""
    pinned.settings["pinned_classes"] = 0
    assert send(pinned)[0] == 0
    pinned.entry(1, 1, 0)
    assert send(pinned)[0] == 1


def test_a_pinned_flow_leaves_a_dead_tunnel_and_stays_away(pinned: Kit) -> None:
    """It takes the backup at once, and the return of its old tunnel does not move it."""
    assert send(pinned)[0] == 0
    pinned.kill(0)
    row, seen = send(pinned)
    assert (row, seen.notes[Note.PIN_MOVED]) == (1, 1)
    pinned.confirm(0)
    assert send(pinned)[0] == 1


def test_a_draining_tunnel_is_left_in_a_gap(pinned: Kit) -> None:
    """From 50 to 10 ms a flow moves after a pause of 45 ms: nothing can be overtaken."""
    pinned.entry(1, 1, 0)
    assert send(pinned)[0] == 1
    pinned.entry(1, 0, 1)
    pinned.tunnels["drain_until_ns"][1] = pinned.now_ns + 60 * SECOND
    assert send(pinned, after_ns=45 * MS - 1)[0] == 1
    row, seen = send(pinned, after_ns=45 * MS + TICK)
    assert (row, seen.notes[Note.DRAINED]) == (0, 1)


def test_a_draining_tunnel_is_left_for_a_slower_one_at_once(pinned: Kit) -> None:
    """Towards a longer path nothing overtakes: no pause is waited for."""
    assert send(pinned)[0] == 0
    pinned.entry(1, 1, 0)
    pinned.tunnels["drain_until_ns"][0] = pinned.now_ns + 60 * SECOND
    assert send(pinned, after_ns=1)[0] == 1


def test_a_flow_without_gaps_is_moved_at_the_deadline(pinned: Kit) -> None:
    """Who never pauses stays until the deadline, and its move is counted by itself."""
    pinned.entry(1, 1, 0)
    assert send(pinned)[0] == 1
    pinned.entry(1, 0, 1)
    deadline = pinned.now_ns + 80 * MS
    pinned.tunnels["drain_until_ns"][1] = deadline
    assert send(pinned, after_ns=40 * MS)[0] == 1
    assert send(pinned, after_ns=40 * MS - 1)[0] == 1
    row, seen = send(pinned, after_ns=1)
    assert (row, seen.notes[Note.DRAIN_FORCED]) == (0, 1)


def test_a_tunnel_that_is_no_candidate_is_left_in_a_gap(pinned: Kit) -> None:
    """What the engine no longer names is left like one that drains, without a deadline."""
    pinned.entry(1, 1)
    assert send(pinned)[0] == 1
    pinned.entry(1, 0)
    assert send(pinned, after_ns=44 * MS)[0] == 1
    assert send(pinned, after_ns=45 * MS + TICK)[0] == 0


def test_unknown_delays_are_no_good_ones(pinned: Kit) -> None:
    """Where a delay is not known, a pause is asked for, even towards a path called slower."""
    pinned.tunnels["delay_ns"][0] = 0
    assert send(pinned)[0] == 0
    pinned.entry(1, 1)
    assert send(pinned, after_ns=4 * MS)[0] == 0
    assert send(pinned, after_ns=5 * MS + TICK)[0] == 1


def test_a_dead_pinned_flow_fails_static_with_its_entry(pinned: Kit) -> None:
    """With everything dead the entry decides, and the pin waits for a usable tunnel."""
    assert send(pinned)[0] == 0
    pinned.kill(0)
    pinned.kill(1)
    row, seen = send(pinned)
    assert (row, seen.outcome) == (0, Outcome.STEER_ALL_DEAD)
    pinned.confirm(1)
    assert send(pinned)[0] == 1


@pytest.fixture
def asked(pinned: Kit) -> Kit:
    """Return the same site, where the peer has begun a flow by the tunnel of 50 ms, row 2."""
    seen = pinned.run("tunnel_ether", wrapped(endpoint(pinned, 2), 2, RETURN))
    assert seen.notes[Note.RETURN_PINNED] == 1
    return pinned


def endpoint(kit: Kit, row: int) -> Any:
    """Return a tunnel of the site, as it was made; nothing of it is lost."""
    told = {name: int(kit.tunnels[name][row]) for name in ("delay_ns", "drain_until_ns")}
    made = kit.tunnel(row, detect_ns=1000 * SECOND)
    for name, value in told.items():
        kit.tunnels[name][row] = value
    return made


def ask(kit: Kit, row: int) -> Seen:
    """Let a packet of the peer's flow come by a tunnel."""
    return kit.run("tunnel_ether", wrapped(endpoint(kit, row), row, RETURN))


def test_answers_return_on_the_tunnel_of_the_question(asked: Kit) -> None:
    """What the peer began takes its tunnel; to one that is no quicker it follows at once."""
    assert send(asked)[0] == 2
    assert ask(asked, 1).notes[Note.RETURN_PINNED] == 1
    assert send(asked)[0] == 1


def test_answers_follow_to_a_quicker_tunnel_in_a_gap_of_their_own(asked: Kit) -> None:
    """The question's pause is not the answers': these wait until they overtake nothing."""
    assert send(asked)[0] == 2
    asked.at(asked.now_ns + 20 * MS)
    assert Note.RETURN_PINNED not in ask(asked, 0).notes
    assert send(asked)[0] == 2
    asked.at(asked.now_ns + 45 * MS + TICK)
    assert ask(asked, 0).notes[Note.DRAINED] == 1
    assert send(asked)[0] == 0


def test_answers_that_never_pause_follow_at_the_deadline(asked: Kit) -> None:
    """A drain that has come to its end moves them to where the question goes."""
    asked.tunnels["drain_until_ns"][2] = asked.now_ns + 30 * MS
    for _ in range(3):
        assert send(asked, after_ns=10 * MS - 1)[0] == 2
        assert Note.RETURN_PINNED not in ask(asked, 0).notes
    asked.at(asked.now_ns + 3)
    assert ask(asked, 0).notes[Note.DRAIN_FORCED] == 1
    assert send(asked)[0] == 0


def test_answers_to_nobody_leave_a_drained_tunnel_in_the_end(asked: Kit) -> None:
    """Who is not led stays a second longer, then goes where the entry says, and may be led on."""
    asked.tunnels["drain_until_ns"][2] = asked.now_ns
    assert send(asked, after_ns=SECOND - 1)[0] == 2
    row, seen = send(asked, after_ns=1)
    assert (row, seen.notes[Note.DRAIN_FORCED]) == (0, 1)
    assert Note.RETURN_PINNED not in ask(asked, 2).notes
    assert ask(asked, 1).notes[Note.RETURN_PINNED] == 1
    assert send(asked)[0] == 1


def test_answers_that_lost_their_tunnel_are_led_back_at_once(asked: Kit) -> None:
    """A dead tunnel is left for the entry's; the next question says where to, however soon."""
    assert send(asked)[0] == 2
    asked.kill(2)
    row, seen = send(asked)
    assert (row, seen.notes[Note.PIN_MOVED]) == (0, 1)
    assert ask(asked, 1).notes[Note.RETURN_PINNED] == 1
    assert send(asked)[0] == 1
    asked.tunnels["delay_ns"][1] = 50 * MS
    assert Note.RETURN_PINNED not in ask(asked, 0).notes


def test_the_peers_move_does_not_drag_our_own_flow(pinned: Kit) -> None:
    """Who began the flow leads: what comes back elsewhere changes nothing."""
    endpoint = pinned.tunnel(2, detect_ns=1000 * SECOND)
    assert send(pinned)[0] == 0
    seen = pinned.run("tunnel_ether", wrapped(endpoint, 2, RETURN))
    assert Note.RETURN_PINNED not in seen.notes
    assert send(pinned)[0] == 0


def test_flows_share_tunnels_by_weight(kit: Kit) -> None:
    """Six, five and five sixteenths: each flow keeps its tunnel, all together keep the shares."""
    kit.route({"10.1.0.0/16": Target(1)})
    for row in range(3):
        kit.tunnel(row, detect_ns=1000 * SECOND)
    kit.entry(1, 0, 1, 2, shares=(5, 5))
    flows = [IP(src="10.0.0.7", dst="10.1.0.9") / UDP(sport=s, dport=53) for s in range(1, 801)]
    took = [send(kit, packet=flow)[0] for flow in flows]
    assert [abs(took.count(row) - share * 50) < 80 for row, share in enumerate((6, 5, 5))]
    assert all(took.count(row) > 170 for row in range(3))
    assert [send(kit, packet=flow)[0] for flow in flows[:50]] == took[:50]
    kit.kill(1)
    moved = [send(kit, packet=flow)[0] for flow in flows]
    assert [new for old, new in zip(took, moved, strict=True) if old != 1] == [
        old for old in took if old != 1
    ]
    assert 1 not in moved


def test_the_busiest_flows_are_known(kit: Kit) -> None:
    """Flows are counted in packets and bytes; the largest come first."""
    kit.route({"10.1.0.0/16": Target(1), "fd01::/16": Target(1)})
    kit.tunnel(0)
    kit.entry(1, 0)
    large = IPv6(src="fd00::7", dst="fd01::9") / TCP(sport=1, dport=443) / bytes(1000)
    for packet in (FLOW, large, FLOW, large):
        send(kit, packet=packet)
    first, second = top_flows(kit.pins, 10)
    assert (str(first.source), first.target_port, first.packets) == ("fd00::7", 443, 2)
    assert (first.bytes, first.row, first.protocol) == (2 * (14 + 40 + 20 + 1000), None, 6)
    assert (str(second.target), second.source_port, second.packets) == ("10.1.0.9", 1000, 2)
    assert top_flows(kit.pins, 1) == [first]


def test_flows_are_classified_anew_when_rules_or_prefixes_change(kit: Kit) -> None:
    """A record of an older epoch decides nothing any more."""
    kit.route({"10.1.0.0/16": Target(1)})
    kit.tunnel(0)
    kit.tunnel(1)
    kit.entry(1, 0)
    assert send(kit)[0] == 0
    kit.policy(TrafficClass("web", (Match(ports=((2000, 2000),)),)), TrafficClass("rest"))
    kit.entry(2, 1)
    kit.entry(4, 0)
    assert send(kit)[0] == 1
    kit.route({"10.1.0.0/16": Target(2)})
    assert send(kit)[0] == 0


def test_a_full_table_of_flows_forgets_the_oldest(kit: Kit) -> None:
    """More flows than places: every packet is still steered."""
    kit.route({"10.1.0.0/16": Target(1)})
    kit.tunnel(0)
    kit.entry(1, 0)
    for number in range(1600):
        packet = IP(src="10.0.0.7", dst="10.1.0.9", proto=17) / (
            number.to_bytes(2, "big") + bytes(6)
        )
        assert kit.run("steer_lan", lan(packet)).outcome is Outcome.STEER_PRIMARY
    assert len(top_flows(kit.pins, 10_000)) <= 1024
