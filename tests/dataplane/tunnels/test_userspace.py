"""wireguard-go carries WireGuard devices: made, watched, rebuilt; real packets in namespaces."""

import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from patronus.dataplane.tunnels.driver import Health, Ownership, TunnelTrouble
from patronus.dataplane.tunnels.headers import device_mtu
from patronus.dataplane.tunnels.keys import encoded, public_of
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import DeviceSpec, Kind
from patronus.dataplane.tunnels.userspace import SOCKETS, Userspace
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.dataplane.tunnels.specs import peer, wireguard
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
    """One end: a namespace and the driver inside it."""

    space: Namespace
    spec: DeviceSpec
    backend: Userspace
    driver: WireGuardDriver

    def ensure(self) -> list[str]:
        """Ensure the wanted device; return what drifted."""
        outcome = self.space.run(lambda: self.driver.ensure([self.spec]))
        assert outcome.troubles == []
        return [drift.what for drift in outcome.drifts]

    def pids(self) -> list[int]:
        """Return the processes of the driver, by their descriptors."""
        infos = [Path(f"/proc/self/fdinfo/{fd}") for fd in self.backend.exit_fds().values()]
        fields = [line.split() for info in infos for line in info.read_text().splitlines()]
        return [int(value) for key, value in fields if key == "Pid:"]


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    """Yield two sites with a WireGuard tunnel between them."""
    with namespaces("tn-ua", "tn-ub") as spaces:
        wire(*spaces, number=1)
        specs = (
            wireguard(
                "tn-uwa",
                "a",
                7001,
                "172.31.0.1",
                tunnels=(peer("b", "b", "10.9.1.2", 7002, "172.31.0.2"),),
            ),
            wireguard(
                "tn-uwb",
                "b",
                7002,
                "172.31.0.2",
                tunnels=(peer("a", "a", "10.9.1.1", 7001, "172.31.0.1"),),
            ),
        )
        made = []
        for space, spec in zip(spaces, specs, strict=True):
            links, backend = Links(OURS), Userspace(OURS)
            made.append(Site(space, spec, backend, WireGuardDriver(links, backend)))
        try:
            for site in made:
                site.ensure()
            yield made[0], made[1]
        finally:
            for site in made:
                site.space.run(site.driver.remove)
                site.space.run(site.driver.close)


def crosses(a: Site, b: Site) -> bool:
    """Tell whether a packet gets from one site to the other."""
    source, target = a.spec.addresses[0], b.spec.addresses[0]
    return passes(a.space, str(source), b.space, str(target))


def test_packets_pass_and_a_second_ensure_changes_nothing(sites: tuple[Site, Site]) -> None:
    """Two sites reach each other through the tunnel, and ensuring it again finds no drift."""
    a, b = sites
    until(lambda: crosses(a, b))
    assert a.ensure() == b.ensure() == []
    assert a.spec.private_key.hex() not in a.space.sh("wg show tn-uwa")


def test_a_killed_process_is_rebuilt(sites: tuple[Site, Site]) -> None:
    """A device whose process was killed is told dead, rebuilt within 2 s, and carries again."""
    a, b = sites
    until(lambda: crosses(a, b))
    (fd,) = a.backend.exit_fds().values()
    start = time.monotonic()
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    until(lambda: Health.ALIVE not in [s.health for s in a.space.run(a.driver.observe)])
    assert a.ensure() == ["device"]
    rebuilt = time.monotonic() - start
    until(lambda: crosses(a, b), seconds=10)
    assert rebuilt < 2


def test_a_hung_process_is_rebuilt(sites: tuple[Site, Site]) -> None:
    """A process that does not answer is told hung and replaced, all within 2 s."""
    a, b = sites
    (pid,) = a.pids()
    os.kill(pid, signal.SIGSTOP)
    start = time.monotonic()
    assert a.ensure() == ["device"]
    assert time.monotonic() - start < 2
    assert a.pids() != [pid]
    until(lambda: crosses(a, b), seconds=10)


def test_a_hung_process_is_told_as_such(sites: tuple[Site, Site]) -> None:
    """Observing tells a hung device from a dead one, and neither raises."""
    a, _ = sites
    (pid,) = a.pids()
    os.kill(pid, signal.SIGSTOP)
    assert [state.health for state in a.space.run(a.driver.observe)] == [Health.HUNG]
    os.kill(pid, signal.SIGCONT)
    assert [state.health for state in a.space.run(a.driver.observe)] == [Health.ALIVE]


def test_an_agent_that_restarts_adopts_its_processes(sites: tuple[Site, Site]) -> None:
    """A new driver finds the device, changes nothing, and notices its death as well."""
    a, b = sites
    until(lambda: crosses(a, b))
    (pid,) = a.pids()
    a.space.run(a.driver.close)
    a.backend = Userspace(OURS)
    a.driver = WireGuardDriver(Links(OURS), a.backend)
    assert a.ensure() == []
    assert a.pids() == [pid]
    os.kill(pid, signal.SIGKILL)
    (fd,) = a.backend.exit_fds().values()
    assert select.select([fd], [], [], 2)[0]
    assert a.ensure() == ["device"]
    until(lambda: crosses(a, b), seconds=10)


def test_a_process_of_another_owner_or_namespace_is_left_alone(sites: tuple[Site, Site]) -> None:
    """Neither another tag's process nor one in another namespace is seen or removed."""
    a, b = sites
    stranger = Userspace(Ownership(prefix="tn-", tag="somebody-else"))
    assert a.space.run(stranger.names) == []
    assert a.space.run(lambda: stranger.look("tn-uwa")).health is Health.DEAD
    assert a.space.run(Userspace(OURS).names) == ["tn-uwa"]
    a.space.run(lambda: stranger.unmake("tn-uwa"))
    until(lambda: crosses(a, b))


def test_an_interface_of_others_is_refused_and_left_alone(sites: tuple[Site, Site]) -> None:
    """A wanted name that somebody else has is one clear message."""
    a, _ = sites
    a.space.ip("link add tn-taken type veth peer tn-takenp")
    spec = replace(a.spec, name="tn-taken", local=endpoint("::", 7009))
    outcome = a.space.run(lambda: a.driver.ensure([a.spec, spec]))
    (trouble,) = outcome.troubles
    assert trouble.startswith("tn-taken: an interface of this name is not ours")
    assert "tn-taken" in a.space.ip("link show")
    assert "tn-taken" not in a.space.run(a.driver.remove)
    assert "tn-taken" in a.space.ip("link show")


def test_a_program_that_does_not_start_says_why(sites: tuple[Site, Site]) -> None:
    """The reason of wireguard-go itself is in the message."""
    a, _ = sites
    a.space.ip("link add tn-busy type veth peer tn-busyp")
    with pytest.raises(TunnelTrouble, match=r"tn-busy: wireguard-go did not start: .+") as told:
        a.space.run(lambda: a.backend.make("tn-busy"))
    assert "Failed to create TUN device" in str(told.value)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("ip link set tn-uwa mtu 1300", "mtu"),
        ("ip link set tn-uwa down", "state"),
        ("ip addr flush dev tn-uwa", "addresses"),
        ("ip addr add 172.31.0.77/32 dev tn-uwa", "addresses"),
        ("ip route del 172.31.0.2 dev tn-uwa", "routes"),
        ("ip link set tn-uwa alias nobody", "alias"),
        ("wg set tn-uwa listen-port 7999", "port"),
        ("wg set tn-uwa fwmark 0x99", "mark"),
        ("wg set tn-uwa peer {peer} remove", "peer"),
        ("wg set tn-uwa peer {peer} allowed-ips 0.0.0.0/0", "peer"),
        ("ip link del tn-uwa", "device"),
    ],
)
def test_drift_is_repaired_and_told(sites: tuple[Site, Site], damage: str, what: str) -> None:
    """Whatever somebody changes on a device of ours is put back, and the drift has its name."""
    a, b = sites
    a.space.sh(damage.format(peer=encoded(a.spec.tunnels[0].public_key)))
    assert what in a.ensure()
    assert a.ensure() == []
    until(lambda: crosses(a, b), seconds=10)


def test_a_roaming_peer_is_followed_and_not_fought(sites: tuple[Site, Site]) -> None:
    """A peer that moves to another address is found there, and ensuring leaves it there."""
    a, b = sites
    until(lambda: crosses(a, b) and crosses(b, a))
    b.space.ip("addr flush dev tn-l1b scope global")
    b.space.ip("addr add 10.9.1.77/24 dev tn-l1b")
    assert b.ensure() == []
    until(lambda: crosses(b, a), seconds=10)
    (state,) = a.space.run(a.driver.observe)
    assert state.peers[0].endpoint == endpoint("10.9.1.77", 7002)
    assert a.ensure() == []
    (state,) = a.space.run(a.driver.observe)
    assert state.peers[0].endpoint == endpoint("10.9.1.77", 7002)
    assert crosses(a, b)


def test_keys_and_peers_of_another_driver_are_told(sites: tuple[Site, Site]) -> None:
    """What ``wg``, an independent program, shows of a device is what was wanted."""
    a, b = sites
    psk = bytes(range(32))
    a.spec = replace(
        a.spec, mark=0x5, tunnels=(replace(a.spec.tunnels[0], preshared_key=psk, keepalive_s=7),)
    )
    b.spec = replace(b.spec, tunnels=(replace(b.spec.tunnels[0], preshared_key=psk),))
    assert a.ensure() == ["mark", "peer"]
    assert b.ensure() == ["peer"]
    device, tunnel = (line.split("\t") for line in a.space.sh("wg show tn-uwa dump").splitlines())
    assert device[1:] == [encoded(public_of(a.spec.private_key)), "7001", "0x5"]
    assert tunnel[:4] == [
        encoded(public_of(b.spec.private_key)),
        encoded(psk),
        "10.9.1.2:7002",
        "172.31.0.2/32",
    ]
    assert tunnel[7] == "7"
    until(lambda: crosses(a, b), seconds=10)
    assert a.ensure() == b.ensure() == []


def test_full_size_packets_fit_the_path_to_the_byte(sites: tuple[Site, Site]) -> None:
    """The MTU from the header sums passes whole; one byte more is cut on the underlay."""
    a, b = sites
    mtu = device_mtu(Kind.WIREGUARD, 1500, outer=4)
    for site, fits in ((a, mtu), (b, mtu)):
        site.spec = replace(site.spec, mtu=fits)
        site.ensure()
    until(lambda: crosses(a, b))
    before = fragments(a.space)
    assert passes(a.space, "172.31.0.1", b.space, "172.31.0.2", size=mtu)
    assert fragments(a.space) == before
    a.spec = replace(a.spec, mtu=mtu + 1)
    assert a.ensure() == ["mtu"]
    assert passes(a.space, "172.31.0.1", b.space, "172.31.0.2", size=mtu + 1)
    assert fragments(a.space) > before


def fragments(space: Namespace) -> int:
    """Return how many IPv4 fragments a namespace has made."""
    names, values = (
        line.split() for line in space.sh("cat /proc/net/snmp").splitlines() if line[:3] == "Ip:"
    )
    return int(values[names.index("FragCreates")])


def test_nothing_is_left_behind(sites: tuple[Site, Site]) -> None:
    """After removal neither device, process nor control socket is there, killed ones included."""
    a, b = sites
    (pid,) = a.pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: a.space.run(a.driver.observe) == [])
    assert b.space.run(b.driver.remove) == ["tn-uwb"]
    assert not list(SOCKETS.glob("tn-uw*"))
    assert "tn-uw" not in a.space.ip("link show") + b.space.ip("link show")


def test_the_process_runs_in_real_time_where_allowed(sites: tuple[Site, Site]) -> None:
    """All threads of the process have SCHED_RR, and the thread that started it has not."""
    a, _ = sites
    (pid,) = a.pids()
    assert a.backend.realtime
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_RR}
    assert a.space.run(lambda: os.sched_getscheduler(0)) == os.SCHED_OTHER
