"""Network namespaces to test in: each has a thread of its own that lives inside it."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TypeVar

from pyroute2 import netns

from patronus.dataplane.tunnels.driver import Ownership
from patronus.dataplane.tunnels.spec import Endpoint

T = TypeVar("T")

WAIT_S = 0.5

OURS = Ownership(prefix="tn-", tag="patronus-test")


def shell(command: str, *, check: bool = True, text: str = "") -> str:
    """Run a command on some input and return what it printed."""
    done = subprocess.run(
        command, shell=True, input=text, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class Namespace:
    """One network namespace; what it runs, it runs in one thread inside of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        shell(f"ip netns del {name}", check=False)
        shell(f"ip netns add {name}")
        self._thread = self.another_thread()
        self.ip("link set lo up")

    def another_thread(self) -> ThreadPoolExecutor:
        """Return a thread inside, to run something at the same time."""
        return ThreadPoolExecutor(1, initializer=netns.setns, initargs=(self.name,))

    def run(self, job: Callable[[], T]) -> T:
        """Run a job inside and return its result."""
        return self._thread.submit(job).result(timeout=30)

    def ip(self, arguments: str, *, check: bool = True) -> str:
        """Run ``ip`` inside."""
        return shell(f"ip -n {self.name} {arguments}", check=check)

    def sh(self, command: str) -> str:
        """Run a command inside."""
        return shell(f"ip netns exec {self.name} {command}")

    def feed(self, command: str, text: str) -> str:
        """Run a command inside on some input."""
        return shell(f"ip netns exec {self.name} {command}", text=text)

    def close(self) -> None:
        """Take the namespace away."""
        self._thread.shutdown()
        shell(f"ip netns del {self.name}", check=False)


@contextmanager
def namespaces(*names: str) -> Iterator[list[Namespace]]:
    """Make namespaces for the length of a ``with``."""
    made = [Namespace(name) for name in names]
    try:
        yield made
    finally:
        for space in made:
            space.close()


def wire(a: Namespace, b: Namespace, *, number: int, mtu: int = 1500) -> None:
    """Join two namespaces by a veth pair: 10.9.N.1 and 2, fd09:N::1 and 2.

    The ends' indices differ: with equal ones Linux may report the carrier a second late.
    """
    one, two = 100 + 2 * number, 101 + 2 * number
    shell(
        f"ip link add tn-l{number}a index {one} netns {a.name} type veth "
        f"peer tn-l{number}b index {two} netns {b.name}"
    )
    for space, end, host in ((a, "a", 1), (b, "b", 2)):
        device = f"tn-l{number}{end}"
        space.ip(f"addr add 10.9.{number}.{host}/24 dev {device}")
        space.ip(f"addr add fd09:{number}::{host}/64 dev {device} nodad")
        space.ip(f"link set {device} mtu {mtu} up")


def until(happened: Callable[[], object], *, seconds: float = 5.0, step: float = 0.005) -> float:
    """Wait until something happened; return how many seconds that took."""
    pause, start = threading.Event(), time.monotonic()
    while not happened():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        pause.wait(step)
    return time.monotonic() - start


def endpoint(text: str, port: int) -> Endpoint:
    """Return an endpoint."""
    return Endpoint(ip_address(text), port)


def udp(space: Namespace, address: str, port: int = 0, *, device: str = "") -> socket.socket:
    """Return a UDP socket in a namespace that never fragments, on one device if it is named."""

    def make() -> socket.socket:
        six = ":" in address
        made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(WAIT_S)
        level, option = (socket.IPPROTO_IPV6, 23) if six else (socket.IPPROTO_IP, 10)
        made.setsockopt(level, option, 3)  # MTU_DISCOVER: PROBE
        if device:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        made.bind((address, port))
        return made

    return space.run(make)


def passes(a: Namespace, source: str, b: Namespace, target: str, *, size: int = 100) -> bool:
    """Tell whether an IP packet of a size from ``a`` arrives in ``b`` within half a second."""
    headers = 48 if ":" in target else 28
    with udp(a, source) as sender, udp(b, target) as receiver:
        try:
            sender.sendto(bytes(size - headers), receiver.getsockname()[:2])
            return len(receiver.recv(65_536)) == size - headers
        except OSError:
            return False
