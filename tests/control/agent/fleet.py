"""Three sites in namespaces, two spokes and a hub, each with an agent of its own as a process.

Two wans are bridges in namespaces of their own. Spokes reach each other through the hub alone.
"""

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pyroute2 import netns as namespaces

from patronus.control.members.identity import load_or_make
from tests.rules.tree import ROOT

PREFIX = "ag-"
SITES = ("hub", "oslo", "rome")
WANS = ("blue", "red")
PATIENCE_S = 30.0


def run(*words: str, check: bool = True) -> str:
    """Run a command; its complaint is the failure's."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def until(holds: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """Return what a question answers once it is not false; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < deadline, "it did not come to hold in time"
        select.select([], [], [], 0.02)
    return answer


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a namespace: sockets made here stay there."""
    namespaces.pushns(namespace)
    try:
        yield
    finally:
        namespaces.popns()


class Site:
    """A router, its host, and its agent."""

    def __init__(self, fleet: "Fleet", name: str, number: int) -> None:
        self.name, self.number = name, number
        self.folder = fleet.folder / name
        self.router, self.host = f"{PREFIX}{fleet.tag}{name}", f"{PREFIX}{fleet.tag}{name}-h"
        self.site = f"{PREFIX}{fleet.tag}{name}"
        self.lan = f"10.{number}.0"
        self.identity = load_or_make(self.folder / "identity.pem")
        self.config = self.folder / "agent.yml"
        self.process: subprocess.Popen[bytes] | None = None
        self._fleet = fleet
        self.starts_s = 0.0

    @property
    def pins(self) -> str:
        return f"patronus-{self.site}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def build(self) -> None:
        for namespace in (self.router, self.host):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
            run("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.lay()

    def lay(self) -> None:
        """Lay the cable of the LAN."""
        run("ip", "-n", self.router, "link", "add", "lan", "type", "veth",
            "peer", "name", "eth", "netns", self.host)  # fmt: skip
        for namespace, device, last in ((self.router, "lan", 1), (self.host, "eth", 2)):
            run("ip", "-n", namespace, "addr", "add", f"{self.lan}.{last}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", self.host, "route", "add", "default", "via", f"{self.lan}.1")

    def wan(self, name: str) -> str:
        """Return our address on a wan."""
        return f"192.0.{WANS.index(name) + 2}.{self.number}"

    def plug(self, bridge: str, name: str) -> None:
        run("ip", "-n", bridge, "link", "add", f"to-{self.name}", "type", "veth",
            "peer", "name", name, "netns", self.router)  # fmt: skip
        run("ip", "-n", bridge, "link", "set", f"to-{self.name}", "master", "bridge", "up")
        run("ip", "-n", self.router, "addr", "add", f"{self.wan(name)}/24", "dev", name)
        run("ip", "-n", self.router, "link", "set", name, "up")

    def write(self, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Write the configuration, changed or not."""
        text = self._fleet.text(self)
        if change is not None:
            change(text)
        self.config.write_text(json.dumps(text))  # JSON is YAML

    def start(self) -> None:
        """Start the agent; it forwards when this returns."""
        before = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.words("run", "--cache", str(self._fleet.cache)),
                                            cwd=ROOT, stdout=log, stderr=log)  # fmt: skip
        until(self.answers)
        self.starts_s = time.monotonic() - before

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return (self.folder / "run" / "agent.sock").exists() and self.ask(
            "show", "health"
        ) is not None

    def words(self, *command: str) -> list[str]:
        # `ip netns exec` would mount another /sys, without the BPF file system.
        there = ["nsenter", f"--net=/run/netns/{self.router}", sys.executable, "-m", "patronus"]
        return [*there, "agent", *command, "--config", str(self.config)]

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command about this agent."""
        return subprocess.run(self.words(*command), cwd=ROOT, capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)  # fmt: skip

    def ask(self, do: str, what: str = "", **more: Any) -> Any:
        """Ask over the socket; None while nobody answers."""
        from patronus.control.agent.control import NotRunning, ask

        try:
            return ask(self.folder / "run", {"do": do, "what": what, **more}, seconds=5)
        except NotRunning:
            return None

    def show(self, what: str) -> Any:
        """Return what is shown, waiting for an agent that begins anew."""
        return until(lambda: self.ask("show", what))

    def tunnel(self, name: str) -> dict[str, Any]:
        """Return how one tunnel is: ``transport>peer``, peers by their short names."""
        transport, peer = name.split(">")
        health = self.show("health")
        found: dict[str, Any]
        (found,) = [
            t
            for t in health["tunnels"]
            if (t["transport"], t["peer"]) == (transport, f"{PREFIX}{self._fleet.tag}{peer}")
        ]
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the agent."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def udp(self, port: int = 0) -> socket.socket:
        """Return a socket of the host."""
        with inside(self.host):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((f"{self.lan}.2", port))
        return made


class Fleet:
    """All of them."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        tag: str,
        kind: str = "plain",
        names: tuple[str, ...] = SITES,
    ) -> None:
        self.folder, self.cache, self.tag, self.kind = folder, cache, tag, kind
        self.sites = {name: Site(self, name, n) for n, name in enumerate(names, start=1)}
        self.bridges = {name: f"{PREFIX}{tag}{name}" for name in WANS}

    def __getitem__(self, name: str) -> Site:
        return self.sites[name]

    def build(self) -> None:
        for bridge in self.bridges.values():
            run("ip", "netns", "add", bridge)
            run("ip", "-n", bridge, "link", "add", "bridge", "type", "bridge")
            run("ip", "-n", bridge, "link", "set", "bridge", "up")
        for site in self.sites.values():
            site.build()
            for name, bridge in self.bridges.items():
                site.plug(bridge, name)
            site.write()

    def text(self, site: Site) -> dict[str, Any]:
        """Return the configuration of a site."""
        hub = site.name == "hub"
        peers = {}
        for other in self.sites.values():
            if other is site:
                continue
            direct = hub or other.name == "hub"
            peers[other.site] = {
                "key": other.identity.public.text,
                "role": "hub" if other.name == "hub" else "spoke",
                "endpoints": {name: other.wan(name) for name in WANS} if direct else {},
                "prefixes": f"{other.lan}.0/24",
            }
        ports = {"blue": 4789, "red": 4789 if self.kind == "plain" else 4790}
        return {
            "version": 1, "site": site.site, "role": "hub" if hub else "spoke",
            "identity": "identity.pem", "state": "state", "run": "run",
            "transports": {
                name: {"interface": name, "address": site.wan(name), "kind": self.kind,
                       "port": ports[name], "liveness": "fabric", "cost": 10 * number}
                for number, name in enumerate(WANS)
            },
            "lan": {"interfaces": "lan", "prefixes": f"{site.lan}.0/24"},
            "peers": peers,
            "policy": {"damping": {"hold": "500ms"}},
            "metrics": {"port": 9464},
        }  # fmt: skip

    def start(self) -> None:
        """Start all agents, and wait until everybody is reached."""
        for site in self.sites.values():
            site.start()
        self.wait()

    def wait(self, seconds: float = PATIENCE_S) -> None:
        """Wait until every tunnel is up and every destination has a path."""
        until(lambda: all(t["state"] == "up" for t in self._of_all("health", "tunnels")), seconds)
        until(lambda: all(path["path"] for path in self._of_all("paths")), seconds)

    def _of_all(self, what: str, key: str = "") -> list[dict[str, Any]]:
        shown = (site.show(what) for site in self.sites.values())
        return [each for answer in shown for each in (answer[key] if key else answer)]

    def cut(self, site: str, wan: str, *, on: bool = True) -> None:
        """Let nothing pass between a site and a wan, with its interface up."""
        words = ("nomaster",) if on else ("master", "bridge")
        run("ip", "-n", self.bridges[wan], "link", "set", f"to-{site}", *words)

    def close(self) -> None:
        """Leave nothing behind."""
        for site in self.sites.values():
            if site.process is not None:
                site.process.send_signal(signal.SIGCONT)
                site.process.kill()
                site.process.wait(PATIENCE_S)
        for site in self.sites.values():
            if self.kind == "wireguard":
                site.call("clean")
            for namespace in (site.router, site.host):
                run("ip", "netns", "del", namespace, check=False)
            run("rm", "-rf", f"/sys/fs/bpf/{site.pins}", check=False)
        for bridge in self.bridges.values():
            run("ip", "netns", "del", bridge, check=False)


@contextlib.contextmanager
def running(folder: Path, cache: Path, change: Callable[[dict[str, Any]], None]) -> Iterator[Fleet]:
    """Yield a spoke and its hub whose agents run, under a changed configuration."""
    fleet = Fleet(folder, cache, unique(), names=("hub", "oslo"))
    try:
        fleet.build()
        for site in fleet.sites.values():
            site.write(change)
        fleet.start()
        yield fleet
    finally:
        fleet.close()


@dataclass
class Stream:
    """A stream of numbered datagrams from one host to another, a thousand a second."""

    sender: socket.socket
    receiver: socket.socket
    sent: int = 0
    came: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._send, self._hear)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        to, due = self.receiver.getsockname(), time.monotonic()
        for number in itertools.count():
            if self._stop.is_set():
                return
            with contextlib.suppress(OSError):
                self.sender.sendto(number.to_bytes(4, "big"), to)
            self.sent = number + 1
            due += 0.001
            self._stop.wait(max(due - time.monotonic(), 0))

    def _hear(self) -> None:
        while True:
            ready, _, _ = select.select([self.receiver], [], [], 0.5)
            if not ready:
                if self._stop.is_set():
                    return
                continue
            data = self.receiver.recv(100)
            self.came.append((time.monotonic(), int.from_bytes(data, "big")))

    def for_s(self, seconds: float) -> None:
        """Let it flow."""
        self._stop.wait(seconds)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self.sender.close()
        self.receiver.close()

    @property
    def lost(self) -> int:
        """Datagrams that did not come."""
        return self.sent - len({number for _, number in self.came})

    @property
    def gap_ms(self) -> float:
        """The longest time between two that came."""
        times = np.array([at for at, _ in self.came])
        return float(np.diff(times).max(initial=0) * 1000)


def stream(one: Site, other: Site, port: int = 7000) -> Stream:
    """Start a stream."""
    return Stream(one.udp(), other.udp(port))


def unique() -> str:
    """Return what sets names apart from those of other runs, three characters."""
    return f"{os.getpid() % 46656:x}"[-3:]
