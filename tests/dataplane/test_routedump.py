"""Routes are read as they are, filtered by the kernel, and rubbish does no harm."""

import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from patronus.dataplane.routedump import (
    RTN_UNREACHABLE,
    Route,
    local_addresses,
    routes,
)
from patronus.dataplane.rtnetlink import ROUTE_PROTOCOL
from tests.dataplane.tunnels.yard import Namespace, namespaces


@pytest.fixture
def space() -> Iterator[Namespace]:
    """Yield a namespace with two links and some routes."""
    with namespaces("tn-d") as (made,):
        for device, index, host in (("tn-d1", 10, 1), ("tn-d2", 20, 2)):
            made.ip(f"link add {device} index {index} type veth peer {device}p index {index + 1}")
            made.ip(f"addr add 10.{host}.0.1/24 dev {device}")
            made.ip(f"link set {device} up")
            made.ip(f"link set {device}p up")
        made.ip("addr add fd01::1/64 dev tn-d1 nodad")
        yield made


@pytest.mark.root
def test_a_route_is_read_as_it_was_made(space: Namespace) -> None:
    """Table, protocol, metric, gateway, source and flags are what was asked for."""
    space.ip("route add 192.0.2.0/24 via 10.1.0.9 table 1001 metric 7 proto 173 src 10.1.0.1")
    space.ip("route add default via 10.7.7.7 dev tn-d1 onlink table 1001 proto 173")
    space.ip("route add unreachable default table 1001 metric 99 proto 173")
    found = space.run(lambda: routes(socket.AF_INET, protocol=ROUTE_PROTOCOL, table=1001))
    via = Route(2, None, 0, 1001, 173, oif=10, gateway=ip_address("10.7.7.7"), onlink=True)
    end = Route(2, None, 0, 1001, 173, RTN_UNREACHABLE, metric=99)
    far = Route(
        2,
        ip_address("192.0.2.0"),
        24,
        1001,
        173,
        oif=10,
        gateway=ip_address("10.1.0.9"),
        metric=7,
        prefsrc=ip_address("10.1.0.1"),
    )
    assert sorted(found, key=str) == sorted([via, end, far], key=str)
    assert space.run(lambda: routes(socket.AF_INET, table=1001, default_only=True)) == [via, end]
    assert space.run(lambda: routes(socket.AF_INET, table=4242)) == []
    assert space.run(lambda: routes(socket.AF_INET, oif=4242)) == []


@pytest.mark.root
def test_each_filter_keeps_out_the_rest(space: Namespace) -> None:
    """By interface, by protocol, by table, in both families."""
    space.ip("-6 route add fd77::/64 via fd01::9 proto 173 metric 5")
    (six,) = space.run(lambda: routes(socket.AF_INET6, protocol=ROUTE_PROTOCOL))
    assert (six.dst, six.gateway, six.metric) == (ip_address("fd77::"), ip_address("fd01::9"), 5)
    assert {r.oif for r in space.run(lambda: routes(socket.AF_INET, oif=20))} == {20}
    assert {r.table for r in space.run(lambda: routes(socket.AF_INET, table=254))} == {254}


@pytest.mark.root
def test_each_next_hop_of_several_is_a_route(space: Namespace) -> None:
    """A default route over two providers is one route for each."""
    space.ip("route add default nexthop via 10.1.0.9 dev tn-d1 nexthop via 10.2.0.9 dev tn-d2")
    found = space.run(lambda: routes(socket.AF_INET, table=254, default_only=True))
    assert {(r.oif, str(r.gateway)) for r in found} == {(10, "10.1.0.9"), (20, "10.2.0.9")}
    (one,) = space.run(lambda: routes(socket.AF_INET, table=254, oif=20, default_only=True))
    assert one.gateway == ip_address("10.2.0.9")


@pytest.mark.root
def test_local_addresses_are_those_of_the_machine(space: Namespace) -> None:
    """Every address of both families, and none that is only reachable."""
    found = space.run(local_addresses)
    assert {ip_address(a) for a in ("10.1.0.1", "10.2.0.1", "fd01::1", "127.0.0.1")} <= found
    assert ip_address("10.1.0.9") not in found
    assert ip_address("10.1.0.255") not in found


@pytest.mark.root
def test_many_routes_of_others_cost_little(space: Namespace) -> None:
    """Beside 20 000 routes of others, ours are read in a small part of a second."""
    batch = "".join(f"route add 10.{9 + n // 65536}.{n // 256 % 256}.{n % 256}/32 dev tn-d1\n"
                    for n in range(20_000))  # fmt: skip
    space.feed("ip -b -", batch)
    space.ip("route add 192.0.2.0/24 dev tn-d1 proto 173")
    start = time.monotonic()
    assert len(space.run(lambda: routes(socket.AF_INET, protocol=ROUTE_PROTOCOL))) == 1
    assert time.monotonic() - start < 0.5
