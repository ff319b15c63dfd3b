"""Measure how soon a path that drops large packets one way is used with smaller ones.

    python -m tests.bench.blackhole [--kind plain wireguard] [--trials 20] [--idle 20]

Two spokes (over WireGuard one) and a hub with real agents on two wans. A spoke sends the hub fifty
large packets a second, and a thousand small ones, which must not be fragmented. Then the port of
the wan in use begins to drop what is above a size, in that direction alone and without a word.
*Busy*: the time from then until the first datagram that the host could send, after ICMP told it the
smaller MTU, arrives at the other host. *Idle*: without any large packet, the time until the
tunnel's MTU is lowered. Told as well: how often user packets were moved to the other wan.
"""

import argparse
import contextlib
import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from tests.bench.gaps import WAN, Bench, bench, pause
from tests.bench.grey import Eye
from tests.control.agent.fleet import run, until
from tests.kernel import step_aside

PERIOD_S: Final = 0.02
LIMIT: Final = 1360
"""Bytes of an IP packet of the underlay that still pass."""
BARS_S: Final = {"busy": 2.0, "idle": 10.0}
IP_MTU_DISCOVER, PMTUDISC_DO, IP_MTU = 10, 2, 14
PATIENCE_S: Final = 30.0


class Hole:
    """Drops what is too large on its way from a spoke to the hub, on one wan."""

    def __init__(self, bridge: str, port: str) -> None:
        self._nft = ("ip", "netns", "exec", bridge, "nft")
        self._port = port

    @contextmanager
    def open(self, limit: int = LIMIT) -> Iterator[None]:
        """Drop for a while."""
        run(*self._nft, "add table bridge hole")
        run(*self._nft, "add chain bridge hole way { type filter hook forward priority 0 ; }")
        run(
            *self._nft,
            f'add rule bridge hole way iifname "{self._port}" meta length > {limit} drop',
        )
        try:
            yield
        finally:
            run(*self._nft, "delete", "table", "bridge", "hole")


class Large:
    """Datagrams as large as the host may send, fifty a second."""

    def __init__(self, found: Bench) -> None:
        oslo, hub = found.fleet["oslo"], found.fleet["hub"]
        self._sender, self._receiver = oslo.udp(), hub.udp(7301)
        self._sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
        self._sender.connect(self._receiver.getsockname())
        self._stop = threading.Event()
        self.came_s: list[float] = []
        self.sizes: list[int] = []
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._send, self._hear)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._stop.wait(PERIOD_S):
            mtu = self._sender.getsockopt(socket.IPPROTO_IP, IP_MTU)
            # Too large: ICMP has just said so, and the next one is smaller.
            with contextlib.suppress(OSError):
                self._sender.send(bytes(mtu - 28))

    def _hear(self) -> None:
        while not self._stop.is_set():
            if select.select([self._receiver], [], [], 0.1)[0]:
                self.sizes.append(len(self._receiver.recv(65_535)) + 28)
                self.came_s.append(time.monotonic())

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._sender.close()
        self._receiver.close()


class Trials:
    """Trials on one wan of a fleet."""

    def __init__(self, found: Bench) -> None:
        self.found = found
        self.hole = Hole(found.fleet.bridges[WAN], "to-oslo")
        self.moves = 0

    def ready(self) -> None:
        """Wait until the path takes full packets again, and the host has forgotten it did not."""
        self.found.settle()
        oslo = self.found.fleet["oslo"]
        # Another size of the interface begins the search anew, without ten minutes of waiting.
        for mtu in (1499, 1500):
            run("ip", "-n", oslo.router, "link", "set", WAN, "mtu", str(mtu))
            until(partial(self._takes, mtu))
        run("ip", "-n", oslo.host, "route", "flush", "cache")

    def _takes(self, mtu: int) -> bool:
        path_mtu: int = self.found.fleet["oslo"].tunnel(f"{WAN}>hub")["path_mtu"]
        return path_mtu == mtu

    def busy(self) -> float:
        """Return the seconds without a large datagram, under traffic."""
        self.ready()
        large, eye = Large(self.found), Eye(self.found.fleet["oslo"])
        try:
            until(lambda: len(large.came_s) > 5)
            pause(self.found.draw.random() * 0.2)
            with self.hole.open():
                began = time.monotonic()
                pause(0.05)
                usual = eye.rows()
                until(lambda: large.came_s[-1] > began + 0.05, PATIENCE_S)
                taken = large.came_s[-1] - began
                pause(0.5)
                self.moves += not eye.rows() <= usual
        finally:
            eye.close()
            large.close()
        return taken

    def idle(self) -> float:
        """Return the seconds until the tunnel's MTU is lower, without large packets."""
        self.ready()
        oslo = self.found.fleet["oslo"]
        pause(self.found.draw.random() * 5)
        with self.hole.open():
            began = time.monotonic()
            until(lambda: oslo.tunnel(f"{WAN}>hub")["path_mtu"] <= LIMIT, PATIENCE_S)
            return time.monotonic() - began


def told(what: str, taken: list[float], moves: int) -> str:
    """Return a line of percentiles."""
    times = np.sort(taken)
    p50, p95 = (times[int(np.ceil(len(times) * share)) - 1] for share in (0.5, 0.95))
    return (f"{what}: {len(times)} times, p50 {p50:.2f} s, p95 {p95:.2f} s, worst {times[-1]:.2f} s"
            f" (bar {BARS_S[what]:.0f} s), {moves} moved")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", nargs="+", default=["plain", "wireguard"])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--idle", type=int, default=20)
    given = parser.parse_args()
    step_aside()
    cache = Path(tempfile.gettempdir()) / "patronus-bench"
    for kind in given.kind:
        with bench(kind, cache) as found:
            for what, count in (("busy", given.trials), ("idle", given.idle)):
                trials = Trials(found)
                taken = [getattr(trials, what)() for _ in range(count)]
                if taken:
                    print(f"{kind}: {told(what, taken, trials.moves)}", flush=True)


if __name__ == "__main__":
    main()
