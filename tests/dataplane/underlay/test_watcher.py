"""Events wake the keeper when something that matters changed, and never in a rush."""

import select
import struct
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.routedump import RT_TABLE_MAIN, RTM_NEWROUTE
from patronus.dataplane.rtnetlink import ROUTE_PROTOCOL
from patronus.dataplane.underlay.watcher import RTM_DELROUTE, Pace, Watcher, relevant
from patronus.engine.units import MS, SECOND
from tests.dataplane.tunnels.yard import namespaces


def route(*, dst_len: int, table: int = RT_TABLE_MAIN, protocol: int = 186) -> bytes:
    return struct.pack("=BBBBBBBBI", 2, dst_len, 0, 0, table, protocol, 0, 1, 0)


@pytest.mark.parametrize("kind", [RTM_NEWROUTE, RTM_DELROUTE])
def test_routes_of_a_routing_daemon_do_not_matter(kind: int) -> None:
    """Of routes, defaults of the main table and our own elsewhere do."""
    assert not relevant(kind, route(dst_len=24))
    assert not relevant(kind, route(dst_len=24, protocol=ROUTE_PROTOCOL))
    assert relevant(kind, route(dst_len=0))
    assert not relevant(kind, route(dst_len=0, table=7))
    assert relevant(kind, route(dst_len=0, table=252, protocol=ROUTE_PROTOCOL))


@given(st.integers(0, 2**16 - 1), st.binary(max_size=40))
def test_any_other_message_matters(kind: int, body: bytes) -> None:
    """Whatever is no complete message about a route is a reason to look, never to crash."""
    if kind not in {RTM_NEWROUTE, RTM_DELROUTE} or len(body) < 12:
        assert relevant(kind, body)


@pytest.mark.root
def test_real_changes_wake_and_others_do_not() -> None:
    """An address, a rule and a default route wake the watcher; a prefix does not."""
    with namespaces("tn-w") as (space,):
        space.ip("link add tn-wa type veth peer tn-wb")
        space.ip("link set tn-wa up")
        space.ip("addr add 10.5.0.1/24 dev tn-wa")
        with closing(space.run(Watcher)) as watcher:
            quiet(watcher)
            for command in (
                "addr add 10.6.0.1/24 dev tn-wa",
                "route add default via 10.5.0.2",
                "rule add fwmark 1 table 9",
                "-6 rule add fwmark 1 table 9",
                "link set tn-wa mtu 1400",
                "link del tn-wa",
            ):
                space.ip(command)
                assert select.select([watcher], [], [], 2)[0], command
                assert watcher.drain(), command
                quiet(watcher)
            assert watcher.lost == 0


@pytest.mark.root
def test_prefixes_of_others_do_not_wake() -> None:
    """A thousand prefixes in the main table are read and mean nothing."""
    with namespaces("tn-w") as (space,), closing(space.run(Watcher)) as watcher:
        quiet(watcher)
        many = "".join(f"route add 10.7.{n}.0/24 dev lo\n" for n in range(200))
        space.feed("ip -b -", many)
        assert select.select([watcher], [], [], 2)[0]
        assert not watcher.drain()


@pytest.mark.root
def test_an_overflow_is_a_reason_to_look() -> None:
    """When the kernel had more to tell than the socket holds, that is counted and told."""
    with namespaces("tn-w") as (space,), closing(space.run(Watcher)) as watcher:
        many = "".join(f"route add 10.{n >> 8}.{n & 255}.0/24 dev lo\n" for n in range(4000))
        space.feed("ip -b -", many)
        told = [watcher.drain() for _ in range(20)]
        assert any(told)
        assert watcher.lost >= 1


def quiet(watcher: Watcher) -> None:
    """Take what still comes of what was done before."""
    while select.select([watcher], [], [], 0.1)[0]:
        watcher.drain()


def test_a_storm_costs_one_look_a_rest() -> None:
    """A change is looked at once the rest is over, and the first one at once."""
    pace = Pace(rest_ns=20 * MS, sweep_ns=10 * SECOND)
    assert pace.next_deadline() == 0
    pace.looked(0)
    assert pace.next_deadline() == 10 * SECOND
    for now_ns in range(0, 20 * MS, MS):
        pace.changed(now_ns)
        assert pace.next_deadline() == 20 * MS
    pace.looked(20 * MS)
    pace.changed(SECOND)
    assert pace.next_deadline() == SECOND
    pace.looked(SECOND)
    assert pace.next_deadline() == 11 * SECOND
