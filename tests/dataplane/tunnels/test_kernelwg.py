"""The kernel back end against a kernel's WireGuard at the other end of a socket.

This machine's own kernel has none, which is itself a case. What is not proved here: that a
real kernel module accepts these messages, and that its packets pass.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

import pytest

from patronus.dataplane.linkdump import Link
from patronus.dataplane.tunnels.choice import choose
from patronus.dataplane.tunnels.driver import Health, TunnelTrouble
from patronus.dataplane.tunnels.kernelwg import KernelWireGuard, kernel_has_wireguard
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import DeviceSpec, Endpoint
from patronus.dataplane.tunnels.wgdevice import WgChange, WgDevice, change_to
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.dataplane.tunnels.specs import peer, wireguard
from tests.dataplane.tunnels.wgkernel import WireGuardKernel
from tests.dataplane.tunnels.yard import OURS, Namespace, endpoint, namespaces

pytestmark = pytest.mark.root


class LinksOfKernel(Links):
    """Makes a veth where a kernel with WireGuard makes a device, and tells that kernel of it."""

    def __init__(self, kernel: WireGuardKernel) -> None:
        super().__init__(OURS)
        self.kernel = kernel

    def add(self, name: str, *, kind: str, mtu: int = 0, mac: str = "", data: bytes = b"") -> Link:
        assert (kind, mtu, mac, data) == ("wireguard", 0, "", b"")
        self.kernel.devices[name] = WgDevice()
        return super().add(name, kind="veth")

    def delete(self, link: Link) -> None:
        self.kernel.devices.pop(link.name)
        super().delete(link)


class Counting(KernelWireGuard):
    """Counts how often sources are to be forgotten."""

    forgotten = 0

    def forget_sources(self, name: str) -> None:
        self.forgotten += 1
        super().forget_sources(name)


@dataclass
class Site:
    """A namespace with a driver over a kernel that has WireGuard."""

    space: Namespace
    kernel: WireGuardKernel
    driver: WireGuardDriver

    def ensure(self, *wanted: DeviceSpec) -> list[str]:
        outcome = self.space.run(lambda: self.driver.ensure(wanted))
        assert outcome.troubles == []
        return [drift.what for drift in outcome.drifts]


@pytest.fixture
def site() -> Iterator[Site]:
    """Yield a site without devices."""
    with namespaces("tn-k") as (space,):
        kernel = WireGuardKernel()
        links = space.run(lambda: LinksOfKernel(kernel))
        driver = WireGuardDriver(links, Counting(links, kernel.open))
        try:
            yield Site(space, kernel, driver)
        finally:
            space.run(driver.close)


SPEC = wireguard(
    "tn-kw",
    "a",
    7001,
    "172.31.0.1",
    mark=0x77,
    tunnels=(
        peer("b", "b", "10.9.1.2", 7002, "172.31.0.2"),
        replace(peer("c", "c", "fd09::2", 7003, "172.31.0.3"), preshared_key=b"p" * 32),
        peer("d", "d", None, 0, "172.31.0.4"),
    ),
)


def test_a_device_is_made_and_filled(site: Site) -> None:
    """The kernel ends up with exactly the wanted key, port, mark and peers, and no drift."""
    assert site.ensure(SPEC) == ["device"]
    device = site.kernel.devices["tn-kw"]
    assert (device.private_key, device.port, device.mark) == (SPEC.private_key, 7001, 0x77)
    assert [p.allowed for p in device.peers] == [
        frozenset({ip_network(f"172.31.0.{n}/32")}) for n in (2, 3, 4)
    ]
    assert device.peers[1].endpoint == Endpoint(ip_address("fd09::2"), 7003)
    assert device.peers[1].preshared_key == b"p" * 32
    assert site.ensure(SPEC) == []
    (state,) = site.space.run(site.driver.observe)
    assert (state.health, state.mark, len(state.peers)) == (Health.ALIVE, 0x77, 3)


def test_only_differences_are_sent(site: Site) -> None:
    """A changed peer is one message with that peer; a roamed one is none at all."""
    site.ensure(SPEC)
    device = site.kernel.devices["tn-kw"]
    roamed = replace(device.peers[0], endpoint=Endpoint(ip_address("192.0.2.9"), 1))
    site.kernel.devices["tn-kw"] = replace(device, peers=(roamed, *device.peers[1:]))
    assert site.ensure(SPEC) == []
    assert site.kernel.devices["tn-kw"].peers[0] == roamed
    assert site.ensure(replace(SPEC, tunnels=SPEC.tunnels[:2])) == ["peer", "routes"]
    assert len(site.kernel.devices["tn-kw"].peers) == 2


def test_a_deleted_device_is_made_again(site: Site) -> None:
    """What somebody deleted is back with all of its peers, and counted once."""
    site.ensure(SPEC)
    site.space.ip("link del tn-kw")
    site.kernel.devices.clear()
    assert site.ensure(SPEC) == ["device"]
    assert len(site.kernel.devices["tn-kw"].peers) == 3


def test_what_is_not_wanted_goes_and_what_is_not_ours_stays(site: Site) -> None:
    """Removal takes our device, and no interface of the same prefix without our tag."""
    site.ensure(SPEC)
    site.space.ip("link add tn-kother type veth peer tn-kotherp")
    assert site.ensure() == ["device"]
    links = site.space.ip("link show")
    assert "tn-kw" not in links
    assert "tn-kother" in links


def test_a_half_made_device_is_ours(site: Site) -> None:
    """A device that a crash left without an alias is known by its group, and taken up."""
    links = site.driver._links
    site.space.run(lambda: links.add("tn-kw", kind="wireguard"))
    assert "alias" not in site.space.ip("link show tn-kw")
    assert site.ensure(SPEC) != ["device"]
    assert "alias patronus-test:wireguard" in site.space.ip("link show tn-kw")


def test_sources_are_forgotten_when_an_underlay_address_is_gone(site: Site) -> None:
    """A lost lease counts, once; addresses of our own devices that go, as in a rotation, do not."""
    backend = site.driver._backend
    assert isinstance(backend, Counting)
    site.space.ip("link add wan type veth peer wanp")
    site.space.ip("addr add 10.5.0.2/24 dev wan")
    second = replace(
        SPEC,
        name="tn-kx",
        local=endpoint("::", 7009),
        addresses=(ip_address("172.31.0.9"),),
        metric=101,
    )
    for wanted in ((SPEC, second), (SPEC, second), (second,), (second,)):
        site.ensure(*wanted)
    assert backend.forgotten == 0
    site.space.ip("addr add 10.5.0.3/24 dev wan")
    site.ensure(second)
    site.space.ip("addr del 10.5.0.2/24 dev wan")
    site.ensure(second)
    assert backend.forgotten == 1
    site.ensure(second)
    assert backend.forgotten == 1


def test_a_refusal_is_one_clear_message(site: Site) -> None:
    """What the kernel answers to a change of a device that is gone is told by name."""
    backend = site.driver._backend
    with pytest.raises(TunnelTrouble, match="tn-none: the kernel refuses a change: No such device"):
        backend.write("tn-none", WgChange(port=5))
    assert backend.look("tn-none").health is Health.DEAD


def test_a_kernel_without_wireguard_says_so() -> None:
    """The family is missing on this machine's kernel or at the other end of a socket alike."""
    without = WireGuardKernel(present=False)
    assert not kernel_has_wireguard(without.open)
    assert kernel_has_wireguard(WireGuardKernel().open)
    links = Links(OURS)
    with pytest.raises(TunnelTrouble, match="the kernel has no WireGuard: No such file"):
        KernelWireGuard(links, without.open)
    choice = choose(links, OURS)
    named = {"kernel": "WireGuard runs in the kernel", "wireguard-go": "no WireGuard"}
    assert named[choice.backend.name] in choice.notice
    assert (choice.backend.name == "kernel") == kernel_has_wireguard()


def test_a_kernel_that_hangs_up_is_no_hang_of_ours() -> None:
    """A socket that ends amid the question is a kernel without WireGuard."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.shutdown(socket.SHUT_WR)
        assert not kernel_has_wireguard(lambda: theirs)


def test_many_peers_take_few_messages(site: Site) -> None:
    """The number of requests does not grow with every peer."""
    tunnels = tuple(
        replace(
            SPEC.tunnels[0],
            public_key=n.to_bytes(32, "big"),
            peer_addresses=(ip_address("172.31.0.0") + n,),
        )
        for n in range(2, 302)
    )
    spec = replace(SPEC, tunnels=tunnels)
    site.ensure(SPEC)
    before = site.kernel.requests
    site.ensure(spec)
    assert site.kernel.requests - before < 30
    assert change_to(spec, site.kernel.devices["tn-kw"]) == WgChange()
