"""wireguard-go carries WireGuard devices: made, watched, rebuilt; real packets in namespaces."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from patronus.dataplane.tunnels.driver import Health
from patronus.dataplane.tunnels.spec import DeviceSpec
from patronus.dataplane.tunnels.userspace import Userspace
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.dataplane.tunnels.specs import peer, wireguard
from tests.dataplane.tunnels.yard import (
    OURS,
    Namespace,
    links_in,
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
            links, backend = links_in(space), Userspace(OURS)
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
    until(
        lambda: (
            a.space.run(a.driver.observe) == []
            or a.space.run(a.driver.observe)[0].health is Health.DEAD
        )
    )
    assert a.ensure() == ["device"]
    rebuilt = time.monotonic() - start
    until(lambda: crosses(a, b), seconds=10)
    assert rebuilt < 2
