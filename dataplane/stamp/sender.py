"""The sender where the kernel cannot pace: a small process of its own under SCHED_FIFO.

    python -m patronus.dataplane.stamp.sender --memory FD --rows N --sockets FD[,FD ...]

It sends the probes that are due, of all rows, with one ``sendmmsg`` a tick and socket. A row's
socket is that of its ``transport``. ``--memory`` holds tunnels, schedule and pacing record one
behind the other (:class:`Memory`), shared with whoever receives and stamps.

What it costs, against probes sent by the kernel (2-core VM, veth, what the far end does with
them included; ``python -m tests.bench.pacing`` prints it anew): 0.2 to 0.3 of a core at 100
tunnels and 10 ms, and the whole budget at 780 tunnels, beyond which probes are left out, so
that no more than that are to be probed so. Probes stop when this process does, and reflections
wait for the receiver to be scheduled, which is in the round trip.

A real-time process that runs on and on is halted by the kernel for 50 ms of each second, which is
a false down. So it keeps itself within a budget: once a window's share of the processor is
used up, probes wait for the next window, and are counted.
"""

import argparse
import contextlib
import ctypes
import gc
import mmap
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from patronus.dataplane.linux import records
from patronus.dataplane.linux.probing import (
    LATENESS,
    LATENESS_NS,
    PACING,
    SCHEDULE,
    Records,
    probing_of,
)
from patronus.dataplane.stamp.batch import Batch, descriptors
from patronus.engine.overlay import I64
from patronus.engine.units import MS, PPM, SECOND

PRIORITY: Final = 20
"""Above whatever is real-time by chance, below what the kernel runs so (50)."""

BUDGET_PPM: Final = 600_000
"""Of a core; the kernel halts real-time processes at 950 000."""

WINDOW_NS: Final = 100 * MS
TICK_NS: Final = 2 * MS
"""Between two batches: each costs some 0.2 ms however few probes are in it."""
IDLE_NS: Final = 10 * MS
"""The schedule is looked at so often when nothing is due."""

_PR_SET_PDEATHSIG: Final = 1
_MCL_CURRENT_AND_FUTURE: Final = 3
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Budget:
    """Processor time within windows."""

    def __init__(self, share_ppm: int = BUDGET_PPM, window_ns: int = WINDOW_NS) -> None:
        assert 0 < share_ppm <= PPM
        self._allowed_ns = window_ns * share_ppm // PPM
        self._window_ns = window_ns
        self._window, self._used_ns = -1, 0
        self.exhausted = 0
        """Windows whose share was used up."""

    def spend(self, cpu_ns: int, now_ns: int) -> int:
        """Take note of time that was used; return until when to rest, ``now_ns`` for not at all."""
        window = now_ns // self._window_ns
        if window != self._window:
            self._window, self._used_ns = window, 0
        before, self._used_ns = self._used_ns, self._used_ns + cpu_ns
        if self._used_ns < self._allowed_ns:
            return now_ns
        self.exhausted += before < self._allowed_ns
        return (window + 1) * self._window_ns


class Shared(Protocol):
    """Where a sender finds what to send."""

    @property
    def tunnels(self) -> Records:
        """Records of the tunnels."""

    @property
    def schedule(self) -> Records:
        """When each of them is probed."""

    @property
    def pacing(self) -> Records:
        """One record of what came of it."""


class Memory:
    """Tunnels, schedule and pacing record in one shared piece of memory."""

    def __init__(self, descriptor: int, rows: int) -> None:
        """Map it.

        Raises:
            ValueError: the file is too short.
        """
        size = self.size(rows)
        if os.fstat(descriptor).st_size < size:
            raise ValueError(f"{rows} rows need {size} bytes of memory")
        memory = mmap.mmap(descriptor, size)
        at = 0
        arrays = []
        for dtype, count in self._parts(rows):
            arrays.append(np.frombuffer(memory, dtype=dtype, count=count, offset=at))
            at += dtype.itemsize * count
        self.tunnels: Records = arrays[0]
        self.schedule: Records = arrays[1]
        self.pacing: Records = arrays[2]

    @staticmethod
    def _parts(rows: int) -> tuple[tuple["np.dtype[np.void]", int], ...]:
        return (records.TUNNEL, rows), (SCHEDULE, rows), (PACING, 1)

    @classmethod
    def size(cls, rows: int) -> int:
        """Return how many bytes it takes."""
        return sum(dtype.itemsize * count for dtype, count in cls._parts(rows))


class Sender:
    """Sends what is due; whoever drives it tells the time."""

    def __init__(self, memory: Shared, sockets: Sequence[int]) -> None:
        """Prepare; a single socket serves all rows, else that of a row's transport does."""
        self._slots, self._pacing = memory.schedule, memory.pacing
        self._probing = probing_of(memory.tunnels)
        self._batch = Batch(memory.tunnels)
        self._transport: I64 = memory.tunnels["transport"].astype(np.int64)
        self._sockets = list(enumerate(sockets))
        assert len(sockets) == 1 or self._transport.max(initial=0) < len(sockets)

    def send_due(self, now_ns: int) -> None:
        """Send all probes that are due, once each."""
        due_ns, interval_ns = self._slots["due_ns"], self._slots["interval_ns"]
        rows = np.flatnonzero((due_ns <= now_ns) & (interval_ns > 0))
        if len(rows):
            self._book(rows, now_ns)
            self._batch.fill(rows, now_ns)
            for transport, descriptor in self._sockets:
                mine = rows if len(self._sockets) == 1 else rows[self._transport[rows] == transport]
                self._pacing["no_way"] += len(mine) - self._batch.send(mine, descriptor)
        gap_ns = now_ns - int(self._pacing["turn_ns"][0])
        if self._pacing["turns"][0]:
            self._pacing["gap_ns_max"] = max(int(self._pacing["gap_ns_max"][0]), gap_ns)
        self._pacing["turns"] += 1
        self._pacing["turn_ns"] = now_ns

    def _book(self, rows: I64, now_ns: int) -> None:
        """Set when these rows are due next; what was missed is not made up for."""
        late_ns, interval_ns = (
            now_ns - self._slots["due_ns"][rows],
            self._slots["interval_ns"][rows],
        )
        missed = late_ns // interval_ns
        self._slots["due_ns"][rows] += (missed + 1) * interval_ns
        self._probing["skipped"][rows] += missed.astype(np.uint64)
        places = np.minimum(late_ns // LATENESS_NS, LATENESS - 1)
        self._pacing["lateness"][0] += np.bincount(places, minlength=LATENESS).astype(np.uint64)

    def next_ns(self, now_ns: int) -> int:
        """Return when to come again."""
        waiting = self._slots["due_ns"][self._slots["interval_ns"] > 0]
        return min(int(waiting.min(initial=now_ns + IDLE_NS)), now_ns + IDLE_NS)


def become_real_time(priority: int) -> str:
    """Ask for SCHED_FIFO and unswappable memory; return what of that was refused, or nothing."""
    refused = []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        refused.append(f"SCHED_FIFO: {error.strerror}")
    if _LIBC.mlockall(_MCL_CURRENT_AND_FUTURE):
        refused.append(f"mlockall: {os.strerror(ctypes.get_errno())}")
    gc.disable()  # nothing here makes cycles
    return ", ".join(refused)


def run(sender: Sender, budget: Budget, tick_ns: int) -> None:
    """Send until a signal says to end."""
    while True:
        cpu_ns, now_ns = time.thread_time_ns(), time.monotonic_ns()
        sender.send_due(now_ns)
        # At least a tick apart, so that due rows gather and share a system call.
        wake_ns = max(sender.next_ns(now_ns), now_ns + tick_ns)
        wake_ns = max(wake_ns, budget.spend(time.thread_time_ns() - cpu_ns, now_ns))
        time.sleep(max(wake_ns - time.monotonic_ns(), 0) / SECOND)


def main(arguments: Sequence[str]) -> int:
    """Be the sender's process; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        memory = Memory(given.memory, given.rows)
        sender = Sender(memory, descriptors(given.sockets))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"patronus sender: {error}\n")
        return 2
    # It serves one agent and does not outlive it: without its stamps every H bit would lie.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if refused := become_real_time(given.priority):
        sys.stderr.write(f"patronus sender: without {refused}; probes may be late\n")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        run(sender, Budget(given.budget_ppm), given.tick_ns)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="patronus-sender")
    parser.add_argument("--memory", type=int, required=True, help="descriptor of shared memory")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--sockets", required=True, help="descriptors, by transport")
    parser.add_argument("--priority", type=int, default=PRIORITY, help="of SCHED_FIFO")
    parser.add_argument("--budget-ppm", type=int, default=BUDGET_PPM, help="of one core")
    parser.add_argument("--tick-ns", type=int, default=TICK_NS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
