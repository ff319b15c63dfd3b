"""VXLAN tunnels: real packets, drift repaired, ends changed in place, others left alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest

from patronus.dataplane.tunnels.headers import device_mtu
from patronus.dataplane.tunnels.links import GROUP, Links, mac_of
from patronus.dataplane.tunnels.spec import DeviceSpec, Kind
from patronus.dataplane.tunnels.vxlan import VxlanDriver
from tests.dataplane.tunnels.specs import vxlan
from tests.dataplane.tunnels.yard import (
    OURS,
    Namespace,
    endpoint,
    namespaces,
    passes,
    until,
    wire,
)

pytestmark = pytest.mark.root


@dataclass
class Site:
    """One end: a namespace, its driver and what it is to have."""

    space: Namespace
    spec: DeviceSpec
    driver: VxlanDriver

    def ensure(self, *wanted: DeviceSpec) -> list[str]:
        outcome = self.space.run(lambda: self.driver.ensure(wanted or [self.spec]))
        assert outcome.troubles == []
        return [drift.what for drift in outcome.drifts]

    @property
    def index(self) -> int:
        return self.space.run(self.driver.observe)[0].index


@pytest.fixture(params=[4, 6])
def sites(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Site]]:
    """Yield two sites with a tunnel between them, over each version of IP."""
    ends = ("10.9.1.1", "10.9.1.2") if request.param == 4 else ("fd09:1::1", "fd09:1::2")
    inner = ("172.31.1.1", "172.31.1.2")
    with namespaces("tn-va", "tn-vb") as (a, b):
        wire(a, b, number=1)
        made = [
            Site(a, vxlan("tn-v", ends, inner), VxlanDriver(Links(OURS))),
            Site(b, vxlan("tn-v", ends[::-1], inner[::-1]), VxlanDriver(Links(OURS))),
        ]
        mtu = device_mtu(Kind.VXLAN, 1500, outer=request.param)
        try:
            for site in made:
                site.spec = replace(site.spec, mtu=mtu)
                assert site.ensure() == ["device"]
            yield made[0], made[1]
        finally:
            for site in made:
                site.space.run(site.driver.close)


def crosses(a: Site, b: Site, size: int = 100) -> bool:
    source, target = str(a.spec.addresses[0]), str(b.spec.addresses[0])
    return passes(a.space, source, b.space, target, size=size)


def test_full_packets_pass_without_a_question(sites: tuple[Site, Site]) -> None:
    """The first packet and a full-size one arrive; nobody asks for a link address."""
    a, b = sites
    assert crosses(a, b)
    assert crosses(b, a, size=a.spec.mtu)
    assert a.ensure() == b.ensure() == []
    neighbours = a.space.ip("neigh show dev tn-v")
    assert mac_of(b.spec.addresses, 7) in neighbours
    assert "PERMANENT" in neighbours


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("ip link del tn-v", ["device"]),
        ("ip link set tn-v mtu 1300", ["mtu"]),
        ("ip link set tn-v down", ["state", "routes", "neighbours"]),
        ("ip addr flush dev tn-v scope global", ["addresses"]),
        ("ip neigh del 172.31.1.2 dev tn-v", ["neighbours"]),
        ("ip route del 172.31.1.2 dev tn-v", ["routes"]),
        ("ip link set tn-v address 02:00:00:00:00:99", ["ends"]),
    ],
)
def test_drift_is_repaired_and_told(sites: tuple[Site, Site], damage: str, what: list[str]) -> None:
    """Whatever somebody changes is put back; the drift has a name."""
    a, b = sites
    a.space.sh(damage)
    assert set(what) & set(a.ensure())
    assert a.ensure() == []
    until(lambda: crosses(a, b))


def test_new_ends_keep_the_interface(sites: tuple[Site, Site]) -> None:
    """A new lease changes the ends in place: the interface index, which others hold, stays."""
    a, b = sites
    six = a.spec.local.address.version == 6
    there, length = ("fd09:1::99", 64) if six else ("10.9.1.99", 24)
    b.space.ip(f"addr add {there}/{length} dev tn-l1b" + (" nodad" if six else ""))
    before = a.index, b.index
    b.spec = replace(b.spec, local=endpoint(there, 4789))
    a.spec = replace(a.spec, tunnels=(replace(a.spec.tunnels[0], remote=endpoint(there, 4789)),))
    assert (a.ensure(), b.ensure()) == (["ends"], ["ends"])
    assert (a.index, b.index) == before
    assert a.ensure() == b.ensure() == []
    until(lambda: crosses(a, b) and crosses(b, a))


def test_another_vni_is_another_device(sites: tuple[Site, Site]) -> None:
    """VNI and port are fixed for life: the device is made anew, and told so."""
    a, b = sites
    for site in (a, b):
        site.spec = replace(site.spec, tunnels=(replace(site.spec.tunnels[0], vni=8),))
        before = site.index
        assert "ends" in site.ensure()
        assert site.index != before
        assert site.ensure() == []
    until(lambda: crosses(a, b))


def test_nothing_of_others_is_touched(sites: tuple[Site, Site]) -> None:
    """A VXLAN device of our prefix without our alias is neither seen, changed nor removed."""
    a, _ = sites
    a.space.ip("link add tn-other type vxlan id 99 dstport 4999")
    a.space.ip("link add stranger type vxlan id 98 dstport 4998")
    a.space.ip("link set stranger alias patronus-test:vxlan")
    wanted = vxlan("tn-other", ("10.9.1.1", "10.9.1.2"), ("172.31.2.1", "172.31.2.2"), vni=99)
    outcome = a.space.run(lambda: a.driver.ensure([a.spec, wanted]))
    (trouble,) = outcome.troubles
    assert trouble.startswith("tn-other: an interface of this name is not ours (alias None)")
    assert [state.name for state in a.space.run(a.driver.observe)] == ["tn-v"]
    assert a.space.run(a.driver.remove) == ["tn-v"]
    assert a.space.run(a.driver.remove) == []
    links = a.space.ip("link show type vxlan")
    assert "tn-other" in links
    assert "stranger" in links


def test_what_is_not_wanted_any_more_goes(sites: tuple[Site, Site]) -> None:
    """A device that left the configuration is removed and counted, a half-made one as well."""
    a, _ = sites
    a.space.ip(f"link add tn-half group {GROUP} type vxlan id 97 dstport 4997")
    outcome = a.space.run(lambda: a.driver.ensure([]))
    assert sorted(drift.device for drift in outcome.drifts) == ["tn-half", "tn-v"]
    assert a.space.run(a.driver.observe) == []


def test_a_refusal_of_one_device_spares_the_others(sites: tuple[Site, Site]) -> None:
    """What the kernel refuses is one clear message; the other device is as wanted."""
    a, _ = sites
    a.space.ip("link add stranger type vxlan id 55 dstport 4789 remote 10.9.1.2")
    clash = vxlan("tn-w", ("10.9.1.1", "10.9.1.2"), ("172.31.3.1", "172.31.3.2"), vni=55)
    outcome = a.space.run(lambda: a.driver.ensure([clash, a.spec]))
    assert len(outcome.troubles) == 1
    assert outcome.troubles[0].startswith("tn-w: cannot be made: ")
    assert [state.name for state in a.space.run(a.driver.observe)] == ["tn-v"]


def test_both_ends_compute_the_same_link_address() -> None:
    """The address is unicast, locally administered, and differs by VNI; order does not matter."""
    four, six = ip_address("172.31.1.1"), ip_address("fd00::1")
    assert mac_of([four, six], 7) == mac_of([six, four], 7)
    assert mac_of([four], 7) != mac_of([four], 8)
    assert int(mac_of([four], 7)[:2], 16) & 3 == 2
