"""Measure how regularly probes leave, and what it costs: from the kernel, and from a process.

    python -m tests.bench.pacing [--rows 1000] [--interval-ms 10] [--seconds 10] [--hogs 0 16]

Two namespaces with a plain cable; the far end's kernel reflects. Lateness is how long after its
time a probe left (the pacer looks once a millisecond, so half of one is its mean). The shares of a
core are of this machine as a whole while it ran, less what it did before, so they hold the
reflections and their reception too; run it on a machine that does nothing else.
"""

import argparse
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import probing
from patronus.dataplane.linux.probing import LATENESS_NS, Records
from patronus.dataplane.stamp.sender import Memory
from patronus.engine.units import MS
from tests.dataplane.linux.ends import Pair, pair, wait_for

SETTLE_S = 2
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Case(NamedTuple):
    """What is measured."""

    who: str
    rows: int
    interval_ns: int
    hogs: int
    seconds: int


class Taken(NamedTuple):
    """What came out."""

    sent: float
    heard: float
    late_ms: list[float]
    """At 50, 99, 99.9 and 100 %."""
    gap_ms: float
    """Longest between two looks at the schedule."""
    skipped: int
    softirq: float
    process: float


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Keep the processors busy with processes that only count."""
    spin = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


@contextmanager
def by_kernel(found: Pair, case: Case) -> Iterator[tuple[Records, Records, int]]:
    """Let the pacer probe; yield its record, the tunnels, and no process."""
    found.near.pace(case.interval_ns)
    yield found.near.memory["pacing"], found.near.tunnels, 0


@contextmanager
def by_process(found: Pair, case: Case) -> Iterator[tuple[Records, Records, int]]:
    """Let the sender's process probe; yield its record, its tunnels and its id."""
    descriptor = os.memfd_create("patronus-bench")
    os.truncate(descriptor, Memory.size(case.rows))
    memory = Memory(descriptor, case.rows)
    memory.tunnels[:] = found.near.tunnels
    rows = np.arange(case.rows, dtype=np.int64)
    interval = np.full(case.rows, case.interval_ns, dtype=np.int64)
    phase = rows * case.interval_ns // case.rows
    probing.schedule(memory.schedule, rows, interval, phase, time.monotonic_ns())
    out = found.near.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    out.bind(("10.77.0.1", int(found.near.tunnels["local_port"][0])))
    command = [sys.executable, "-m", "patronus.dataplane.stamp.sender",
               "--memory", str(descriptor), "--rows", str(case.rows),
               "--sockets", str(out.fileno())]  # fmt: skip
    process = subprocess.Popen(command, pass_fds=(descriptor, out.fileno()))
    try:
        yield memory.pacing, memory.tunnels, process.pid
    finally:
        process.terminate()
        process.wait()
        out.close()
        os.close(descriptor)


WAYS = {"kernel": by_kernel, "process": by_process}


def measure(case: Case, cache: Path) -> Taken:
    """Run one case."""
    with ExitStack() as stack:
        found = stack.enter_context(pair("st-bench", cache, rows=case.rows))
        stack.enter_context(hogs(case.hogs))
        idle = softirq(SETTLE_S)
        pacing, tunnels, pid = stack.enter_context(WAYS[case.who](found, case))
        wait_for(lambda: int(pacing["turns"][0]) > 0, 60)
        pause(SETTLE_S)
        ours = probing.probing_of(tunnels)
        pacing["lateness"], pacing["gap_ns_max"], ours["skipped"] = 0, 0, 0
        before, cpu_s, start = counts(found, ours), process_s(pid), time.monotonic()
        busy = softirq(case.seconds)
        seconds = time.monotonic() - start
        rates = (counts(found, ours) - before) / seconds
        return Taken(
            rates[0], rates[1], quantiles_ms(pacing["lateness"][0].astype(np.int64)),
            int(pacing["gap_ns_max"][0]) / MS,
            int(ours["skipped"].sum()), busy - idle, (process_s(pid) - cpu_s) / seconds,
        )  # fmt: skip


def counts(found: Pair, ours: Records) -> npt.NDArray[np.int64]:
    """Return probes sent, and heard by the far end."""
    fields = (ours["sent"], found.far.probing["heard"])
    return np.array([int(field.sum()) for field in fields], dtype=np.int64)


def quantiles_ms(lateness: npt.NDArray[np.int64]) -> list[float]:
    """Return lateness at 50, 99, 99.9 and 100 %, upper ends of the classes."""
    below = np.cumsum(lateness) / max(int(lateness.sum()), 1)
    shares = (0.5, 0.99, 0.999, 1.0)
    return [(int(np.searchsorted(below, share - 1e-12)) + 1) * LATENESS_NS / MS for share in shares]


def pause(seconds: float) -> None:
    """Let the others work."""
    select.select([], [], [], seconds)


def softirq(seconds: float) -> float:
    """Return the cores' worth of soft interrupts while some seconds pass."""

    def ticks() -> int:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        return int(words[7])

    before, start = ticks(), time.monotonic()
    pause(seconds)
    return (ticks() - before) / TICKS_PER_SECOND / (time.monotonic() - start)


def process_s(pid: int) -> float:
    """Return the processor time of a process, 0 for none."""
    if not pid:
        return 0.0
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICKS_PER_SECOND


def main() -> None:
    """Measure all cases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000])
    parser.add_argument("--interval-ms", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--hogs", type=int, nargs="+", default=[0, 16])
    parser.add_argument("--who", nargs="+", default=list(WAYS), choices=list(WAYS))
    given = parser.parse_args()
    print(f"{'who':8}{'rows':>6}{'hogs':>5}{'sent/s':>9}{'heard/s':>9}"
          f"{'late ms: p50':>14}{'p99':>6}{'p99.9':>7}{'max':>6}{'gap ms':>8}{'skipped':>9}"
          f"{'softirq':>9}{'process':>9}")  # fmt: skip
    with tempfile.TemporaryDirectory() as cache:
        for who in given.who:
            for rows in given.rows:
                for count in given.hogs:
                    case = Case(who, rows, given.interval_ms * MS, count, given.seconds)
                    print(line(case, measure(case, Path(cache))), flush=True)


def line(case: Case, taken: Taken) -> str:
    """Return a line of the table."""
    late = taken.late_ms
    return (
        f"{case.who:8}{case.rows:6}{case.hogs:5}{taken.sent:9.0f}{taken.heard:9.0f}"
        f"{late[0]:14.1f}{late[1]:6.1f}{late[2]:7.1f}{late[3]:6.1f}"
        f"{taken.gap_ms:8.2f}{taken.skipped:9}{taken.softirq:9.2f}{taken.process:9.2f}"
    )


if __name__ == "__main__":
    main()
