"""A transport's packets leave by its own interface or not at all: real packets in namespaces."""

import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from patronus.dataplane.underlay.kernel import remove
from patronus.dataplane.underlay.pinning import State
from patronus.dataplane.underlay.watcher import Watcher
from tests.dataplane.tunnels.yard import until
from tests.dataplane.underlay.router import FAR, PINS, Router, routers

pytestmark = pytest.mark.root


@pytest.fixture
def router() -> Iterator[Router]:
    """Yield a router with two providers, pinned."""
    with routers() as made:
        yield made


@pytest.mark.parametrize("version", [4, 6])
def test_each_mark_leaves_by_its_own_interface(router: Router, version: int) -> None:
    """Marked packets take their provider, unmarked ones the main table's best."""
    assert router.way(PINS[0].mark, version) == "tn-isp1"
    assert router.way(PINS[1].mark, version) == "tn-isp2"
    assert router.way(0, version) == "tn-isp1"
    assert router.ensure().steps == []


@pytest.mark.parametrize("version", [4, 6])
def test_a_lost_default_route_never_rehomes_a_tunnel(router: Router, version: int) -> None:
    """Without WAN 1's default route its packets die, though WAN 2 would carry them."""
    router.near.ip(f"-{version} route del default dev tn-wan1")
    outcome = router.ensure()
    assert [str(step.add) for step in outcome.steps] == ["False"]
    assert router.way(PINS[0].mark, version) == "unreachable"
    assert router.way(0, version) == "tn-isp2"
    assert router.way(PINS[1].mark, version) == "tn-isp2"


def test_a_lost_interface_never_rehomes_a_tunnel(router: Router) -> None:
    """With WAN 1's interface gone its packets die at once, before anybody repairs anything."""
    router.near.ip("link del tn-wan1")
    assert router.way(PINS[0].mark) == "unreachable"
    outcome = router.ensure()
    assert [status.state for status in outcome.statuses] == [State.NO_INTERFACE, State.PINNED]
    assert router.way(PINS[0].mark) == "unreachable"


def test_a_recreated_interface_heals(router: Router) -> None:
    """An interface that comes back under a new index is pinned again, driven by events alone."""
    watcher = router.near.run(Watcher)
    before = router.near.run(lambda: socket.if_nametoindex("tn-wan1"))
    router.near.ip("link del tn-wan1")
    router.provide(1)
    start = time.monotonic()
    until(lambda: watcher.drain() and router.ensure().statuses[0].state is State.PINNED)
    router.ensure()
    assert router.way(PINS[0].mark) == "tn-isp1"
    assert router.way(PINS[0].mark, 6) == "tn-isp1"
    assert time.monotonic() - start < 2
    assert router.near.run(lambda: socket.if_nametoindex("tn-wan1")) != before
    watcher.close()


def test_a_new_lease_heals(router: Router) -> None:
    """Another address and gateway, as DHCP hands them out, replace the old ones."""
    router.far.ip("addr add 10.77.0.1/24 dev tn-isp1")
    router.near.ip("addr flush dev tn-wan1 scope global")
    router.near.ip("addr add 10.77.0.2/24 dev tn-wan1")
    router.near.ip("route add default via 10.77.0.1 dev tn-wan1 metric 100")
    outcome = router.ensure()
    assert outcome.troubles == []
    assert ip_address("10.77.0.2") in outcome.statuses[0].addresses
    assert router.way(PINS[0].mark) == "tn-isp1"
    table = router.near.ip("route show table 1001")
    assert "10.77.0.1" in table
    assert "10.81" not in table
    assert router.ensure().steps == []


def test_a_gateway_from_router_advertisements_serves(router: Router) -> None:
    """IPv6 gateways are mostly link-local addresses, the same one on both providers perhaps."""
    for number in (1, 2):
        router.far.ip(f"addr add fe80::1/64 dev tn-isp{number} nodad")
        router.near.ip(f"-6 route del default dev tn-wan{number}")
        router.near.ip(f"-6 route add default via fe80::1 dev tn-wan{number} metric {number}00")
    assert router.ensure().troubles == []
    assert router.way(PINS[0].mark, 6) == "tn-isp1"
    assert router.way(PINS[1].mark, 6) == "tn-isp2"
    assert router.ensure().steps == []


def test_unmarked_vxlan_is_pinned_by_its_source(router: Router) -> None:
    """A VXLAN packet from WAN 1's address dies with WAN 1; other packets from there do not."""
    router.near.ip("route del default dev tn-wan1")
    router.ensure()
    assert router.way(0, source="10.81.0.2", port=4789) == "unreachable"
    assert router.way(0, source="10.81.0.2", port=9) == "tn-isp2"


def test_whatever_is_deleted_is_put_back(router: Router) -> None:
    """Rules and routes that somebody deletes are noticed by events and repaired."""
    watcher = router.near.run(Watcher)
    for command in (
        "rule del priority 1000 table 1001",
        "-6 rule del priority 1000 table 1001",
        "route del unreachable default table 1001",
        "route del default table 1001",
        "-6 route flush table 1002",
    ):
        router.near.ip(command)
        until(watcher.drain, seconds=1)
        assert router.ensure().steps, command
        assert router.ensure().steps == []
        until(lambda: not watcher.drain(), seconds=1)
    watcher.close()


def test_nothing_of_others_is_touched(router: Router) -> None:
    """Removal leaves others' rules and routes alone, in our tables too, and reports those."""
    router.near.ip("rule add fwmark 0x7 table 1001 priority 900")
    router.near.ip("route add 192.0.2.0/24 via 10.82.0.1 table 1001")
    outcome = router.ensure()
    assert outcome.statuses[0].trouble == "table 1001 holds 1 routes that are not ours"
    main = router.near.ip("route show table main")
    router.near.run(remove)
    assert router.near.ip("route show table 1001").split() == (
        "192.0.2.0/24 via 10.82.0.1 dev tn-wan2".split()
    )
    assert router.near.ip("route show table main") == main
    rules = router.near.ip("rule show")
    assert "fwmark 0x7" in rules
    assert "0x1000000" not in rules
    assert router.near.run(remove) == []


def test_a_strict_source_check_is_reported(router: Router) -> None:
    """An interface on which rp_filter would drop what tunnels receive is named, not changed."""
    router.near.sh("sysctl -qw net.ipv4.conf.tn-wan2.rp_filter=1")
    (trouble,) = router.ensure().troubles
    assert trouble.startswith("tn-wan2: rp_filter is strict")
    assert router.near.sh("sysctl -n net.ipv4.conf.tn-wan2.rp_filter") == "1\n"


def test_at_no_time_does_a_packet_slip_by(router: Router) -> None:
    """While WAN 1 is torn down and pinned anew, over and over, no packet of its leaves by WAN 2."""
    stop = threading.Event()
    counter = "cat /sys/class/net/tn-wan2/statistics/tx_packets"
    router.near.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")

    def send() -> int:
        sent = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, PINS[0].mark)
            while not stop.is_set():
                try:
                    sent += bool(sender.sendto(b"x", (FAR[4], 9)))
                except OSError:
                    continue
        return sent

    with router.near.another_thread() as other:
        sent = other.submit(send)
        router.way(0)
        before = int(router.near.sh(counter))
        for _ in range(5):
            router.near.ip("route del default dev tn-wan1")
            router.ensure()
            router.near.ip("route add default via 10.81.0.1 dev tn-wan1 metric 100")
            router.ensure()
        stop.set()
        assert sent.result() > 1000
        assert int(router.near.sh(counter)) == before
