"""A wire with a delay between two interfaces, for kernels that have no netem.

    python -m tests.bench.wire ONE OTHER MILLISECONDS

Every frame that comes in at one of them leaves by the other so much later, in order, with the
state of its offloads: a checksum that nobody has filled in yet stays so.
"""

import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from tests.control.agent.fleet import run, until
from tests.rules.tree import ROOT

# linux/if_ether.h and if_packet.h
ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_VNET_HDR = 263, 15
PACKET_OUTGOING = 4
FRAME_MAX = 70_000
READY = "ready"


def end(interface: str) -> socket.socket:
    """Return a socket that gives and takes frames of an interface."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    made.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    made.bind((interface, ETH_P_ALL))
    made.setblocking(False)
    return made


def frames(given: socket.socket) -> Iterator[bytes]:
    """Yield what has come in."""
    while True:
        try:
            data, source = given.recvfrom(FRAME_MAX)
        except BlockingIOError:
            return
        if source[2] != PACKET_OUTGOING:
            yield data


def carry(one: str, other: str, delay_s: float) -> None:
    """Carry frames until the process is ended."""
    ends = (end(one), end(other))
    ways = dict(zip(ends, reversed(ends), strict=True))
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()
    print(READY, flush=True)
    while True:
        due_s = waiting[0][0] if waiting else float("inf")
        left_s = max(due_s - time.monotonic(), 0) if waiting else None
        for given in select.select(ends, [], [], left_s)[0]:
            now_s = time.monotonic()
            waiting.extend((now_s + delay_s, ways[given], data) for data in frames(given))
        while waiting and waiting[0][0] <= time.monotonic():
            _, to, data = waiting.popleft()
            try:
                to.send(data)
            except OSError:  # the interface is down: so is the wire
                continue


@contextmanager
def delayed(namespace: str, one: str, other: str, delay_ms: int) -> Iterator[str]:
    """Join two interfaces of a namespace by a wire with a delay; yield how that is done."""
    words = ("root", "netem", "delay", f"{delay_ms}ms")
    try:
        for name in (one, other):
            run("tc", "-n", namespace, "qdisc", "add", "dev", name, *words)
    except AssertionError:
        for name in (one, other):
            run("ip", "-n", namespace, "link", "set", name, "nomaster")
        command = [sys.executable, "-m", "tests.bench.wire", one, other, str(delay_ms)]
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", *command],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            told = process.stdout
            assert until(told.readline).strip() == READY
            yield "a process that relays (no netem here)"
        finally:
            process.kill()
            process.communicate()
    else:
        yield "netem"


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], int(sys.argv[3]) / 1000)
