"""Three sites in three namespaces, joined through one seed, with real datagrams."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from patronus.control.members.identity import load_or_make
from patronus.control.members.membership import IDENTITY_FILE
from tests.rules.tree import ROOT

pytestmark = pytest.mark.root

PREFIX = "mb-"
SITES = ("a", "b", "c")
PORT = 5999
PATIENCE_S = 30
"""Far beyond what anything here takes on an idle machine."""

Status = dict[str, Any]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=PATIENCE_S)


@pytest.fixture
def network() -> Iterator[None]:
    """Make a bridge in a namespace of its own, and three namespaces at it."""
    names = [PREFIX + name for name in ("net", *SITES)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("-n", names[0], "link", "add", "bridge", "type", "bridge")
        ip("-n", names[0], "link", "set", "bridge", "up")
        ip("-n", names[0], "addr", "add", "10.77.0.9/24", "dev", "bridge")
        ip("-n", names[0], "addr", "add", "fd77::9/64", "dev", "bridge", "nodad")
        for number, name in enumerate(SITES, start=1):
            _attach(names[0], PREFIX + name, number)
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _attach(hub: str, name: str, number: int) -> None:
    ip("-n", hub, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "wan", "netns", name)
    ip("-n", hub, "link", "set", f"to-{name}", "master", "bridge", "up")
    ip("-n", name, "link", "set", "lo", "up")
    ip("-n", name, "link", "set", "wan", "up")
    ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "wan")
    ip("-n", name, "addr", "add", f"fd77::{number}/64", "dev", "wan", "nodad")


class Site:
    """One process that takes part."""

    def __init__(self, name: str, given: Status) -> None:
        self._lines = b""
        self.process = subprocess.Popen(
            [
                "ip", "netns", "exec", PREFIX + name, sys.executable, "-m",
                "tests.control.members.program", json.dumps(given),
            ],
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip

    def until(self, holds: Callable[[Status], bool]) -> Status:
        """Return the first status that is as it should be; what is printed last else."""
        assert self.process.stdout is not None
        end_s = time.monotonic() + PATIENCE_S
        last: Status = {}
        while (left_s := end_s - time.monotonic()) > 0:
            while b"\n" in self._lines:
                line, _, self._lines = self._lines.partition(b"\n")
                last = json.loads(line)
                if holds(last):
                    return last
            ready, _, _ = select.select([self.process.stdout], [], [], left_s)
            more = os.read(self.process.stdout.fileno(), 65_536) if ready else b""
            if not more:
                break
            self._lines += more
        pytest.fail(f"not as it should be: {last}")

    def end(self) -> None:
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


class Fleet:
    """The three sites, over one version of IP."""

    def __init__(self, folder: Path, network: str) -> None:
        self._folder, self.network = folder, network
        identities = {n: load_or_make(folder / n / IDENTITY_FILE) for n in SITES}
        self._pinned = {name: mine.public.text for name, mine in identities.items()}
        self.sites: dict[str, Site] = {}

    def where(self, name: str) -> tuple[str, int]:
        return f"{self.network}{SITES.index(name) + 1}", PORT

    def start(self, name: str) -> Site:
        given = {
            "name": name,
            "folder": str(self._folder / name),
            "pinned": self._pinned,
            "seeds": [] if name == "a" else [self.where("a")],
            "where": self.where(name),
        }
        self.sites[name] = Site(name, given)
        return self.sites[name]


@pytest.fixture(params=["10.77.0.", "fd77::"], ids=["IPv4", "IPv6"])
def fleet(network: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    made = Fleet(tmp_path, request.param)
    try:
        yield made
    finally:
        for site in made.sites.values():
            site.end()


def knows(*others: str, at_least: int = 1) -> Callable[[Status], bool]:
    """Tell whether just these are live, and both short and long announcements came of each."""
    return lambda s: (
        s.get("live") == sorted(others)
        and all(s["learned"].get(other, [0, 0])[0] > at_least for other in others)
    )


FORGE = """
import random, socket, sys
family, host, port = sys.argv[1:]
sender = socket.socket(int(family), socket.SOCK_DGRAM)
luck = random.Random(1)
from patronus.control.members.envelope import Envelope, Kind, seal
from patronus.control.members.messages import Ack, Join
from tests.control.members.fleet import identity
thief = identity("thief")
def forged(name, kind, body):
    e = Envelope(kind, name, thief.public.id, 2**62, 5, echo=0, body=body)
    return seal(e, thief)
for data in [
    *(forged("b", Kind.JOIN, Join("", None).encode()) for _ in range(5)),
    *(forged("a", Kind.LEAVE, b"") for _ in range(4)),
    *(forged("mallory", Kind.ACK, Ack(0, 0).encode()) for _ in range(3)),
    b"", b"PM", b"x" * 2000, b"PM\\1\\1" + bytes(500), luck.randbytes(1232),
]:
    sender.sendto(data, (host, int(port)))
"""


def forge(fleet: Fleet) -> None:
    """Send datagrams that nobody must believe to the seed, from outside."""
    family = "10" if ":" in fleet.network else "2"
    host, port = fleet.where("a")
    subprocess.run(
        ["ip", "netns", "exec", PREFIX + "net", sys.executable, "-c", FORGE, family, host,
         str(port)],
        cwd=ROOT, check=True, timeout=PATIENCE_S,
    )  # fmt: skip


FORGED = {
    "wrong-key": 5, "own-name": 4, "not-enrolled": 3,
    "truncated": 2, "oversized": 1, "name": 1, "not-ours": 1,
}  # fmt: skip


def test_sites_join_die_return_and_leave(fleet: Fleet) -> None:
    """Joined through one seed; the killed is stale, the leaver gone at once, forgeries counted."""
    a, b, c = (fleet.start(name) for name in SITES)
    for name, site in (("a", a), ("b", b), ("c", c)):
        site.until(knows(*(set(SITES) - {name}), at_least=2))

    forge(fleet)
    a.until(lambda s: all(s["refused"].get(r, 0) >= n for r, n in FORGED.items()))
    a.until(knows("b", "c"))

    c.process.kill()
    for site in (a, b):
        stale = site.until(lambda s: s["standing"]["c"] == "stale")
        assert stale["learned"]["c"][0] > 0, "silence is no withdrawal"
    c.end()
    before = a.until(knows("b"))["learned"]["c"][0]
    assert before > 0
    c = fleet.start("c")
    c.until(knows("a", "b"))
    for site in (a, b):
        site.until(lambda s: s["live"].count("c") == 1 and s["learned"]["c"][0] > 0)

    b.process.send_signal(signal.SIGTERM)
    b.until(lambda s: s.get("gone") is True)
    assert b.process.wait(PATIENCE_S) == 0
    for site in (a, c):
        left = site.until(lambda s: s["standing"]["b"] == "left")
        assert left["learned"]["b"] == [0, 0], "a farewell withdraws"
    final = a.until(knows("c"))
    assert (final["unsent"], final["reports"]) == ({}, [])


def test_a_narrow_link_carries_announcements(fleet: Fleet) -> None:
    """A link as narrow as each version of IP may have it carries long announcements."""
    mtu = "1280" if ":" in fleet.network else "576"
    ip("-n", PREFIX + "b", "link", "set", "wan", "mtu", mtu)
    ip("-n", PREFIX + "net", "link", "set", f"to-{PREFIX}b", "mtu", mtu)
    a, b = fleet.start("a"), fleet.start("b")
    a.until(lambda s: s.get("learned", {}).get("b", [0, 0])[1] == 100)
    b.until(lambda s: s.get("learned", {}).get("a", [0, 0])[1] == 100)
