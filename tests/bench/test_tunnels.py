"""Measures tunnels: looks and repairs at size, and how long a dead process stays dead."""

import os
import resource
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import DeviceSpec
from patronus.dataplane.tunnels.userspace import Userspace
from patronus.dataplane.tunnels.vxlan import VxlanDriver
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.dataplane.tunnels.specs import peer, vxlan, wireguard
from tests.dataplane.tunnels.yard import OURS, Namespace, namespaces

pytestmark = [pytest.mark.bench, pytest.mark.root]

TUNNELS = 1000
PEERS = 50
DEATHS = 20


def timed(space: Namespace, job: Callable[[], object]) -> tuple[float, float]:
    """Run a job in a namespace; return seconds of the clock and of our processor."""
    cpu, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    space.run(job)
    end, after = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    return end - start, after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime


def test_a_thousand_vxlan_tunnels() -> None:
    """Making 1000 devices, looking at them, and mending one."""
    ends = ("10.9.1.1", "10.9.1.2")
    wanted = [
        vxlan(
            f"tn-v{n}",
            ends,
            (str(ip_address("172.30.0.0") + n), str(ip_address("172.31.0.0") + n)),
            vni=n,
        )
        for n in range(1, TUNNELS + 1)
    ]
    with namespaces("tn-bv") as (space,):
        driver = VxlanDriver(Links(OURS))
        try:
            for what in ("make", "look, nothing differs", "look again"):
                clock, cpu = timed(space, lambda: driver.ensure(wanted))
                print(f"vxlan x {TUNNELS}: {what}: {clock:.3f} s, processor {cpu:.3f} s")
            space.ip("link del tn-v500")
            clock, _ = timed(space, lambda: driver.ensure(wanted))
            print(f"vxlan x {TUNNELS}: one deleted, put back in {clock:.3f} s")
        finally:
            space.run(driver.close)


@pytest.fixture
def device() -> Iterator[tuple[Namespace, DeviceSpec, Userspace, WireGuardDriver]]:
    """Yield a WireGuard device with peers."""
    tunnels = tuple(
        replace(
            peer("b", "b", "10.9.1.2", 7002, str(ip_address("172.31.0.0") + n)),
            public_key=n.to_bytes(32, "big"),
        )
        for n in range(2, PEERS + 2)
    )
    spec = wireguard("tn-bw", "a", 7001, "172.31.0.1", tunnels=tunnels)
    with namespaces("tn-bw") as (space,):
        backend = Userspace(OURS)
        driver = WireGuardDriver(Links(OURS), backend)
        try:
            yield space, spec, backend, driver
        finally:
            space.run(driver.remove)
            space.run(driver.close)


def pid_of(backend: Userspace) -> int:
    (fd,) = backend.exit_fds().values()
    with open(f"/proc/self/fdinfo/{fd}") as info:  # noqa: PTH123  # a file of the kernel
        return int(dict(line.split() for line in info if line.startswith("Pid:"))["Pid:"])


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_process(
    device: tuple[Namespace, DeviceSpec, Userspace, WireGuardDriver], sign: signal.Signals
) -> None:
    """From the signal to the device with all its peers, as `ensure` takes it."""
    space, spec, backend, driver = device
    clock, _ = timed(space, lambda: driver.ensure([spec]))
    print(f"wireguard x {PEERS} peers: make: {clock:.3f} s")
    clock, cpu = timed(space, lambda: driver.ensure([spec]))
    print(f"wireguard x {PEERS} peers: look: {clock:.4f} s, processor {cpu:.4f} s")
    took = []
    for _ in range(DEATHS):
        os.kill(pid_of(backend), sign)
        took.append(timed(space, lambda: driver.ensure([spec]))[0])
    took.sort()
    print(
        f"wireguard-go after {sign.name}, {DEATHS} times: rebuilt in median "
        f"{statistics.median(took):.3f} s, worst {took[-1]:.3f} s"
    )
