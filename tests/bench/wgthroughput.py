"""Compare WireGuard with Patronus on top with the same WireGuard devices alone.

    python -m tests.bench.wgthroughput [--pairs 30] [--flows 256]

Two routers with a host each and one ``wireguard-go`` device at either end, under SCHED_RR as the
agent starts it. *kernel*: nothing of ours is attached and no probes are sent, both routers lead
the other LAN into the device. *steered*: the programs of the agent sit on the LAN and on the same
device, and a probe goes each way every 10 ms, as do the answers. Users' packets have one size
either way; ours carry a header more inside. As in ``tests/bench/throughput.py`` both are measured
in turn, and the ratio's lower end of its one-sided 95 % interval is printed.

Datagrams are thrown in as earlier ones arrive, so many under way that the device never waits, and
so few that none is lost; a measurement in which one is all the same is begun anew, and counted.
"""

import argparse
import contextlib
import ipaddress
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from patronus.dataplane.linux import probing
from patronus.dataplane.linux.attach import Hook
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.pacer import Pacer
from patronus.dataplane.linux.records import OVERLAY, Kind
from patronus.dataplane.tunnels import headers
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import DeviceSpec
from patronus.dataplane.tunnels.userspace import Userspace
from patronus.dataplane.tunnels.wgdevice import PeerChange, WgChange, host
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from patronus.engine.units import MS, SECOND
from tests.bench.throughput import KERNEL, STEERED, Course, Ring, Way, compare, routers
from tests.dataplane.linux.lab import PORT, Lab, Site, inside, run, until
from tests.dataplane.tunnels.specs import peer, wireguard
from tests.dataplane.tunnels.yard import OURS
from tests.kernel import step_aside

BAR: Final = 0.95
MTU: Final = 1420
SIZES: Final = {18: 64, 1200: 32}
"""Bytes of payload of datagrams, and how many are thrown in at once: under way are two throws."""
DATAGRAMS: Final = 24_000
LOST_S: Final = 1.0
"""What has not arrived so long after it was sent is lost."""
TRIES: Final = 5
INTERVAL_NS: Final = 10 * MS
KEYS: Final = {1: "a", 2: "b"}


def device_of(site: Site) -> str:
    """Return the name of a site's WireGuard device."""
    return f"{OURS.prefix}w{site.number}"


class WireGuardCourse(Course):
    """Two routers with one WireGuard device each, with and without our programs."""

    tcp_bytes = 50_000_000
    mss = 1200

    def __init__(self, lab: Lab, flows: int) -> None:
        super().__init__(lab, flows)
        self._drivers: dict[int, WireGuardDriver] = {}
        self._pacers: list[Pacer] = []
        self.again: Counter[str] = Counter()
        """Measurements by way that were begun anew."""
        self._throws: dict[tuple[str, int], tuple[Ring, Ring]] = {}

    def build(self, flows: int) -> None:
        """Make devices, tunnel, probes and frames."""
        one, two = self.lab.sites[1], self.lab.sites[2]
        for site, other in ((one, two), (two, one)):
            self._join(site, other)
        for site in (one, two):
            self._pace(site)
        for payload, count in SIZES.items():
            for way in (STEERED, KERNEL):
                even, odd = (self.frames(way, flows, payload)[n::2] for n in (0, 1))
                self._throws[way.name, payload] = (
                    Ring(one.host, "eth", even, count), Ring(one.host, "eth", odd, count)
                )  # fmt: skip
        until(lambda: all(site.is_heard(range(1)) for site in (one, two)))
        for site in (one, two):
            site.plane.clear_latch([0], time.monotonic_ns())

    def _join(self, site: Site, other: Site) -> None:
        """Make a site's device and lead tunnel and LAN of the other one into it."""
        backend = Userspace(OURS)
        driver = self._drivers[site.number] = WireGuardDriver(Links(OURS), backend)
        made = self._spec(site, other)
        with inside(site.name):
            assert driver.ensure([made]).troubles == []
            (tunnel,) = made.tunnels
            lan = ipaddress.ip_network(f"172.16.{other.number}.0/24")
            allowed = frozenset({lan, *(host(a) for a in tunnel.peer_addresses)})
            change = PeerChange(public_key=tunnel.public_key, allowed=allowed)
            backend.write(made.name, WgChange(peers=(change,)))
        run("ip", "-n", site.name, "route", "replace", str(lan), "dev", made.name)
        self._lead(site, other)

    def _spec(self, site: Site, other: Site) -> DeviceSpec:
        there = peer("peer", KEYS[other.number], f"192.0.1.{other.number}", 7400 + other.number,
                     f"fd77::{other.number}")  # fmt: skip
        return replace(
            wireguard(device_of(site), KEYS[site.number], 7400 + site.number,
                      f"fd77::{site.number}", tunnels=(there,)),
            mtu=MTU,
        )  # fmt: skip

    def _lead(self, site: Site, other: Site) -> None:
        """Let the one tunnel of a site be over its WireGuard device."""
        before = site.tunnels[0]
        endpoint = Endpoint(
            kind=Kind.WIREGUARD,
            local=ipaddress.ip_address(f"fd77::{site.number}"),
            remote=ipaddress.ip_address(f"fd77::{other.number}"),
            local_port=PORT, remote_port=PORT, peer_row=0,
            session_in=int(before["session_in"]), session_out=int(before["session_out"]),
            mtu=MTU - headers.IP[6] - headers.UDP - OVERLAY.itemsize,
            peer_site=other.number, ifindex=site.ifindex(device_of(site)),
        )  # fmt: skip
        write_endpoint(site.tunnels, 0, endpoint, detect_ns=1000 * SECOND)
        site.attach(device_of(site), Hook.INGRESS, "tunnel_ip")

    def _pace(self, site: Site) -> None:
        """Send probes on the tunnel of a site from now on."""
        pacer = Pacer(site.pins.array("pacing"), 1, programs=site.pins.programs)
        with inside(site.name):
            pacer.start(time.monotonic_ns())
        self._pacers.append(pacer)
        self._probe(site, INTERVAL_NS)

    @staticmethod
    def _probe(site: Site, interval_ns: int) -> None:
        zero = np.zeros(1, dtype=np.int64)
        interval = zero + interval_ns
        probing.schedule(site.pins.array("schedule"), zero, interval, zero, time.monotonic_ns())

    def filters(self, site: Site) -> tuple[tuple[str, str], ...]:
        """Return the devices of a router on which programs sit, and which."""
        return ("lan", "steer_lan"), (device_of(site), "tunnel_ip")

    def use(self, way: Way) -> None:
        """Attach our programs and send probes, or neither."""
        if (way is STEERED) != self._attached:
            for site in self.lab.sites.values():
                self._probe(site, INTERVAL_NS if way is STEERED else 0)
        super().use(way)

    def thrown(self, way: Way, payload: int) -> float:
        """Return how many datagrams a second reach the other host; where one is lost, try again."""
        self.use(way)
        for _ in range(TRIES):
            rate = self._throw(self._throws[way.name, payload], SIZES[payload])
            if rate is not None:
                return rate
            self.again[way.name] += 1
        raise AssertionError(f"{TRIES} times in a row some were lost on the way {way.name}")

    def _throw(self, rings: tuple[Ring, Ring], count: int) -> float | None:
        """Return the rate, None when some are lost."""
        first, began = int(self._arrived[0]), time.perf_counter()
        throws = DATAGRAMS // count
        for number in range(throws):
            rings[number % 2].send()
            if not self._reached(first + (number - 1) * count):
                return None
        if not self._reached(first + throws * count):
            return None
        return throws * count / (time.perf_counter() - began)

    def _reached(self, wanted: int) -> bool:
        """Wait until so many have arrived; return False when they do not come."""
        deadline = time.perf_counter() + LOST_S
        while int(self._arrived[0]) < wanted:
            if time.perf_counter() > deadline:
                return False
        return True

    def carried(self) -> int:
        """Return the bytes that the first router's device has sent to its peer."""
        with inside(self.lab.sites[1].name):
            (state,) = self._drivers[1].observe()
        return state.peers[0].tx_bytes

    def close(self) -> None:
        super().close()
        for pair in self._throws.values():
            for ring in pair:
                ring.close()
        for pacer in self._pacers:
            pacer.stop()
        for number, driver in self._drivers.items():
            with inside(self.lab.sites[number].name):
                driver.remove()
            driver.close()


@contextlib.contextmanager
def course(cache: Path, flows: int) -> Iterator[WireGuardCourse]:
    """Yield the routers with what is measured on them; the WireGuard tunnel is up."""
    with routers(cache, "wt-") as lab, contextlib.closing(WireGuardCourse(lab, flows)) as made:
        made.build(flows)
        yield made


def line(what: str, unit: float, name: str, found: tuple[float, float, float, float]) -> str:
    """Return what one comparison came to."""
    steered, kernel, ratio, lower = found
    missed = ", missed" if lower < BAR else ""
    return (
        f"{what}: {steered / unit:.1f} {name} steered, {kernel / unit:.1f} by the device alone: "
        f"{ratio:.3f} ×, at least {lower:.3f} × (bar {BAR} ×{missed})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--flows", type=int, default=256)
    given = parser.parse_args()
    step_aside()
    with course(Path(tempfile.gettempdir()) / "patronus-bench", given.flows) as made:
        with made.sink():
            for payload in SIZES:
                found = compare(partial(made.thrown, payload=payload), given.pairs)
                what = f"UDP, packets of {payload + 28} bytes, {given.flows} flows"
                print(line(what, 1e3, "k/s", found), flush=True)
        again = ", ".join(f"{made.again[w.name]} {w.name}" for w in (STEERED, KERNEL))
        print(f"begun anew since a datagram was lost: {again}")
        found = compare(made.stream, given.pairs)
        print(line("TCP, one connection", 1.25e8, "Gbit/s", found))
    more = headers.IP[6] + headers.UDP + OVERLAY.itemsize
    print(f"our headers inside take {more} bytes: {more / MTU:.1%} of a device's {MTU}")


if __name__ == "__main__":
    main()
