"""Two ends of one tunnel, each in a network namespace of its own, run by the kernel alone."""

import contextlib
import fcntl
import ipaddress
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from pyroute2 import IPRoute, netns

from patronus.dataplane.linux import builder, loader, probing, records, syscall
from patronus.dataplane.linux.attach import Filter, Hook, attach
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.objects import Program
from patronus.dataplane.linux.pacer import Pacer
from patronus.dataplane.linux.pins import Sizes
from patronus.dataplane.linux.probing import Records
from patronus.dataplane.linux.records import CounterPlace, Kind, Note, Outcome
from patronus.engine.units import MS

T = TypeVar("T")

PINS = "patronus-stamp-test"
PORT = 5789
SOURCES = ("tunnel.bpf.c", "pacer.bpf.c")
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CUT_PLACE = int(probing.fields_of(records.SETTINGS)["line_3_zero"][1])
CUT = bytes.fromhex(
    "1821000000000000"
    "0000000000000000"  # r1 = the settings' word of padding
    "6111000000000000"  # r1 = *r1
    "b700000002000000"  # r0 = TC_ACT_SHOT
    "5501010000000000"  # if r1: exit
    "b7000000ffffffff"  # r0 = TC_ACT_UNSPEC
    "9500000000000000"  # exit
)
"""Loses packets while a word is set: one store cuts, at a known time."""


def wait_for(what: Callable[[], T], seconds: float = 10.0) -> T:
    """Return what a question answers once it is not false; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        select.select([], [], [], 0.002)
    return answer


class Pipe:
    """A cable without Ethernet, as between two WireGuard devices: TUN devices, and a pump."""

    def __init__(self, ends: tuple["End", "End"]) -> None:
        self._files = [end.run(_open_tun) for end in ends]
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        other = dict(zip(self._files, self._files[::-1], strict=True))
        while True:
            ready = select.select([*self._files, self._stop], [], [])[0]
            if self._stop in ready:
                return
            for file in ready:
                with contextlib.suppress(OSError):  # a device that is not up yet loses packets
                    os.write(other[file], os.read(file, 2048))

    def close(self) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        for file in (*self._files, self._stop):
            os.close(file)


def _open_tun() -> int:
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("@16sH22x", b"wan", IFF_TUN | IFF_NO_PI))
    return file


class End:
    """One router: namespace, pinned maps and programs, pacer."""

    def __init__(self, name: str, rows: int, cache: Path) -> None:
        self.name, self.rows, self._pin = name, rows, f"{PINS}-{name}"
        made = builder.build(cache, sources=SOURCES)
        sizes = Sizes(rows=rows, entries=16, flows=64, fragments=64, prefixes=64, moves=128)
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._thread = ThreadPoolExecutor(1, initializer=netns.setns, initargs=(name,))
        self.netlink = IPRoute(netns=name)
        self._pins = loader.load(self._pin, made, sizes)
        names = ("settings", "tunnels", "counters", "samples", "schedule", "pacing")
        self.memory: dict[str, Records] = {name: self._pins.array(name) for name in names}
        self.memory["settings"]["port"] = PORT
        code = bytearray(CUT)
        struct.pack_into("<i4xi", code, 4, self._pins.maps["settings"], CUT_PLACE)
        self._cut = syscall.load_program("cut", Program(bytes(code), ()), {})

    def run(self, job: Callable[[], T]) -> T:
        """Run a job inside the namespace and return its result."""
        return self._thread.submit(job).result(timeout=60)

    @property
    def tunnels(self) -> Records:
        return self.memory["tunnels"]

    @property
    def probing(self) -> Records:
        return probing.probing_of(self.tunnels)

    def outcome(self, which: Outcome) -> int:
        """Return how many packets ended so."""
        return self._counted(CounterPlace.OUTCOME + which)

    def note(self, which: Note) -> int:
        """Return how often something happened to packets."""
        return self._counted(CounterPlace.NOTE + which)

    def _counted(self, place: int) -> int:
        stride = int(self.memory["settings"]["counter_stride"][0])
        return int(self.memory["counters"]["packets"].reshape(-1, stride)[:, place].sum())

    def point(self, local: str, remote: str, sessions: tuple[int, int], detect_ns: int) -> None:
        """Let all rows lead to the other end."""
        here, there = ipaddress.ip_address(local), ipaddress.ip_address(remote)
        for row in range(self.rows):
            endpoint = Endpoint(
                kind=Kind.PLAIN, local=here, remote=there, local_port=PORT, remote_port=PORT,
                peer_row=row, session_in=sessions[0] + row, session_out=sessions[1] + row,
                mtu=1400, peer_site=1, ifindex=self.wan,
            )  # fmt: skip
            write_endpoint(self.tunnels, row, endpoint, detect_ns=detect_ns)

    def program(self, name: str) -> int:
        """Return a program's descriptor."""
        return self._pins.programs[name]

    def descriptor(self, name: str) -> int:
        """Return a map's descriptor."""
        return self._pins.maps[name]

    @property
    def wan(self) -> int:
        """Index of the device at the cable."""
        return int(self.netlink.link_lookup(ifname="wan")[0])

    def plug(self, address: str, program: str) -> None:
        """Set the cable's device up, and receive from it."""
        words = ["addr", "add", address, "dev", "wan", *(["nodad"] * (":" in address))]
        subprocess.run(["ip", "-n", self.name, *words], check=True)
        self.netlink.link("set", index=self.wan, state="up")
        where = Filter(self.wan, Hook.INGRESS, program)
        self.run(lambda: attach(where, self._pins.programs[program]))
        self.netlink.tc(
            "add-filter", "bpf", self.wan, 1, parent=int(Hook.EGRESS), prio=1, protocol=3,
            fd=self._cut, name="cut", direct_action=True,
        )  # fmt: skip

    def cut(self, *, on: bool) -> None:
        """Lose all that we send over the cable, or no longer."""
        self.memory["settings"]["line_3_zero"] = on

    def pace(self, interval_ns: int) -> None:
        """Begin to probe all rows."""
        self.pacer = Pacer(
            self.memory["pacing"], self.rows,
            programs=self._pins.programs, name="st-tick", interval_ns=interval_ns,
        )  # fmt: skip
        rows = np.arange(self.rows, dtype=np.int64)
        interval = np.full(self.rows, interval_ns, dtype=np.int64)
        now_ns = time.monotonic_ns()
        phase = rows * interval_ns // self.rows
        probing.schedule(self.memory["schedule"], rows, interval, phase, now_ns)
        self.run(lambda: self.pacer.start(now_ns))

    def close(self) -> None:
        """Leave nothing behind."""
        self.netlink.close()
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        self.memory.clear()
        self._pins.close()
        os.close(self._cut)
        loader.unload(self._pin)


@dataclass
class Pair:
    """Both ends."""

    near: End
    far: End
    ends: tuple[End, End] = field(init=False)

    def __post_init__(self) -> None:
        self.ends = (self.near, self.far)


@contextmanager
def pair(
    prefix: str,
    cache: Path,
    *,
    rows: int = 4,
    six: bool = False,
    detect_ns: int = 30 * MS,
    ether: bool = True,
) -> Iterator[Pair]:
    """Yield two ends with a cable between them; nothing probes yet."""
    made: list[End | Pipe] = []
    try:
        near, far = (_kept(End(f"{prefix}-{letter}", rows, cache), made) for letter in "ab")
        found = Pair(near, far)
        if ether:
            _lay_cable(found)
        else:
            made.append(Pipe(found.ends))
        _connect(found, six=six, detect_ns=detect_ns, ether=ether)
        yield found
    finally:
        for one in reversed(made):
            one.close()


def _kept(end: End, made: list[End | Pipe]) -> End:
    made.append(end)
    return end


def _lay_cable(found: Pair) -> None:
    near, far = found.ends
    cable = ["ip", "-n", near.name, "link", "add", "wan", "type", "veth",
             "peer", "name", "wan", "netns", far.name]  # fmt: skip
    subprocess.run(cable, check=True)


def _connect(found: Pair, *, six: bool, detect_ns: int, ether: bool) -> None:
    near, far = found.ends
    hosts = ("fd77::1", "fd77::2") if six else ("10.77.0.1", "10.77.0.2")
    for end, host in zip(found.ends, hosts, strict=True):
        end.plug(f"{host}/{64 if six else 24}", "tunnel_ether" if ether else "tunnel_ip")
    sessions = (0x5EC2E7 << 32, 0xABCDEF << 32)
    near.point(hosts[0], hosts[1], sessions, detect_ns)
    far.point(hosts[1], hosts[0], sessions[::-1], detect_ns)
