"""Probes measure real paths to the byte, with every ICMP message dropped on the way."""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from patronus.dataplane.tunnels.plain import reserve
from patronus.dataplane.tunnels.pmtu import BASE_PLPMTU, State
from patronus.dataplane.tunnels.pmtuprobe import ANSWER, FORMAT, MAGIC, PROBE, Prober
from patronus.dataplane.tunnels.spec import Endpoint
from tests.dataplane.tunnels.yard import Namespace, endpoint, namespaces, udp, wire

pytestmark = pytest.mark.root

ENDS = {4: ("10.9.1.1", "10.9.2.2"), 6: ("fd09:1::1", "fd09:2::2")}
PORT = 7100


@dataclass
class Route:
    """Two ends, and a router between them whose far link takes less."""

    near: Namespace
    middle: Namespace
    far: Namespace

    def narrow(self, mtu: int) -> None:
        """Let the far link take packets of this size only."""
        self.middle.ip(f"link set tn-l2a mtu {mtu}")

    def probers(self, version: int) -> tuple[Prober, Prober, Endpoint]:
        """Return a prober at each end, and the far end's address; the near one searches."""
        near, far = (endpoint(address, PORT) for address in ENDS[version])
        a = Prober(self.near.run(lambda: reserve(near, mark=0)))
        b = Prober(self.far.run(lambda: reserve(far, mark=0)))
        a.add(far, interface_mtu=1500)
        b.add(near, interface_mtu=1500)
        return a, b, far


@pytest.fixture
def route() -> Iterator[Route]:
    """Yield a route through a router that drops all ICMP errors of its own."""
    with namespaces("tn-pa", "tn-pm", "tn-pb") as (near, middle, far):
        middle.sh(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
            " net.ipv6.conf.default.accept_dad=0"
        )
        wire(near, middle, number=1)
        wire(middle, far, number=2)
        middle.sh("nft add table inet t")
        middle.sh("nft add chain inet t out '{ type filter hook output priority 0; }'")
        middle.sh("nft add rule inet t out icmp type destination-unreachable drop")
        middle.sh("nft add rule inet t out icmpv6 type packet-too-big drop")
        for space, link, host in ((near, 1, 2), (far, 2, 1)):
            space.ip(f"route add default via 10.9.{link}.{host}")
            space.ip(f"-6 route add default via fd09:{link}::{host}")
        yield Route(near, middle, far)


def run(a: Prober, b: Prober, until: Callable[[], bool], *, seconds: float = 8.0) -> float:
    """Drive both ends until something holds; return how long that took."""
    start = time.monotonic()
    while not until():
        assert time.monotonic() - start < seconds, "not in time"
        due_ns = min(a.next_deadline(), b.next_deadline()) - time.monotonic_ns()
        ready, _, _ = select.select([a, b], [], [], min(max(due_ns / 1e9, 0), 0.1))
        for prober in (a, b):
            prober.poll(time.monotonic_ns())
            if prober in ready:
                prober.receive(time.monotonic_ns())
    return time.monotonic() - start


@pytest.mark.parametrize(("version", "mtu"), [(4, 1500), (4, 1400), (4, 576), (6, 1492), (6, 1280)])
def test_a_real_path_is_measured_to_the_byte(route: Route, version: int, mtu: int) -> None:
    """The router's MTU is found, though it never says a word."""
    if mtu < 1280:
        route.middle.ip("-6 addr flush dev tn-l2a")
    route.narrow(mtu)
    a, b, far = route.probers(version)
    with closing(a._socket), closing(b._socket):
        search = a.search(far)
        run(a, b, lambda: search.state is State.SEARCH_COMPLETE, seconds=12)
        assert search.pmtu == mtu


def test_a_black_hole_on_the_way_is_left_within_two_seconds(route: Route) -> None:
    """A link that shrinks is noticed once full-size packets are suspected, and measured anew."""
    a, b, far = route.probers(4)
    with closing(a._socket), closing(b._socket):
        search = a.search(far)
        run(a, b, lambda: search.state is State.SEARCH_COMPLETE)
        assert search.pmtu == 1500
        route.narrow(1372)
        a.suspect(far, time.monotonic_ns())
        assert run(a, b, lambda: search.pmtu == BASE_PLPMTU) < 2
        run(a, b, lambda: search.state is State.SEARCH_COMPLETE)
        assert search.pmtu == 1372
        assert search.black_holes == 1


def test_rubbish_is_counted_and_answers_nothing(route: Route) -> None:
    """Strangers, cut, padded and forged packets are counted by reason; none is answered."""
    a, b, far = route.probers(4)
    with closing(a._socket), closing(b._socket):
        near = endpoint(ENDS[4][0], PORT)
        good = FORMAT.pack(MAGIC, PROBE, FORMAT.size + 28, 1, 5)
        with udp(route.far, far.address.compressed, 7999) as stranger:
            stranger.sendto(good, (str(near.address), PORT))
        for data in (
            b"",
            good[:-1],
            good + b"\0",
            FORMAT.pack(b"xxxx", PROBE, FORMAT.size + 28, 1, 5),
            FORMAT.pack(MAGIC, 9, FORMAT.size + 28, 1, 5),
            FORMAT.pack(MAGIC, ANSWER, 1500, 0, 0),
            FORMAT.pack(MAGIC, ANSWER, 1500, 1, 12345),
        ):
            b._socket.sendto(data, (str(near.address), PORT))
        received = a.counts
        while received.total() < 8:
            assert select.select([a], [], [], 2)[0], received
            assert a.receive(0) == []
        assert received == {"unknown peer": 1, "malformed": 5, "forged or late": 2}
        with pytest.raises(BlockingIOError):
            b._socket.recv(100)
        assert a.search(far).state is State.BASE


def test_a_smaller_interface_needs_no_silence(route: Route) -> None:
    """A probe that our own interface refuses is known to be too large at once."""
    route.near.ip("link set tn-l1a mtu 1300")
    a, b, far = route.probers(4)
    with closing(a._socket), closing(b._socket):
        search = a.search(far)
        assert run(a, b, lambda: search.state is State.SEARCH_COMPLETE) < 1
        assert search.pmtu == 1300
        assert a.counts["not sent"] >= 1
