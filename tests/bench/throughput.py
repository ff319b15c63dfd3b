"""Compare forwarding through steering with what the kernel alone forwards.

    python -m tests.bench.throughput [--pairs 30] [--flows 256]

Two routers with a host each and a veth pair between the routers; the kernel of this machine does
all of the work in either case. *kernel*: our programs are not attached, both routers forward by
their routing tables. *steered*: the first router classifies, chooses, puts the headers on, the
second one checks them and takes them off. Small datagrams are thrown in by a ring of frames that
one system call sends, TCP by one connection. Both are measured in turn, pair by pair; of the ratios
(steered over kernel) the geometric mean is printed with the lower end of its one-sided 95 %
interval (Student's t on their logarithms).
"""

import argparse
import contextlib
import mmap
import os
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from pyroute2 import NetNS
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scipy import stats

from patronus.dataplane.linux import builder, syscall
from patronus.dataplane.linux.attach import Filter, Hook, detach
from patronus.dataplane.linux.objects import MapShape, Program
from patronus.dataplane.linux.records import Setting
from tests.dataplane.linux.lab import Lab, Site, inside, run
from tests.dataplane.linux.test_lab import entry
from tests.kernel import step_aside

BAR: Final = 0.9
ROUNDS: Final = 100
"""Ring-fulls in one measurement of datagrams."""
TCP_BYTES: Final = 400_000_000
PAYLOAD: Final = 18
"""Bytes of UDP payload: the smallest Ethernet frame."""

# <linux/if_packet.h>
SOL_PACKET, PACKET_VERSION, PACKET_TX_RING, PACKET_QDISC_BYPASS, TPACKET_V2 = 263, 10, 13, 20, 1
SEND_REQUEST: Final = 1
SLOTS: Final = 512
"""Fewer than the kernel keeps waiting for a processor, or some would be lost."""

SINK: Final = bytes.fromhex(
    "1821000000000000"
    "0000000000000000"  # r1 = address of our word
    "b702000001000000"  # r2 = 1
    "db21000000000000"  # *r1 += r2, atomically
    "b700000002000000"  # return TC_ACT_SHOT
    "9500000000000000"
)
ARRAY, MMAPABLE = 2, 1 << 10


class Way(NamedTuple):
    """How packets go from one host to the other."""

    name: str
    source: str
    target: str


STEERED: Final = Way("steered", "10.1.0.2", "10.2.0.2")
KERNEL: Final = Way("kernel", "172.16.1.2", "172.16.2.2")


class Ring:
    """Frames that one system call sends."""

    def __init__(
        self, namespace: str, device: str, frames: list[bytes], slots: int = SLOTS
    ) -> None:
        slot = _slot(len(frames[0]))
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        size = slots * slot.itemsize
        request = struct.pack("=4I", size, 1, slot.itemsize, slots)
        self._socket.setsockopt(SOL_PACKET, PACKET_TX_RING, request)
        self._memory = mmap.mmap(self._socket.fileno(), size)
        self._slots = np.frombuffer(self._memory, dtype=slot)
        for place, at in zip(self._slots, range(slots), strict=True):
            frame = frames[at % len(frames)]
            place["length"] = len(frame)
            place["frame"][: len(frame)] = np.frombuffer(frame, dtype=np.uint8)
        self._socket.bind((device, 0))

    def send(self) -> None:
        """Send every frame once."""
        self._slots["status"] = SEND_REQUEST
        self._socket.send(b"")

    def close(self) -> None:
        del self._slots
        self._memory.close()
        self._socket.close()


def _slot(frame_bytes: int) -> "np.dtype[np.void]":
    """Return a place of a ring for frames of a length."""
    size = 128
    while size < 32 + frame_bytes:
        size *= 2
    return np.dtype({"names": ["status", "length", "frame"],
                     "formats": ["u4", "u4", ("u1", size - 32)],
                     "offsets": [0, 4, 32], "itemsize": size})  # fmt: skip


class Course:
    """The two routers, with and without our programs."""

    tcp_bytes = TCP_BYTES
    mss = 0
    """Of TCP; 0: as large as the way allows."""

    def __init__(self, lab: Lab, flows: int) -> None:
        self.lab = lab
        for site in lab.sites.values():  # as the agent sets it in mode `redirect`
            site.settings["flags"] = Setting.DELIVER
        one, two = lab.sites[1], lab.sites[2]
        for site, other in ((one, two), (two, one)):
            run("ip", "-n", site.name, "addr", "add", f"172.16.{site.number}.1/24", "dev", "lan")
            run("ip", "-n", site.host, "addr", "add", f"172.16.{site.number}.2/24", "dev", "eth")
            run("ip", "-n", site.name, "route", "add", f"172.16.{other.number}.0/24",
                "via", f"192.0.1.{other.number}")  # fmt: skip
        self.rings = {
            way.name: Ring(one.host, "eth", self.frames(way, flows, PAYLOAD))
            for way in (STEERED, KERNEL)
        }
        self._attached = True
        self._arrived = np.zeros(1, dtype=np.uint64)

    def filters(self, site: Site) -> tuple[tuple[str, str], ...]:
        """Return the devices of a router on which programs sit, and which."""
        del site
        return ("lan", "steer_lan"), ("wan1", "tunnel_ether")

    def frames(self, way: Way, flows: int, payload: int) -> list[bytes]:
        """Return frames for the first router, one a flow."""
        one = self.lab.sites[1]
        with NetNS(one.name) as ip, NetNS(one.host) as host:
            router = dict(ip.get_links(ifname="lan")[0]["attrs"])["IFLA_ADDRESS"]
            sender = dict(host.get_links(ifname="eth")[0]["attrs"])["IFLA_ADDRESS"]
        return [
            bytes(Ether(src=sender, dst=router) / IP(src=way.source, dst=way.target)
                  / UDP(sport=1024 + n, dport=9) / bytes(payload))
            for n in range(flows)
        ]  # fmt: skip

    def use(self, way: Way) -> None:
        """Attach our programs, or take them away."""
        wanted = way is STEERED
        if wanted == self._attached:
            return
        for site in self.lab.sites.values():
            for device, program in self.filters(site):
                if wanted:
                    site.attach(device, Hook.INGRESS, program)
                else:
                    with inside(site.name):
                        detach(Filter(site.ifindex(device), Hook.INGRESS, program))
        self._attached = wanted

    @contextlib.contextmanager
    def sink(self) -> Iterator[None]:
        """Let the second host count and drop what it gets over IPv4, ahead of its stack.

        Meanwhile the first one sends what :meth:`datagrams` measures, and nothing else.
        """
        with self._headroom(), self._counted():
            yield

    @contextlib.contextmanager
    def _headroom(self) -> Iterator[None]:
        """Let frames of the first host come with room before them, as a card's driver leaves it.

        That is NET_SKB_PAD, 64 bytes, at least; a veth pair leaves none, and each frame that gets
        outer headers would be copied first. A bridge asks its ports for what another port needs.
        """
        host, bridge, port = self.lab.sites[1].host, "roomy", "needy"
        run("ip", "-n", host, "link", "add", "name", bridge, "type", "bridge")
        run("ip", "-n", host, "link", "add", port, "type", "vxlan", "id", "1", "dev", "lo",
            "dstport", "4789")  # fmt: skip
        for device in (port, "eth"):
            run("ip", "-n", host, "link", "set", device, "master", bridge)
        yield
        for device in (bridge, port):
            run("ip", "-n", host, "link", "del", device)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        counter = syscall.create_map("sink", MapShape(ARRAY, 4, 8, 1, MMAPABLE))
        code = bytearray(SINK)
        struct.pack_into("<i", code, 4, counter)
        program = syscall.load_program("sink", Program(bytes(code), ()), {})
        with NetNS(self.lab.sites[2].host) as ip:
            index = ip.link_lookup(ifname="eth")[0]
            ip.tc("add", "clsact", index)
            ip.tc("add-filter", "bpf", index, 1, parent=int(Hook.INGRESS), prio=1, protocol=0x0800,
                  fd=program, name="sink", direct_action=True)  # fmt: skip
            self._arrived = np.frombuffer(mmap.mmap(counter, mmap.PAGESIZE), dtype=np.uint64)
            yield
            ip.tc("del", "clsact", index)
        os.close(counter)
        os.close(program)

    def datagrams(self, way: Way) -> float:
        """Return how many small datagrams a second reach the other host."""
        self.use(way)
        ring, began = self.rings[way.name], time.perf_counter()
        for number in range(ROUNDS + 1):
            if number == 1:  # the first one is for neighbours, caches and flows
                began = time.perf_counter()
            wanted = int(self._arrived[0]) + SLOTS
            ring.send()
            while int(self._arrived[0]) < wanted:
                assert time.perf_counter() < began + 10, "some were lost"
        return ROUNDS * SLOTS / (time.perf_counter() - began)

    def stream(self, way: Way) -> float:
        """Return the bytes a second of one TCP connection."""
        self.use(way)
        with inside(self.lab.sites[2].host):
            listener = socket.create_server((way.target, 0))
        with inside(self.lab.sites[1].host):
            client = socket.socket()
        if self.mss:
            for each in (listener, client):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, self.mss)
        client.bind((way.source, 0))
        chunk, got = bytes(1 << 20), []

        def serve() -> None:
            peer, _ = listener.accept()
            room = bytearray(1 << 20)
            with peer:
                while count := peer.recv_into(room):
                    got.append(count)

        server = threading.Thread(target=serve)
        server.start()
        with listener, client:
            client.connect(listener.getsockname())
            began = time.perf_counter()
            for _ in range(self.tcp_bytes // len(chunk)):
                client.sendall(chunk)
            client.shutdown(socket.SHUT_WR)
            server.join()
            taken = time.perf_counter() - began
        assert sum(got) == self.tcp_bytes // len(chunk) * len(chunk)
        return sum(got) / taken

    def close(self) -> None:
        for ring in self.rings.values():
            ring.close()


def compare(measure: Callable[[Way], float], pairs: int) -> tuple[float, float, float, float]:
    """Return means of both ways, mean ratio, and the lower end of its interval."""
    taken = []
    for number in range(pairs):
        order = (KERNEL, STEERED) if number % 2 else (STEERED, KERNEL)
        found = {way.name: measure(way) for way in order}
        taken.append((found["steered"], found["kernel"]))
    values = np.array(taken)
    logs = np.log(values[:, 0] / values[:, 1])
    half = float(stats.t.ppf(0.95, pairs - 1)) * logs.std(ddof=1) / np.sqrt(pairs)
    steered, kernel = values.mean(axis=0)
    return steered, kernel, float(np.exp(logs.mean())), float(np.exp(logs.mean() - half))


@contextlib.contextmanager
def routers(cache: Path, prefix: str) -> Iterator[Lab]:
    """Yield two routers that reach each other; every tunnel is up, and stays so."""
    with Lab(builder.build(cache), prefix) as lab:
        lab.site(1)
        lab.site(2)
        lab.wan(1, 2)
        for site, other in ((1, 2), (2, 1)):
            lab.route(site)
            lab.sites[site].plane.apply(entry(other, 0), time.monotonic_ns())
        lab.start()
        lab.hush()
        yield lab


@contextlib.contextmanager
def course(cache: Path, flows: int) -> Iterator[Course]:
    """Yield the routers with what is measured on them."""
    with routers(cache, "tp-") as lab, contextlib.closing(Course(lab, flows)) as made:
        yield made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--flows", type=int, default=256)
    given = parser.parse_args()
    step_aside()
    with course(Path(tempfile.gettempdir()) / "patronus-bench", given.flows) as made:
        with made.sink():
            steered, kernel, ratio, lower = compare(made.datagrams, given.pairs)
        size = PAYLOAD + 42
        print(f"UDP, frames of {size} bytes, {given.flows} flows: {steered / 1e3:.0f} k/s steered,"
              f" {kernel / 1e3:.0f} k/s by the kernel: {ratio:.3f} ×, at least {lower:.3f} ×"
              f" (bar {BAR} ×)")  # fmt: skip
        steered, kernel, ratio, lower = compare(made.stream, given.pairs)
        print(f"TCP, one connection: {steered * 8 / 1e9:.2f} Gbit/s steered,"
              f" {kernel * 8 / 1e9:.2f} by the kernel: {ratio:.3f} ×, at least {lower:.3f} ×"
              f" (bar {BAR} ×)")  # fmt: skip


if __name__ == "__main__":
    main()
