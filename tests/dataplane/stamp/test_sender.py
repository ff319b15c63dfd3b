"""The sender in user space: what is due, its budget, and the process itself."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.linux.probing import probing_of
from patronus.dataplane.stamp.packet import Probe
from patronus.dataplane.stamp.sender import Budget, Memory, Sender, main
from patronus.engine.units import MS, SECOND
from tests.dataplane.stamp.test_batch import ROWS, table

COMMAND = (sys.executable, "-m", "patronus.dataplane.stamp.sender")


@contextmanager
def shared(port: int) -> Iterator[tuple[int, Memory]]:
    """Yield memory with three rows that lead to a port of this machine."""
    descriptor = os.memfd_create("patronus-test")
    try:
        os.truncate(descriptor, Memory.size(ROWS))
        memory = Memory(descriptor, ROWS)
        memory.tunnels[:] = table(port)
        yield descriptor, memory
    finally:
        os.close(descriptor)


@contextmanager
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
    ):
        there.bind(("127.0.0.1", 0))
        there.settimeout(10)
        yield there, here


def test_each_due_row_is_sent_once() -> None:
    """Rows leave when due, late ones once, and stopped ones never."""
    with sockets() as (there, here), shared(there.getsockname()[1]) as (_, memory):
        memory.schedule["interval_ns"] = [10 * MS, 10 * MS, 0]
        memory.schedule["due_ns"] = [SECOND, SECOND + 5 * MS, 0]
        sender = Sender(memory, [here.fileno()])
        assert sender.next_ns(SECOND - MS) == SECOND
        for now_ns in (SECOND - 1, SECOND, SECOND + 1, SECOND + 5 * MS, SECOND + 45 * MS):
            sender.send_due(now_ns)
        probing = probing_of(memory.tunnels)
        assert probing["sent"].tolist() == [2, 2, 0]
        assert probing["skipped"].tolist() == [3, 3, 0]
        assert memory.schedule["due_ns"].tolist() == [SECOND + 50 * MS, SECOND + 55 * MS, 0]
        got = [Probe.parse(there.recv(2048)[20:]) for _ in range(4)]
        assert [(p.ssid, p.sequence) for p in got] == [(1, 0), (2, 0), (1, 1), (2, 1)]
        assert int(memory.pacing["turns"][0]) == 5
        assert memory.pacing["lateness"][0].sum() == 4
        assert int(memory.pacing["gap_ns_max"][0]) == 40 * MS


def test_rows_leave_through_their_transport() -> None:
    """Each transport has its socket."""
    with (
        sockets() as (there, here),
        shared(there.getsockname()[1]) as (_, memory),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        memory.tunnels["transport"] = [0, 1, 0]
        memory.schedule["interval_ns"] = SECOND
        Sender(memory, [here.fileno(), other.fileno()]).send_due(0)
        sources = [there.recvfrom(2048)[1][1] for _ in range(ROWS)]
        assert sources == [s.getsockname()[1] for s in (here, here, other)], "one call a socket"


@given(spent=st.lists(st.tuples(st.integers(0, 30 * MS), st.integers(0, 20 * MS)), max_size=60))
def test_no_window_uses_more_than_its_share(spent: list[tuple[int, int]]) -> None:
    """Whoever rests when told to uses at most the share and one batch of each window."""
    budget, now_ns = Budget(500_000, 100 * MS), 0
    used: dict[int, int] = {}
    for cpu_ns, idle_ns in spent:
        used.setdefault(now_ns // (100 * MS), 0)
        used[now_ns // (100 * MS)] += cpu_ns
        rest_ns = budget.spend(cpu_ns, now_ns)
        assert now_ns <= rest_ns <= now_ns + 100 * MS
        now_ns = max(rest_ns, now_ns + cpu_ns + idle_ns)
    assert all(total < 50 * MS + 30 * MS for total in used.values())
    assert budget.exhausted == sum(total >= 50 * MS for total in used.values())


@pytest.mark.root
def test_the_process_sends_until_it_is_told_to_end() -> None:
    """Real probes come at their pace from a process in real time, which ends on a signal."""
    with sockets() as (there, here), shared(there.getsockname()[1]) as (memory_fd, memory):
        memory.schedule["interval_ns"] = 20 * MS
        arguments = ["--memory", str(memory_fd), "--rows", str(ROWS)]
        arguments += ["--sockets", str(here.fileno())]
        process = subprocess.Popen(
            [*COMMAND, *arguments], pass_fds=(memory_fd, here.fileno()), stderr=subprocess.PIPE
        )
        try:
            got = [Probe.parse(there.recv(2048)[20:]) for _ in range(30)]
            assert os.sched_getscheduler(process.pid) == os.SCHED_FIFO
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=20)[1]
        assert (process.returncode, said) == (0, b"")
        assert sorted({p.ssid for p in got}) == [1, 2, 3]
        assert [p.sequence for p in got if p.ssid == 1][:8] == list(range(8))


def test_wrong_descriptors_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Memory that is too short, and a socket that is not open, are said in one line."""
    with shared(9) as (memory_fd, _):
        words = ["--memory", str(memory_fd), "--sockets"]
        assert main([*words, "1", "--rows", "1000"]) == 2
        assert "1000 rows need" in capsys.readouterr().err
        assert main([*words, "987654", "--rows", str(ROWS)]) == 2
        assert "Bad file descriptor" in capsys.readouterr().err
        assert main([*words, "x", "--rows", str(ROWS)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
