"""A kernel with a few tunnels, and shared memory that knows them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path

import numpy as np

from patronus.dataplane.linkdump import link
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.loader import initialise
from patronus.dataplane.linux.pins import Sizes
from patronus.dataplane.linux.records import Kind
from patronus.dataplane.nexthops.memory import Memory
from patronus.dataplane.nexthops.netlink import Channel
from patronus.dataplane.nexthops.objects import CARRIER_FIRST, Hop, carrier, group, hops, putting

SIZES = Sizes(rows=4, entries=8, moves=128)
ROWS = 3
SESSION = 0x1122_3344_5566_7788


def gateway(row: int) -> IPv6Address:
    """Return the peer of a tunnel."""
    return IPv6Address(f"fd70::{row + 1:x}")


def endpoint(row: int, ifindex: int, *, port: int = 4513) -> Endpoint:
    """Return a tunnel over a device."""
    return Endpoint(
        kind=Kind.VXLAN, local=IPv6Address(f"fd70::{0x100 + row:x}"), remote=gateway(row),
        local_port=port, remote_port=port, peer_row=row, session_in=SESSION + row,
        session_out=SESSION + row, mtu=1400, peer_site=1, ifindex=ifindex,
    )  # fmt: skip


@contextmanager
def devices(count: int = ROWS) -> Iterator[list[int]]:
    """Yield the indices of devices that stand for those of tunnels."""
    names = [f"hop{row}" for row in range(count)]
    try:
        for name in names:
            pair = ["type", "veth", "peer", "name", f"{name}-far"]
            subprocess.run(["ip", "link", "add", name, *pair], check=True)
            for end in (name, f"{name}-far"):
                subprocess.run(["ip", "link", "set", end, "up"], check=True)
        yield [found.index for name in names if (found := link(name)) is not None]
    finally:
        for name in names:
            subprocess.run(["ip", "link", "del", name], check=False)


class Kit:
    """Memory, channel, and devices."""

    def __init__(self, folder: Path, indices: list[int]) -> None:
        self.memory = Memory(folder / "memory", SIZES)
        self.channel = Channel()
        self.indices = indices

    def begin(self, detect_ns: list[int]) -> None:
        """Make everything as at the first start."""
        for name in ("used", "entries", "ring", "moves", "tunnels", "counters"):
            self.memory.array(name).view(np.uint8)[:] = 0
        initialise(self.memory, SIZES)
        for row, (index, detect) in enumerate(zip(self.indices, detect_ns, strict=True)):
            write_endpoint(self.memory.tunnels, row, endpoint(row, index), detect_ns=detect)
        self.channel.must([putting(hop(p)) for p in range(2) for hop in (nowhere, group)])

    def carried(self, places: int) -> list[int]:
        """Return the row to which the kernel's objects lead for each entry."""
        found = hops()
        rows = {gateway(row): row for row in range(ROWS)}
        ways = [found[CARRIER_FIRST + place].gateway for place in range(places)]
        return [-1 if way is None else rows[way] for way in ways]


def nowhere(place: int) -> Hop:
    """Return the carrier of an entry that nobody carries."""
    return carrier(place, 0, None)
