"""The process that probes, stamps and fails over where programs of BPF do not.

    python -m patronus.dataplane.nexthops.prober --memory FILE --lock FILE --made TEXT ...

One socket takes the test packets of all tunnels and sends ours; due probes go with one
``sendmmsg``, what waits comes with one ``recvmmsg``. Each turn ends with a look at the stamps:
entries whose tunnel has gone silent are moved then. A turn takes 0.5 to 3 ms of the processor, by
how busy others keep it, and little more for 50 tunnels than for two; so turns lie a sixth of the
shortest detect time apart (``TICK_NS`` to ``IDLE_NS``), and packets gather. That much later than
its detect time a tunnel is left.

It runs under SCHED_FIFO within a budget (``stamp.sender``), and outlives the agent, as the
kernel's programs do elsewhere: only its successor ends it (``stamp.tenure``). Should it run on and
on all the same, the kernel does (RLIMIT_RTTIME), and the agent starts another.
"""

import argparse
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

import numpy as np

from patronus.dataplane.linux.pins import Sizes
from patronus.dataplane.linux.probing import Records
from patronus.dataplane.linux.records import TunnelFlag
from patronus.dataplane.nexthops.dataplane import NexthopDataplane, through
from patronus.dataplane.nexthops.memory import Memory
from patronus.dataplane.nexthops.netlink import Channel
from patronus.dataplane.nexthops.reception import MESSAGES, Reception
from patronus.dataplane.stamp.sender import (
    PRIORITY,
    Budget,
    Sender,
    become_real_time,
)
from patronus.dataplane.stamp.tenure import Tenure
from patronus.engine.units import MS, SECOND

TICK_NS: Final = 5 * MS
IDLE_NS: Final = 20 * MS
"""Changes of the agent are seen so soon when nothing else is due."""
BUDGET_PPM: Final = 400_000
"""Of a core: what else the router does shall not starve, probing at 10 ms takes half of that."""
READS_MAX: Final = 8
"""Full batches of one turn; what still waits comes with the next."""
RUNS_ON_US: Final = 500_000
"""Without ever waiting: then something is wrong with it (RLIMIT_RTTIME)."""
RECEIVE_BYTES: Final = 4 << 20


class Window(NamedTuple):
    """The rows that are in use, as a sender wants them."""

    tunnels: Records
    schedule: Records
    pacing: Records


class Prober:
    """Socket, stamps and entries of one site; whoever drives it tells the time."""

    def __init__(self, memory: Memory, plane: NexthopDataplane, opened: socket.socket) -> None:
        self._memory, self._plane, self._socket = memory, plane, opened
        self._settings = memory.array("settings")
        self._reception = Reception(memory, plane, opened)
        self._epoch, self._count = -1, 0
        self._sender = self._fresh()

    def _fresh(self) -> Sender:
        """Return a sender to where tunnels lead now."""
        self._epoch = int(self._settings["epoch"][0])
        memory = self._memory
        used = np.flatnonzero(memory.tunnels["flags"] & TunnelFlag.IN_USE)
        # To look at rows that there are not would take milliseconds, in which nobody probes.
        count = self._count = int(used.max(initial=0)) + 1
        window = Window(memory.tunnels[:count], memory.schedule[:count], memory.pacing)
        return Sender(window, [self._socket.fileno()])

    def turn(self, now_ns: int) -> int:
        """Take, send and move what is to be; return when to come again."""
        if self._epoch != int(self._settings["epoch"][0]):
            self._sender = self._fresh()
        for _ in range(READS_MAX):
            if self._reception.take() < MESSAGES:
                break
        self._sender.send_due(now_ns)
        self._plane.settle(time.monotonic_ns())
        return min(self._sender.next_ns(now_ns), self._plane.next_ns(), now_ns + IDLE_NS)

    def rest_ns(self) -> int:
        """Return how far apart turns shall be."""
        shortest = int(self._memory.tunnels["detect_ns"][: self._count].min())
        return min(max(shortest // 6, TICK_NS), IDLE_NS)

    def exhausted(self, windows: int) -> None:
        """Take note of windows whose share of the processor was used up."""
        self._memory.pacing["deferred"] = windows

    def wait(self, until_ns: int, now_ns: int) -> None:
        """Wait for a packet or a time."""
        timeout_s = max(until_ns - now_ns, 0) / SECOND
        select.select([self._socket], [], [], timeout_s)


def opened(port: int) -> socket.socket:
    """Return the socket of all tunnels.

    Raises:
        OSError: the port is taken.
    """
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    made.bind(("::", port))
    return made


def run(prober: Prober, budget: Budget) -> None:
    """Work until a signal says to end."""
    while True:
        cpu_ns, now_ns = time.thread_time_ns(), time.monotonic_ns()
        next_ns = prober.turn(now_ns)
        rest_ns = max(
            budget.spend(time.thread_time_ns() - cpu_ns, now_ns), now_ns + prober.rest_ns()
        )
        prober.exhausted(budget.exhausted)
        time.sleep(max(rest_ns - time.monotonic_ns(), 0) / SECOND)
        prober.wait(next_ns, time.monotonic_ns())


def main(arguments: Sequence[str]) -> int:
    """Be the process; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        sizes = Sizes(rows=given.rows, entries=given.entries, moves=given.moves)
        memory = Memory(given.memory, sizes)
        plane = NexthopDataplane(memory, through(Channel()), rows=given.rows, classes=given.classes)
        signal.signal(signal.SIGTERM, _end)
        resource.setrlimit(resource.RLIMIT_RTTIME, (RUNS_ON_US, RUNS_ON_US))
        if refused := become_real_time(given.priority):
            sys.stderr.write(
                f"patronus prober: without {refused}; on a busy machine probes come late, and "
                "tunnels that are well are taken for dead\n"
            )
        Tenure(given.lock, given.made)
        prober = Prober(memory, plane, opened(given.port))
    except (OSError, ValueError, AssertionError) as error:
        sys.stderr.write(f"patronus prober: {error}\n")
        return 2
    run(prober, Budget(given.budget_ppm))
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: nothing is half done that the next one would not find."""
    del number, frame
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="patronus-prober")
    parser.add_argument("--memory", type=Path, required=True, help="file shared with the agent")
    parser.add_argument("--lock", type=Path, required=True, help="held by the one who probes")
    parser.add_argument("--made", required=True, help="what the lock says of us")
    for name in ("rows", "entries", "moves", "classes", "port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--priority", type=int, default=PRIORITY, help="of SCHED_FIFO")
    parser.add_argument("--budget-ppm", type=int, default=BUDGET_PPM, help="of one core")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
