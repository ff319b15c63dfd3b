"""Sites made of network namespaces, with real packets between their LANs.

Each site is a router and a host; a *wan* is a veth pair between two routers. No agent runs:
the test is the far end's voice and says, as often as it likes, that we are heard.
"""

import contextlib
import ipaddress
import itertools
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

import numpy as np
from pyroute2 import NetNS
from pyroute2 import netns as namespaces

from patronus.dataplane.linux import records
from patronus.dataplane.linux.attach import Filter, Hook, attach
from patronus.dataplane.linux.dataplane import LinuxDataplane
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.loader import load, unload
from patronus.dataplane.linux.objects import Object
from patronus.dataplane.linux.pins import Pins, Sizes
from patronus.dataplane.linux.prefixes import Target, install_prefixes
from patronus.dataplane.linux.records import Kind
from patronus.dataplane.linux.views import Counters
from patronus.engine.units import MS, NEVER, SECOND
from tests.dataplane.linux.testpacket import probe_of

PORT = 4790
SIZES = Sizes(
    rows=16, entries=64, flows=4096, fragments=256, prefixes=256, rule_prefixes=64, moves=1024
)
LAN_MTU = 1500


def run(*words: str) -> str:
    """Run a command; its complaint is the failure's."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a namespace: sockets made here stay there."""
    namespaces.pushns(namespace)
    try:
        yield
    finally:
        namespaces.popns()


def udp(namespace: str, address: str, port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(namespace):
        made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((address, port))
    made.settimeout(2)
    return made


class Site:
    """A router with its host, its pins and its dataplane."""

    def __init__(self, lab: "Lab", number: int, made: Object) -> None:
        self.number = number
        self.name = f"{lab.prefix}r{number}"
        self.host = f"{lab.prefix}h{number}"
        self.pin = f"patronus-bpf-test-{lab.prefix}{number}"
        self.lan4, self.lan6 = f"10.{number}.0", f"fd0{number}:"
        for namespace in (self.name, self.host):
            run("ip", "netns", "add", namespace)
            lab.undo.callback(run, "ip", "netns", "del", namespace)
            # Until a router's link-local address has proved to be nobody else's it asks for no
            # neighbour in the name of others: the first packets would wait for seconds.
            for sysctl in ("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1",
                           "ipv6.conf.default.accept_dad=0"):  # fmt: skip
                run("ip", "netns", "exec", namespace, "sysctl", "-qw", f"net.{sysctl}")
            for sysctl in ("all", "default"):
                with contextlib.suppress(AssertionError):
                    run("ip", "netns", "exec", namespace, "sysctl", "-qw",
                        f"net.ipv4.conf.{sysctl}.rp_filter=0")  # fmt: skip
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._join_host()
        unload(self.pin)
        lab.undo.callback(unload, self.pin)
        self.pins: Pins = lab.undo.enter_context(load(self.pin, made, SIZES))
        self.ip = lab.undo.enter_context(NetNS(self.name))
        self.settings: Any = self.pins.array("settings")
        self.tunnels: Any = self.pins.array("tunnels")
        self.settings["port"] = PORT
        self.settings["router_v4"][0] = [10, number, 0, 1]
        router = ipaddress.ip_address(f"{self.lan6}:1").packed
        self.settings["router_v6"][0] = np.frombuffer(router, np.uint8)
        self.settings["lan_ifindex"] = self.ifindex("lan")
        self.plane = LinuxDataplane(self.pins, rows=SIZES.rows, classes=1)
        self.attach("lan", Hook.INGRESS, "steer_lan")
        self.rows = 0
        self.voices: list[Any] = []

    def _join_host(self) -> None:
        run("ip", "-n", self.name, "link", "add", "lan", "type", "veth",
            "peer", "name", "eth", "netns", self.host)  # fmt: skip
        for namespace, device, last in ((self.name, "lan", 1), (self.host, "eth", 2)):
            run("ip", "-n", namespace, "addr", "add", f"{self.lan4}.{last}/24", "dev", device)
            run("ip", "-n", namespace, "addr", "add", f"{self.lan6}:{last}/64",
                "dev", device, "nodad")  # fmt: skip
            run("ip", "-n", namespace, "link", "set", device, "up", "mtu", str(LAN_MTU))
        run("ip", "-n", self.host, "route", "add", "default", "via", f"{self.lan4}.1")
        run("ip", "-n", self.host, "route", "add", "default", "via", f"{self.lan6}:1")

    def ifindex(self, device: str) -> int:
        found: int = self.ip.link_lookup(ifname=device)[0]
        return found

    def attach(self, device: str, hook: Hook, program: str) -> None:
        where = Filter(self.ifindex(device), hook, program)
        with inside(self.name):
            attach(where, self.pins.programs[program])

    def udp(self, port: int = 0, *, six: bool = False) -> socket.socket:
        """Return a socket of the host."""
        return udp(self.host, f"{self.lan6}:2" if six else f"{self.lan4}.2", port)

    def is_heard(self, rows: range) -> bool:
        return bool((self.plane.since_ns[rows] != NEVER).all())

    def counted(self, outcome: records.Outcome) -> int:
        return Counters(self.pins).outcomes()[outcome].packets


class Voice:
    """The far end of one tunnel: it says that we are heard, every 10 ms, from its own device."""

    def __init__(self, namespace: str, endpoint: Endpoint, row: int) -> None:
        header = records.zeros(records.OVERLAY)
        header["version_inner"] = records.OVERLAY_VERSION << 4 | records.Inner.STAMP
        header["flags"], header["tunnel"], header["segments"] = records.OVERLAY_HEARS, row, 1
        shown = endpoint.session_in
        header["session"][0] = [shown >> 32, shown & 0xFFFFFFFF]
        self.header, self.to = header, (str(endpoint.local), endpoint.local_port)
        self.numbers = itertools.count(1)
        self.socket = udp(namespace, str(endpoint.remote), PORT)

    def say(self, number: int) -> None:
        self.header["sequence"] = number
        with contextlib.suppress(OSError):
            self.socket.sendto(self.header.tobytes() + probe_of(number), self.to)


class Lab:
    """Some sites and the wans between them."""

    def __init__(self, made: Object, prefix: str) -> None:
        self.prefix = prefix
        self.undo = contextlib.ExitStack()
        self.made = made
        self.sites: dict[int, Site] = {}
        self.voices: dict[tuple[int, int], Voice] = {}
        self._wans = itertools.count(1)
        self._quiet: set[tuple[int, int]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for voice in self.voices.values():
            voice.socket.close()
        self.undo.close()

    def site(self, number: int) -> Site:
        made = self.sites[number] = Site(self, number, self.made)
        return made

    def overlay_device(self, site: Site, mtu: int) -> None:
        """Give a site the device through which the kernel itself reaches other sites."""
        # IFB stands in for a dummy device, which kernels for tests often lack.
        run("ip", "-n", site.name, "link", "add", "overlay", "type", "ifb")
        run("ip", "-n", site.name, "link", "set", "overlay", "up", "mtu", str(mtu))
        for other in self.sites.values():
            if other is not site:
                run("ip", "-n", site.name, "route", "add", f"{other.lan4}.0/24", "dev", "overlay")
        site.attach("overlay", Hook.EGRESS, "steer_out")

    def wan(self, one: int, other: int, *, mtu: int = 1500) -> tuple[int, int]:
        """Join two sites by a veth pair with a plain tunnel; return its row at either end."""
        number = next(self._wans)
        ends = [(self.sites[one], 1), (self.sites[other], 2)]
        device = f"wan{number}"
        run("ip", "-n", ends[0][0].name, "link", "add", device, "type", "veth",
            "peer", "name", device, "netns", ends[1][0].name)  # fmt: skip
        for site, last in ends:
            run("ip", "-n", site.name, "addr", "add", f"192.0.{number}.{last}/24", "dev", device)
            run("ip", "-n", site.name, "link", "set", device, "up", "mtu", str(mtu))
            site.attach(device, Hook.INGRESS, "tunnel_ether")
        rows = (ends[0][0].rows, ends[1][0].rows)
        for at, (site, last) in enumerate(ends):
            peer = ends[1 - at][0]
            endpoint = Endpoint(
                kind=Kind.PLAIN,
                local=ipaddress.ip_address(f"192.0.{number}.{last}"),
                remote=ipaddress.ip_address(f"192.0.{number}.{3 - last}"),
                local_port=PORT,
                remote_port=PORT,
                peer_row=rows[1 - at],
                session_in=number * 1000 + at,
                session_out=number * 1000 + 1 - at,
                mtu=mtu - records.OVERLAY.itemsize - 28,
                peer_site=peer.number,
                ifindex=site.ifindex(device),
            )
            write_endpoint(site.tunnels, rows[at], endpoint, detect_ns=30 * MS)
            self.voices[site.number, rows[at]] = Voice(peer.name, endpoint, rows[at])
            site.rows += 1
        return rows

    def route(self, site: int, **wanted: int) -> None:
        """Install the prefixes of sites as destinations numbered like them."""
        targets = {}
        for number, other in self.sites.items():
            target = Target(number, number == site)
            targets[ipaddress.ip_network(f"{other.lan4}.0/24")] = target
            targets[ipaddress.ip_network(f"{other.lan6}:/64")] = target
        install_prefixes(self.sites[site].pins, targets)

    def start(self) -> None:
        """Let every far end be heard, and tunnels be used."""
        self._thread.start()
        for site in self.sites.values():
            rows = range(site.rows)
            until(partial(site.is_heard, rows))
            site.plane.heartbeat(time.monotonic_ns())
            site.plane.clear_latch(rows, time.monotonic_ns())

    def cut(self, site: int, row: int) -> None:
        """From now on nothing passes on one tunnel, in either direction."""
        tunnel = self.sites[site].tunnels[row]
        self._quiet.add((site, row))
        self.sites[int(tunnel["peer_site"])].tunnels["flags"][int(tunnel["peer_id"])] = 0

    def hush(self) -> None:
        """Let no far end speak any more, and every tunnel stay usable all the same.

        The voices number their packets by themselves, which disturbs whoever counts.
        """
        self._stop.set()
        self._thread.join(timeout=5)
        for site in self.sites.values():
            rows = slice(0, site.rows)
            site.tunnels["sequence"][rows] = -1
            for name in "rx_gap rx_late rx_duplicate rx_packets tx_packets".split():
                site.tunnels[name][rows] = 0
            site.tunnels["detect_ns"][rows] = 1000 * SECOND

    def _talk(self) -> None:
        for number in itertools.count(1):
            for key, voice in list(self.voices.items()):
                if key not in self._quiet:
                    voice.say(number)
            if self._stop.wait(0.005):
                return


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something to hold."""
    idle, deadline = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        idle.wait(0.005)


def received(at: socket.socket, seconds: float = 2) -> bytes | None:
    """Return the next datagram, None if none comes in time."""
    ready, _, _ = select.select([at], [], [], seconds)
    return at.recv(65_535) if ready else None


def unique() -> str:
    """Return a prefix for names that no other test run uses."""
    return f"bp-{os.getpid() % 100_000}-"
