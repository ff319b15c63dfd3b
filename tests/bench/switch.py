"""Measure a switch when the engine decides: system calls and time, by the number of prefixes.

    python -m tests.bench.switch [--prefixes 1000 10000 100000] [--rounds 300] [--way bpf nexthops]

One entry carries all prefixes, and its table is switched to and fro between two tunnels by the
dataplane's own ``apply``, as the driver calls it. Ways: ``bpf`` is the bank switch of mapped
memory, ``nexthops`` the fallback, for IPv4 and for IPv6 prefixes, as their routes are kept
differently. ``still`` has the kernel's route messages off, as the agent runs; ``told`` has them on
(``nexthop_compat_mode``), the kernel's own default.

System calls are counted by the kernel: perf_event counts ``raw_syscalls:sys_enter`` of this
thread while ``apply`` runs.
"""

import argparse
import ctypes
import os
import select
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import NamedTuple

import numpy as np

from patronus.dataplane.linux import loader
from patronus.dataplane.linux.builder import CACHE, build
from patronus.dataplane.linux.dataplane import LinuxDataplane
from patronus.dataplane.linux.pins import Pins, Sizes
from patronus.dataplane.linux.prefixes import Network, Target, install_prefixes
from patronus.dataplane.nexthops import compat, routes
from patronus.dataplane.nexthops.dataplane import NexthopDataplane, through
from patronus.dataplane.protocol import Dataplane
from patronus.engine.forwarding import ForwardingDelta
from patronus.engine.units import MS
from tests.dataplane.nexthops.kit import Kit, devices
from tests.kernel import step_aside

PERF_EVENT_OPEN = 298
"""Its number on x86-64."""
PERF_TYPE_TRACEPOINT, PERF_ATTR_BYTES = 2, 112
EVENTS = "events/raw_syscalls/sys_enter/id"
PAUSE_S = 0.002
"""Between two switches: a bank of BPF rests for a millisecond."""
ROWS = 3


class Taken(NamedTuple):
    """What came out."""

    calls: set[int]
    """Numbers of system calls that a switch took."""
    ms: list[float]
    """At 50, 95 and 99 %."""
    cpu_ms: float
    """Of the processor, at 50 %: what a machine that does nothing else would take."""


class Calls:
    """Counts the system calls of this thread, by the kernel's own tracepoint."""

    def __init__(self) -> None:
        attr = struct.pack("=IIQ", PERF_TYPE_TRACEPOINT, PERF_ATTR_BYTES, event_id())
        buffer = ctypes.create_string_buffer(attr.ljust(PERF_ATTR_BYTES, b"\0"))
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = int(libc.syscall(PERF_EVENT_OPEN, buffer, 0, -1, -1, 0))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "perf_event_open")

    def read(self) -> int:
        """Return how many there were, the one that asks included."""
        return int.from_bytes(os.read(self._descriptor, 8), sys.byteorder)


def event_id() -> int:
    """Return the number of the tracepoint; tracefs is mounted for it in a folder of ours."""
    with tempfile.TemporaryDirectory() as folder:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"tracefs", folder.encode(), b"tracefs", 0, None):
            raise OSError(ctypes.get_errno(), "tracefs")
        try:
            return int(Path(folder, EVENTS).read_text())
        finally:
            libc.umount(folder.encode())


def measure(plane: Dataplane, rounds: int) -> Taken:
    """Switch to and fro."""
    counted, calls, times, cpu = Calls(), [], [], []
    idle = [counted.read() for _ in range(2)]
    empty = idle[1] - idle[0]
    for number in range(rounds):
        change = delta(number % 2, number + 1)
        select.select([], [], [], PAUSE_S)
        used_ns, before = time.thread_time_ns(), counted.read()
        began_ns = time.monotonic_ns()
        plane.apply(change, began_ns)
        times.append(time.monotonic_ns() - began_ns)
        calls.append(counted.read() - before - empty)
        cpu.append(time.thread_time_ns() - used_ns)
    spread = np.percentile(np.array(times) / MS, [50, 95, 99])
    return Taken(set(calls[2:]), spread.tolist(), float(np.median(cpu)) / MS)


def delta(row: int, generation: int) -> ForwardingDelta:
    """Return a table that sends the one entry to a tunnel."""
    return ForwardingDelta(
        generation=generation, entries=np.array([0]), rows=np.array([[row, 1 - row, 2]], np.int32),
        drop=np.array([False]), shared_fate=np.array([False]),
    )  # fmt: skip


def prefixes(version: int, count: int) -> list[Network]:
    """Return as many prefixes of one version of IP."""
    if version == 4:
        return [IPv4Network(((10 << 24) + (k << 8), 24)) for k in range(count)]
    return [IPv6Network(((0xFD << 120) + (k << 64), 64)) for k in range(count)]


@contextmanager
def by_bpf(version: int, count: int, cache: Path = CACHE) -> Iterator[Dataplane]:
    """Yield the dataplane of BPF with prefixes in its tries."""
    sizes = Sizes(prefixes=max(count, 1024) + 1)
    loader.load("switch", build(cache), sizes).close()
    try:
        with Pins.open("switch") as pins:
            install_prefixes(pins, dict.fromkeys(prefixes(version, count), Target(0)))
            plane = LinuxDataplane(pins, rows=ROWS, classes=1)
            alive(plane)
            yield plane
    finally:
        loader.unload("switch")


@contextmanager
def by_nexthops(version: int, count: int, *, still: bool = True) -> Iterator[Dataplane]:
    """Yield the fallback with prefixes in the kernel's routing table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kit = Kit(folder, stack.enter_context(devices(ROWS)))
        kit.begin([1] * ROWS)
        kept = folder / "compat"
        compat.quieten(kept)
        kit.channel.must([routes.adding(prefix, 0) for prefix in prefixes(version, count)])
        if not still:
            compat.restore(kept)
        plane = NexthopDataplane(kit.memory, through(kit.channel), rows=ROWS, classes=1)
        alive(plane)
        yield plane
        compat.restore(kept)


def alive(plane: LinuxDataplane) -> None:
    """Let all tunnels be usable for as long as this takes."""
    plane.detect_ns[:ROWS], plane.latched[:ROWS] = 1 << 60, False
    plane.confirmed_ns[:ROWS] = plane.since_ns[:ROWS] = time.monotonic_ns()
    plane.heartbeat(time.monotonic_ns())


def told(version: int, count: int) -> AbstractContextManager[Dataplane]:
    """Return what ``by_nexthops`` does, with the kernel's messages about routes on."""
    return by_nexthops(version, count, still=False)


WAYS: dict[str, Callable[[int, int], AbstractContextManager[Dataplane]]] = {
    "bpf": by_bpf, "nexthops": by_nexthops, "nexthops, told": told,
}  # fmt: skip


def main() -> None:
    """Measure all cases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefixes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--way", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--cache", type=Path, default=CACHE, help="compiled programs")
    given = parser.parse_args()
    WAYS["bpf"] = partial(by_bpf, cache=given.cache)
    step_aside()
    print("the bar is 0.3 ms, and the same number of system calls")
    print(
        f"{'way':16}{'IP':>4}{'prefixes':>10}{'calls':>8}{'p50 ms':>9}{'p95':>8}{'p99':>8}"
        f"{'CPU p50':>9}"
    )
    for way in given.way:
        for version in (4, 6):
            for count in given.prefixes:
                with WAYS[way](version, count) as plane:
                    taken = measure(plane, given.rounds)
                calls = ",".join(map(str, sorted(taken.calls)))
                times = "".join(f"{ms:8.3f}" for ms in taken.ms)
                print(
                    f"{way:16}{version:4}{count:10}{calls:>8} {times}{taken.cpu_ms:9.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
