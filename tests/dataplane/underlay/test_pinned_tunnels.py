"""Tunnels of each kind die with their provider's default route and never go over the other's."""

from collections.abc import Iterator
from functools import partial

import pytest

from patronus.dataplane.tunnels.driver import TunnelDriver
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import DeviceSpec, Kind
from patronus.dataplane.tunnels.userspace import Userspace
from patronus.dataplane.tunnels.vxlan import VxlanDriver
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.dataplane.tunnels.specs import peer, vxlan, wireguard
from tests.dataplane.tunnels.yard import OURS, passes, until
from tests.dataplane.underlay.router import FAR, PINS, Router, routers

pytestmark = pytest.mark.root

INNER = ("172.31.0.1", "172.31.0.2")


def wanted(kind: Kind) -> tuple[DeviceSpec, DeviceSpec]:
    """Return the near end over WAN 1, and the far end."""
    if kind is Kind.VXLAN:
        ends = ("10.81.0.2", FAR[4])
        return vxlan("tn-un", ends, INNER), vxlan("tn-uf", ends[::-1], INNER[::-1])
    near, far = peer("far", "b", FAR[4], 7502, INNER[1]), peer("near", "a", None, 0, INNER[0])
    return (
        wireguard("tn-un", "a", 7501, INNER[0], tunnels=(near,), mark=PINS[0].mark),
        wireguard("tn-uf", "b", 7502, INNER[1], tunnels=(far,)),
    )


def driver(kind: Kind) -> TunnelDriver:
    if kind is Kind.VXLAN:
        return VxlanDriver(Links(OURS))
    return WireGuardDriver(Links(OURS), Userspace(OURS))


@pytest.fixture(params=[Kind.VXLAN, Kind.WIREGUARD])
def pair(request: pytest.FixtureRequest) -> Iterator[Router]:
    """Yield a router with a tunnel to the far end over WAN 1."""
    with routers() as router:
        # A packet that names its interface and finds no route is tried on link; there the far
        # end must not answer for an address of another of its interfaces, as no provider does.
        router.far.sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1")
        # What arrives by WAN 1 is answered by WAN 1.
        router.far.ip("route add 10.81.0.0/24 dev tn-isp1 metric 1")
        ends = (router.near, router.far)
        drivers = driver(request.param), driver(request.param)
        try:
            for space, one, spec in zip(ends, drivers, wanted(request.param), strict=True):
                outcome = space.run(partial(one.ensure, [spec]))
                assert outcome.troubles == []
            yield router
        finally:
            for space, one in zip(ends, drivers, strict=True):
                space.run(one.remove)
                space.run(one.close)


def crosses(router: Router) -> bool:
    """Tell whether a packet gets through the tunnel to the far end."""
    return passes(router.near, INNER[0], router.far, INNER[1])


def sent_by(router: Router, device: str) -> int:
    """Return how many packets left by an interface."""
    return int(router.near.sh(f"cat /sys/class/net/{device}/statistics/tx_packets"))


def test_a_tunnel_dies_with_its_provider(pair: Router) -> None:
    """Without WAN 1's default route the tunnel is dead, WAN 2 sees nothing, and both heal."""
    pair.near.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")  # its chatter is not counted
    until(lambda: crosses(pair), seconds=10)
    before = sent_by(pair, "tn-wan1")
    assert crosses(pair)
    assert sent_by(pair, "tn-wan1") > before
    pair.near.ip("route del default dev tn-wan1")
    pair.ensure()
    other = sent_by(pair, "tn-wan2")
    assert not crosses(pair)
    assert pair.way(0) == "tn-isp2"
    assert sent_by(pair, "tn-wan2") <= other + 3  # our own packet, and ARP for it
    pair.near.ip("route add default via 10.81.0.1 dev tn-wan1 metric 100")
    pair.ensure()
    until(lambda: crosses(pair), seconds=10)
