"""What steering costs a packet, over a program that does nothing.

``python -m tests.bench.steering`` fills the maps with 10 000 IPv4 and 10 000 IPv6 prefixes,
64 rules and 100 000 flows, and lets the kernel run programs on 100 000 different packets of
each family (``BPF_PROG_TEST_RUN`` with ``repeat``). Since repeated runs get the packet that
the last one left, ``steering.bpf.c`` writes a new one over it before each run, and takes the
outer headers off after it. Neither is steering's: both are measured by themselves and taken off.
Three figures are printed: steering, what is left of it without the room for headers, and all
that was measured. Then come the steps: what each costs by itself. The counters must have risen
by exactly the number of runs, under the outcome and the note that are measured; a few flows of
overfull sets come as new ones each time.

The kernel remembers that the packet has once had outer headers, and refuses the call that makes
room for them in a packet from the LAN; a second one is made (for IPv6 inside IPv4 two more). So
the figures are bounds from above.
"""

import ipaddress
import os
import struct
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from patronus.dataplane.linux import builder, syscall
from patronus.dataplane.linux.dataplane import LinuxDataplane
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.loader import load, unload
from patronus.dataplane.linux.pins import Pins, Sizes
from patronus.dataplane.linux.prefixes import Network, Target, install_prefixes
from patronus.dataplane.linux.records import WORD, Kind, Note, Outcome
from patronus.dataplane.linux.rules import compile_rules, install_rules
from patronus.dataplane.linux.views import Counters
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.policy import Match, TrafficClass
from patronus.engine.units import SECOND

PREFIXES = 10_000
"""Of each family."""
RULES = 64
FLOWS = 100_000
DESTINATIONS = 1000
CLASSES = 8
TUNNELS = 64
LOOPBACK = 1
SIZES = Sizes(entries=DESTINATIONS * CLASSES)


STEPS = {
    "begun": "begin", "parsed": "parse", "hashed": "hash", "found": "flow",
    "led": "prefix", "sorted": "rules",
}  # fmt: skip
"""Programs of ``steering.bpf.c`` and the step that each adds to the one before."""
FRAME_BYTES = 100
FRAME = np.dtype([("bytes", "u1", 64)])


class Figures(NamedTuple):
    """Nanoseconds a packet."""

    whole: int
    """With writing the packet before and taking the headers off after."""
    steering: int
    """Without either."""
    deciding: int
    """Without making room for the headers either."""


def networks(draw: np.random.Generator) -> dict[Network, Target]:
    """Return prefixes of several lengths, spread over the destinations."""
    wanted: dict[Network, Target] = {}
    while len(wanted) < PREFIXES:
        length = int(draw.integers(16, 29))
        address = int(draw.integers(1 << 24, 223 << 24)) >> (32 - length) << (32 - length)
        wanted[ipaddress.IPv4Network((address, length))] = Target(len(wanted) % DESTINATIONS)
    while len(wanted) < 2 * PREFIXES:
        length = int(draw.integers(32, 65))
        high = int(draw.integers(0x2001 << 48, 0x2002 << 48)) >> (64 - length) << (64 - length)
        wanted[ipaddress.IPv6Network((high << 64, length))] = Target(len(wanted) % DESTINATIONS)
    return wanted


def policy() -> list[TrafficClass]:
    """Return classes with 64 matches of every kind in all; most packets match the last."""
    matches = [
        Match(dscp=frozenset({n % 48 + 1}), ports=((1024 + n, 1024 + n),), protocol=17)
        if n % 2
        else Match(protocol=6, prefixes=(f"10.{n}.0.0/16",))
        for n in range(RULES - 1)
    ]
    classes = [
        TrafficClass(f"class{c}", tuple(matches[c :: CLASSES - 1])) for c in range(CLASSES - 1)
    ]
    return [*classes, TrafficClass("rest", (Match(),))]


def prepare(pins: Pins, wanted: dict[Network, Target]) -> None:
    """Fill the maps: every tunnel is up, every entry has a primary and two backups."""
    tunnels = pins.array("tunnels")
    for row in range(TUNNELS):
        endpoint = Endpoint(
            kind=Kind.PLAIN,
            local=ipaddress.ip_address("192.0.2.1"),
            remote=ipaddress.ip_address(0xC6336400 + row),
            local_port=4790, remote_port=4790, peer_row=row, session_in=row, session_out=row,
            mtu=1400, peer_site=row, ifindex=LOOPBACK,
        )  # fmt: skip
        write_endpoint(tunnels, row, endpoint, detect_ns=1_000_000 * SECOND)
    tunnels["confirmed_ns"][:TUNNELS] = tunnels["since_ns"][:TUNNELS] = 0
    tunnels["latched"][:TUNNELS] = False
    install_prefixes(pins, wanted)
    install_rules(pins, compile_rules(policy()))
    plane = LinuxDataplane(pins, rows=TUNNELS, classes=CLASSES)
    entries = np.arange(DESTINATIONS * CLASSES)
    rows = np.stack([(entries + step) % TUNNELS for step in range(3)], axis=1).astype(np.int32)
    no = np.zeros(len(entries), dtype=np.bool_)
    assert rows.min() > NO_ROW
    plane.apply(ForwardingDelta(1, entries, rows, no, no), 0)


def packets(draw: np.random.Generator, nets: list[Network]) -> list[bytes]:
    """Return the packet of each flow."""
    order = draw.integers(0, len(nets), size=FLOWS)
    hosts = draw.integers(1, 2**31, size=FLOWS)
    return [frame(nets[at], int(host)) for at, host in zip(order, hosts, strict=True)]


def frame(net: Network, host: int) -> bytes:
    """Return the first 62 bytes of a packet to a host of a network; its ports make the flow."""
    target = int(net.network_address) + host % net.num_addresses
    size = FRAME_BYTES - 14
    ports = struct.pack(">HHHH", host >> 16 & 0x7FFF, host & 0xFFFF, size - 40, 0)
    if net.version == 4:
        ip = struct.pack(">BBHHHBBHII", 0x45, 0, size, 0, 0x4000, 64, 17, 0, 0x0A000007, target)
        return (bytes(12) + b"\x08\x00" + ip + ports).ljust(64, b"\0")
    ip = struct.pack(">IHBB", 6 << 28, size - 40, 17, 64) + bytes(15) + b"\x07"
    return (bytes(12) + b"\x86\xdd" + ip + target.to_bytes(16, "big") + ports).ljust(64, b"\0")


def timed(pins: Pins, program: str, first: bytes) -> int:
    """Return the nanoseconds of a run, averaged over all frames in the list."""
    pins.array("bench_next", WORD)[0] = 0
    done = syscall.run_program(
        pins.programs[program], first.ljust(FRAME_BYTES, b"\0"), repeat=FLOWS, ifindex=LOOPBACK
    )
    assert done.action == 0, "the last run went well"
    assert pins.array("bench_next", WORD)[0] == FLOWS
    return done.duration_ns


def measure(pins: Pins, first: bytes, note: Note | None) -> Figures:
    """Return what steering all frames costs; every one must be counted as expected."""
    counters = Counters(pins)
    before, notes = counters.outcomes()[Outcome.STEER_PRIMARY].packets, counters.notes()
    whole = timed(pins, "steered", first)
    assert counters.outcomes()[Outcome.STEER_PRIMARY].packets - before == FLOWS
    new = counters.notes()[Note.FLOW_NEW].packets - notes[Note.FLOW_NEW].packets
    assert new > 0.99 * FLOWS if note else new < 0.02 * FLOWS
    wrapped = timed_best(pins, "wrapped", first)
    return Figures(whole, whole - own_cost(pins, first), whole - wrapped)


def own_cost(pins: Pins, first: bytes) -> int:
    """Return what writing the packet and taking its headers off costs: no part of steering.

    What it takes to put on room in two pieces instead of one is what it costs to put it on.
    """
    once, twice = (timed_best(pins, name, first) for name in ("once", "twice"))
    return once - (twice - once)


def compare(pins: Pins, version: int) -> dict[str, Figures]:
    """Return what a flow's first packet and its later ones cost in one family."""
    draw = np.random.default_rng(version)
    wanted = networks(draw)
    prepare(pins, wanted)
    frames = packets(draw, [net for net in wanted if net.version == version])
    memory = pins.array("bench_frames", FRAME)
    memory[:FLOWS] = np.frombuffer(b"".join(frames), dtype=memory.dtype)
    firsts = []
    for _ in range(5):
        pins.array("flows").view(np.uint8)[:] = 0
        firsts.append(measure(pins, frames[0], Note.FLOW_NEW))
    memory[:FLOWS] = memory[draw.permutation(FLOWS)]
    hits = [measure(pins, frames[0], None) for _ in range(5)]
    print_steps(pins, version, frames[0])
    return {
        f"IPv{version} first packet": min(firsts, key=lambda f: f.steering),
        f"IPv{version} flow hit": min(hits, key=lambda f: f.steering),
    }


def print_steps(pins: Pins, version: int, first: bytes) -> None:
    """Print what each step costs by itself: a program that ends there less one that ends before.

    `flow` is with the clock, which is read while the record comes from memory, `room` is the
    headers' as it is put on, and `rest` is what steering does besides all that.
    """
    before, own = timed_best(pins, "restored", first), own_cost(pins, first)
    steps: dict[str, int] = {}
    for name, what in STEPS.items():
        until = timed_best(pins, name, first)
        steps[what], before = until - before, until
    steps["room"] = timed_best(pins, "wrapped", first) - own
    hit = sum(steps[what] for what in ("begin", "parse", "hash", "flow", "room"))
    steps["rest"] = timed_best(pins, "steered", first) - own - hit
    told = ", ".join(f"{what} {cost}" for what, cost in steps.items())
    print(f"IPv{version} steps: {told}")


def timed_best(pins: Pins, program: str, first: bytes) -> int:
    """Return the least of several averages: what others do to the caches differs."""
    return min(timed(pins, program, first) for _ in range(5))


def main() -> None:
    """Print the figures."""
    name = f"patronus-bpf-test-bench-{os.getpid()}"
    cache = Path(tempfile.gettempdir()) / "patronus-bench"
    made = builder.build(cache, sources=[str(Path(__file__).with_suffix(".bpf.c"))])
    busy = Path("/proc/loadavg").read_text().split()[0]
    print(f"ns a packet over an empty program, {FLOWS} runs; load of the machine {busy}")
    for version in (4, 6):
        try:
            with load(name, made, SIZES) as pins:
                for what, figures in compare(pins, version).items():
                    print(
                        f"{what:18} {figures.steering:5}, without room for headers "
                        f"{figures.deciding:5}, with writing the packet {figures.whole:5}"
                    )
        finally:
            unload(name)


if __name__ == "__main__":
    main()
