"""All kinds of tunnels are driven alike, and what is ours is told by name and alias together."""

from functools import partial

import pytest

from patronus.dataplane.tunnels.driver import Drift, Ownership, TunnelDriver
from patronus.dataplane.tunnels.kernelwg import KernelWireGuard
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.plain import PlainDriver
from patronus.dataplane.tunnels.spec import Kind
from patronus.dataplane.tunnels.userspace import Userspace
from patronus.dataplane.tunnels.vxlan import VxlanDriver
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.dataplane.tunnels.wgkernel import WireGuardKernel
from tests.dataplane.tunnels.yard import OURS, namespaces


def drivers() -> list[TunnelDriver]:
    """Return a driver of each kind; that this type-checks is part of the test."""
    links = Links(OURS)
    return [
        PlainDriver(),
        VxlanDriver(links),
        WireGuardDriver(links, Userspace(OURS)),
        WireGuardDriver(links, KernelWireGuard(links, WireGuardKernel().open)),
    ]


@pytest.mark.root
def test_every_driver_starts_empty_and_ends_empty() -> None:
    """Where nothing of ours is, nothing is observed, drifts or goes, in whatever order."""
    with namespaces("tn-dr") as (space,):
        before = space.ip("link show")
        for driver in drivers():
            assert driver.kind in Kind
            assert space.run(driver.observe) == []
            outcome = space.run(partial(driver.ensure, []))
            assert (outcome.drifts, outcome.troubles) == ([], [])
            assert space.run(driver.remove) == []
            space.run(driver.close)
        assert space.ip("link show") == before


def test_ours_is_what_has_both_marks() -> None:
    """Neither the name nor the alias alone makes a device ours."""
    ours = Ownership(prefix="pt-", tag="patronus")
    assert ours.alias(Kind.VXLAN) == "patronus:vxlan"
    assert ours.owns("pt-a", "patronus:vxlan", Kind.VXLAN)
    assert not ours.owns("eth0", "patronus:vxlan", Kind.VXLAN)
    assert not ours.owns("pt-a", None, Kind.VXLAN)
    assert not ours.owns("pt-a", "patronus", Kind.VXLAN)
    assert not ours.owns("pt-a", "patronus:wireguard", Kind.VXLAN)


def test_a_drift_reads_as_a_sentence() -> None:
    """What is logged of a repair says device, matter, before and after."""
    assert str(Drift("pt-a", "mtu", "1420", "1300")) == "pt-a: mtu was 1300, now 1420"
