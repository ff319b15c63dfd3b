"""``wireguard-go`` as the carrier of WireGuard devices: one process a device.

Processes outlive the agent, so that restarting it loses no packet. They are found again
through their control socket: the kernel tells which process listens there (SO_PEERCRED), and
our tag in its environment says that we started it. No file holds a process number that
could have become somebody else's.

A process that was killed takes its TUN device along. One that hangs keeps it, black; it is
told by its silence on the control socket, then killed, unless it is only kept from running
(:mod:`patronus.dataplane.tunnels.toil`). Both are ordinary faults that ``ensure`` repairs;
:meth:`Userspace.exit_fds` lets a driver wake at once when one dies.

The process is started under SCHED_RR where that is allowed: otherwise other work delays
probes by up to 28 ms (DATAPLANE 5). Under SCHED_FIFO two of them can stop a machine: Go's
threads turn while they wait for each other (when memory is collected, for one), and of equal
priority nobody takes a processor from a thread that turns, not even the one it waits for.
A real-time process that fills every core is paused 50 ms each second by the kernel's
throttling, so the priority can be switched off.
"""

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from patronus.dataplane.tunnels.driver import Health, Ownership, TunnelTrouble
from patronus.dataplane.tunnels.toil import kept_waiting, toil
from patronus.dataplane.tunnels.uapi import (
    GET,
    BadReply,
    ReplyReader,
    check_set,
    parse_get,
    set_request,
)
from patronus.dataplane.tunnels.wgdevice import Look, WgChange
from patronus.engine.units import MS

SOCKETS: Final = Path("/var/run/wireguard")
"""Where ``wireguard-go`` puts its control sockets, whatever the network namespace."""
OWNER: Final = "PATRONUS_OWNER"
PROGRAM: Final = "wireguard-go"

ANSWER_MS: Final = (500, 300)
"""A process that answers neither question in time hangs: a dump of 5000 peers takes 36 ms.
Asked twice, since a pause of the whole machine makes the first answer late as well; and both
leave room to rebuild the device within two seconds."""
START_MS: Final = 1_500
PAUSE_MS: Final = 5
"""Between two looks whether a process that was started is ready."""
KILL_MS: Final = 1_000
REASON_MS: Final = 1_000
PRIORITY: Final = 10

_CREDENTIALS: Final = struct.Struct("=iII")


class Silent(Exception):
    """The process did not answer in time."""


@dataclass(slots=True)
class _Process:
    """A process of ours, and a descriptor that becomes readable when it ends."""

    pid: int
    fd: int


class Userspace:
    """Implements :class:`patronus.dataplane.tunnels.wireguard.Backend`."""

    name = PROGRAM

    def __init__(self, ownership: Ownership, *, priority: int | None = PRIORITY) -> None:
        """Use the program that is installed.

        Args:
            ownership: tells our processes from others.
            priority: under SCHED_RR; None: ordinary scheduling.

        Raises:
            TunnelTrouble: it is not installed.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise TunnelTrouble(f"{PROGRAM} is not installed and the kernel has no WireGuard")
        self._program = program
        self._ownership = ownership
        self._priority = priority
        self._processes: dict[str, _Process] = {}
        self.realtime: bool | None = None
        """Whether SCHED_RR was allowed; None before the first start."""

    def close(self) -> None:
        """Let go of the processes; they go on carrying packets."""
        for process in self._processes.values():
            os.close(process.fd)
        self._processes.clear()

    def exit_fds(self) -> dict[str, int]:
        """Return, for each device, a descriptor that is readable once its process ended."""
        return {name: process.fd for name, process in self._processes.items()}

    def names(self) -> list[str]:
        """Return the devices with a process of ours, alive or hung."""
        prefix = self._ownership.prefix
        found = [path.stem for path in SOCKETS.glob(f"{prefix}*.sock")]
        return sorted(name for name in found if self._adopt(name) is not None)

    def look(self, name: str) -> Look:
        """Tell whether the process of a device works, and what it knows."""
        process = self._adopt(name)
        if process is None:
            return Look(Health.DEAD)
        try:
            with suppress(Silent):
                return Look(Health.ALIVE, parse_get(_ask(name, GET, ANSWER_MS[0])))
            before = toil(process.pid)
            with suppress(Silent):
                return Look(Health.ALIVE, parse_get(_ask(name, GET, ANSWER_MS[1])))
        except (OSError, BadReply):
            return Look(Health.DEAD)
        late = kept_waiting(before, toil(process.pid), ANSWER_MS[1] * MS)
        return Look(Health.LATE if late else Health.HUNG)

    def make(self, name: str) -> None:
        """Start the process of a device; once this returns, the device is there.

        Raises:
            TunnelTrouble: it is not, and why.
        """
        self.unmake(name)
        with self._realtime():
            child = subprocess.Popen(
                [self._program, "-f", name],
                env=self._environment("silent"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # what stops the agent's terminal stops no tunnel
            )
        child.returncode = 0  # we wait for it through its descriptor; Popen need not
        process = _Process(child.pid, os.pidfd_open(child.pid))
        if not self._started(name, process):
            _kill(name, process)
            raise TunnelTrouble(f"{name}: {PROGRAM} did not start: {self._reason(name)}")
        self._processes[name] = process

    def unmake(self, name: str) -> None:
        """End the process of a device, which takes the device along.

        Raises:
            TunnelTrouble: it cannot be killed.
        """
        process = self._adopt(name)
        if process is not None:
            del self._processes[name]
            _kill(name, process)
            # It was killed, so it did not clean up after itself.
            (SOCKETS / f"{name}.sock").unlink(missing_ok=True)

    def write(self, name: str, change: WgChange) -> None:
        """Make a change.

        Raises:
            TunnelTrouble: it is refused, or nobody answers.
        """
        try:
            check_set(_ask(name, set_request(change), ANSWER_MS[0]))
        except (Silent, OSError, BadReply) as error:
            raise TunnelTrouble(f"{name}: {PROGRAM} refuses a change: {error}") from None

    def forget_sources(self, name: str) -> None:
        """Let the process open its socket anew, by which it forgets where it sent from.

        It keeps the source address of each peer, and gives it up when the kernel answers EINVAL
        because the address is gone. Newer kernels (6.18 for one) answer ENETUNREACH; then it
        would try the lost address for ever, and a new lease would cut every tunnel.
        """
        device = self.look(name).device
        if device is not None:
            self.write(name, WgChange(port=device.port))

    def _adopt(self, name: str) -> _Process | None:
        """Return the process of a device, found through its socket if we do not know it yet."""
        known = self._processes.get(name)
        if known is not None:
            if not _ended(known, 0):
                return known
            self._forget(name)
        with suppress(OSError):
            pid = _listener(name)
            if self._is_ours(pid, name):
                self._processes[name] = _Process(pid, os.pidfd_open(pid))
                return self._processes[name]
        return None

    def _forget(self, name: str) -> None:
        process = self._processes.pop(name)
        _reap(process)
        os.close(process.fd)
        try:
            _listener(name)
        except ConnectionRefusedError:
            # It did not clean up after itself, and nobody has taken its place.
            (SOCKETS / f"{name}.sock").unlink(missing_ok=True)
        except OSError:
            return

    def _is_ours(self, pid: int, name: str) -> bool:
        """Tell whether a process was started by us, in this namespace, for this device.

        All namespaces share the folder of the sockets, and an agent in another one may be ours.
        """
        folder = Path(f"/proc/{pid}")
        if not (folder / "ns/net").samefile("/proc/thread-self/ns/net"):
            return False
        environment = (folder / "environ").read_bytes().split(b"\0")
        arguments = (folder / "cmdline").read_bytes().split(b"\0")
        return f"{OWNER}={self._ownership.tag}".encode() in environment and (
            name.encode() in arguments
        )

    def _environment(self, log_level: str) -> dict[str, str]:
        # Silent, since an agent that goes away leaves nobody to read; see _reason.
        return {
            "PATH": os.environ.get("PATH", ""),
            OWNER: self._ownership.tag,
            "LOG_LEVEL": log_level,
        }

    def _started(self, name: str, process: _Process) -> bool:
        """Wait until the control socket answers; return False if the process ends first."""
        deadline_ns = time.monotonic_ns() + START_MS * MS
        while time.monotonic_ns() < deadline_ns:
            if _ended(process, PAUSE_MS):
                return False
            with suppress(OSError, Silent, BadReply):
                if _listener(name) == process.pid:
                    _ask(name, GET, ANSWER_MS[0])
                    return True
        return False

    def _reason(self, name: str) -> str:
        """Start once more, listening, to learn why the program does not start."""
        try:
            done = subprocess.run(
                [self._program, "-f", name],
                env=self._environment("error"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=REASON_MS / 1000,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no control socket within {START_MS} ms"
        errors = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line]
        errors += done.stderr.decode("utf-8", "replace").splitlines()
        said = [line for line in errors if "ERROR" in line]
        return said[-1].split(" ", 4)[-1] if said else f"exit code {done.returncode}"

    @contextmanager
    def _realtime(self) -> Iterator[None]:
        """Let what this thread starts inherit SCHED_RR, every thread of it.

        Setting it afterwards would miss the threads that a Go program has started by then.
        """
        if self._priority is None:
            self.realtime = False
            yield
            return
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(self._priority))
            self.realtime = True
        except PermissionError:
            self.realtime = False
        try:
            yield
        finally:
            os.sched_setscheduler(0, policy, parameters)


def _ask(name: str, request: bytes, wait_ms: int) -> bytes:
    """Send a request and return the reply."""
    reader = ReplyReader()
    with _connected(name, wait_ms) as control:
        try:
            control.sendall(request)
            while data := control.recv(65_536):
                if (reply := reader.feed(data)) is not None:
                    return reply
        except TimeoutError:
            raise Silent(f"no answer for {wait_ms} ms") from None
    raise BadReply("the socket closed amid a reply")


@contextmanager
def _connected(name: str, wait_ms: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as control:
        control.settimeout(wait_ms / 1000)
        control.connect(str(SOCKETS / f"{name}.sock"))
        yield control


def _listener(name: str) -> int:
    """Return the process that listens on the control socket of a device.

    Raises:
        OSError: nobody does.
    """
    with _connected(name, ANSWER_MS[0]) as control:
        data = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(data)[0]
    return pid


def _ended(process: _Process, wait_ms: int) -> bool:
    poll = select.poll()
    poll.register(process.fd, select.POLLIN)
    return bool(poll.poll(wait_ms))


def _kill(name: str, process: _Process) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process.fd, signal.SIGKILL)
    ended = _ended(process, KILL_MS)
    _reap(process)
    os.close(process.fd)
    if not ended:
        raise TunnelTrouble(f"{name}: {PROGRAM} (process {process.pid}) cannot be killed")


def _reap(process: _Process) -> None:
    """Take the exit status of a child; one that an earlier agent started is not ours to take."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, process.fd, os.WEXITED | os.WNOHANG)
