"""Next hops are remembered for a moment, and no longer."""

import itertools
import socket
import time
from collections.abc import Iterator

import pytest

from patronus.dataplane.linux import builder
from patronus.dataplane.linux.records import Outcome, Setting
from tests.dataplane.linux.lab import Lab, Site, received, run, unique, until
from tests.dataplane.linux.test_lab import entry

pytestmark = pytest.mark.root

MOVED = "02:00:00:00:be:ef"


@pytest.fixture(scope="module")
def lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    """Return two sites with one wan, which deliver past the kernel's stack."""
    assert pytestconfig.cache is not None
    with Lab(builder.build(pytestconfig.cache.mkdir("bpf")), unique()) as made:
        made.site(1)
        made.site(2)
        made.wan(1, 2)
        for site, other in ((1, 2), (2, 1)):
            made.route(site)
            made.sites[site].plane.apply(entry(other, 0), time.monotonic_ns())
            made.sites[site].settings["flags"] = Setting.DELIVER
        made.start()
        yield made


def pour(one: socket.socket, other: socket.socket) -> None:
    """Send until something arrives, and then until the ways must be known."""
    numbers = itertools.count()

    def arrives() -> bool:
        sent = str(next(numbers)).encode()
        one.sendto(sent, other.getsockname()[:2])
        return received(other, 0.02) is not None

    for _ in range(3):
        until(arrives)


def mac(site: Site, device: str, *, host: bool = False) -> bytes:
    """Return the address of a device."""
    words = run("ip", "-n", site.host if host else site.name, "link", "show", "dev", device).split()
    return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))


@pytest.mark.parametrize("six", [False, True])
def test_the_neighbour_of_a_tunnel_is_known_after_the_first_packets(lab: Lab, six: bool) -> None:
    """Its address and our own stand where frames take them from."""
    one, two = lab.sites[1], lab.sites[2]
    with one.udp(six=six) as sender, two.udp(7000, six=six) as listener:
        pour(sender, listener)
    hop = one.tunnels[0]["hop"]
    assert hop["hosts"].tobytes() == mac(two, "wan1") + mac(one, "wan1")
    assert hop["ifindex"] == one.ifindex("wan1")
    assert two.counted(Outcome.DELIVER_LAN) >= 3
    assert not two.counted(Outcome.DELIVER_STACK)


@pytest.mark.parametrize("at_the_lan", [False, True])
def test_a_neighbour_that_gets_another_address_is_followed(lab: Lab, at_the_lan: bool) -> None:
    """As soon as the kernel knows the new one, frames go there: on tunnels and on LANs."""
    two = lab.sites[2]
    knows, owner, device = (
        (two, two.host, "eth") if at_the_lan else (lab.sites[1], two.name, "wan1")
    )
    address, at = (f"{two.lan4}.2", "lan") if at_the_lan else ("192.0.1.2", "wan1")
    with lab.sites[1].udp() as sender, two.udp(7000) as listener:
        pour(sender, listener)
        run("ip", "-n", owner, "link", "set", device, "address", MOVED)
        run("ip", "-n", knows.name, "neigh", "replace", address, "lladdr", MOVED, "dev", at)
        pour(sender, listener)


def test_a_route_that_goes_is_not_used_any_more(lab: Lab) -> None:
    """What was delivered past the stack is the stack's, once that has no way to the host."""
    two = lab.sites[2]
    with lab.sites[1].udp() as sender, two.udp(7000) as listener:
        pour(sender, listener)
        before = two.counted(Outcome.DELIVER_STACK)
        run("ip", "-n", two.name, "route", "add", "unreachable", f"{two.lan4}.2/32")

        def is_left_to_the_stack() -> bool:
            sender.sendto(b"late", listener.getsockname())
            return two.counted(Outcome.DELIVER_STACK) > before

        until(is_left_to_the_stack)
        run("ip", "-n", two.name, "route", "del", "unreachable", f"{two.lan4}.2/32")


def test_a_known_way_does_not_take_what_is_too_large_for_it(lab: Lab) -> None:
    """The kernel cuts it, as it does where the way is not known."""
    two = lab.sites[2]
    run("ip", "-n", two.name, "link", "set", "lan", "mtu", "1000")
    with lab.sites[1].udp() as sender, two.udp(7000) as listener:
        sender.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: may be fragmented
        pour(sender, listener)
        before = two.counted(Outcome.DELIVER_STACK)
        sender.sendto(bytes(1200), listener.getsockname())
        assert received(listener) == bytes(1200)
    assert two.counted(Outcome.DELIVER_STACK) == before + 1
