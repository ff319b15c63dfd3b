"""The driver: sockets, clocks and files, without a decision of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patronus.control.members import driver as module
from patronus.control.members.actions import Change
from patronus.control.members.address import Address
from patronus.control.members.driver import Driver, Listeners, open_socket
from patronus.control.members.identity import load_or_make
from patronus.control.members.membership import IDENTITY_FILE, MEMORY_FILE, Membership, Settings
from patronus.control.members.reason import Reason
from patronus.control.members.seeker import Places
from patronus.control.members.standing import Standing
from patronus.control.members.store import load
from patronus.engine.announcement import Announcement
from patronus.engine.engine import Received
from patronus.engine.units import NEVER
from tests.control.members.fleet import WALL_NS, announcement
from tests.control.members.program import QUICK

PATIENCE_S = 20


class Site:
    """One driver on an address of the loopback."""

    def __init__(self, name: str, folder: Path, *, host: str, seed: Address | None) -> None:
        self.folder = folder / name
        pinned = {n: load_or_make(folder / n / IDENTITY_FILE).public for n in ("a", "b")}
        seeds = () if seed is None else (seed,)
        settings = Settings(
            name, self.folder, np.array([3]), pinned=pinned, places=Places(seeds), timing=QUICK
        )
        self.told: list[str] = []
        self.learned: list[Announcement] = []
        self.changes: list[Change] = []
        self.membership = Membership(settings, wall_ns=WALL_NS, report=self.told.append)
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                                    socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)  # fmt: skip
        self.socket.bind((host, 0))
        self.where = Address(*self.socket.getsockname()[:2])
        listeners = Listeners(self._learn, self._change)
        self.driver = Driver(self.membership, [self.socket], listeners)

    def _learn(self, received: Sequence[Received], now_ns: int) -> None:
        for here, told in received:
            assert here.tolist() == [3]
            assert now_ns > 0
            self.learned.append(told)

    def _change(self, change: Change) -> None:
        self.changes.append(change)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, while the drivers go on."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # drivers have no event for everything they count
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), timeout=0.01)


@asynccontextmanager
async def running(*sites: Site) -> AsyncIterator[asyncio.Event]:
    """Run some drivers until the event is set."""
    stop = asyncio.Event()
    async with asyncio.timeout(2 * PATIENCE_S), asyncio.TaskGroup() as group:
        for site in sites:
            group.create_task(site.driver.run(stop))
        yield stop
        stop.set()


def obstruct(file: Path) -> None:
    """Put a folder in place of a file that somebody else may be writing just now."""
    while not file.is_dir():
        file.unlink(missing_ok=True)
        with suppress(FileExistsError):
            file.mkdir()


def in_time(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(what)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_two_sites_meet_and_part(tmp_path: Path, host: str) -> None:
    """Over real sockets two sites meet, learn, and say farewell; both files are written."""

    async def scene() -> None:
        a = Site("a", tmp_path, host=host, seed=None)
        b = Site("b", tmp_path, host=host, seed=a.where)
        async with running(a, b):
            await until(lambda: a.driver.roster.live() == ["b"])
            await until(lambda: b.driver.roster.live() == ["a"])
            assert b.driver.announce(announcement("b", 1))
            await until(lambda: len(a.learned) == 1)
            assert a.learned[0].origin == "b"
        assert a.driver.roster.gone
        assert b.driver.roster.gone
        assert [(c.name, c.after) for c in a.changes] == [("b", Standing.LIVE)]
        assert load(b.folder / MEMORY_FILE, pytest.fail).addresses == {"a": a.where}
        assert (a.told, b.told) == ([], [])

    in_time(scene())


def test_what_cannot_be_sent_is_counted(tmp_path: Path) -> None:
    """A seed of the other family, or one that no route leads to, costs a count."""

    async def scene() -> None:
        a = Site("a", tmp_path, host="127.0.0.1", seed=Address("::1", 9))
        b = Site("b", tmp_path, host="127.0.0.1", seed=Address("192.0.2.1", 9))
        async with running(a, b):
            await until(lambda: bool(a.driver.unsent and b.driver.unsent))
        assert a.driver.unsent["family"] > 0
        assert sum(b.driver.unsent.values()) > 0
        assert "family" not in b.driver.unsent

    in_time(scene())


def test_rubbish_is_counted(tmp_path: Path) -> None:
    """Datagrams of all lengths, the longest included, cost a count each."""

    async def scene() -> None:
        a = Site("a", tmp_path, host="127.0.0.1", seed=None)
        async with running(a):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for size in (0, 1, 1232, 1233, 60_000):
                    sender.sendto(bytes(size), tuple(a.where))
            refused = a.driver.roster.refused
            await until(lambda: sum(refused.values()) >= 5)
        assert refused == {Reason.TRUNCATED: 2, Reason.NOT_OURS: 1, Reason.OVERSIZED: 2}

    in_time(scene())


def test_a_disk_that_refuses_costs_messages(tmp_path: Path) -> None:
    """Without a file to write to a site takes part all the same, and says so."""

    async def scene() -> None:
        a = Site("a", tmp_path, host="127.0.0.1", seed=None)
        b = Site("b", tmp_path, host="127.0.0.1", seed=a.where)
        (a.folder / MEMORY_FILE).mkdir()
        async with running(a, b):
            await until(lambda: a.driver.roster.live() == ["b"])
        assert len(a.told) >= 2
        assert all("cannot write" in message for message in a.told)

    in_time(scene())


def test_changes_are_written_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is killed has kept where the others are; the loop does not wait for the disk."""
    monkeypatch.setattr(module, "SAVE_NS", 0)

    async def scene() -> None:
        a = Site("a", tmp_path, host="127.0.0.1", seed=None)
        b = Site("b", tmp_path, host="127.0.0.1", seed=a.where)
        async with running(a, b):
            await until(lambda: b.driver.roster.live() == ["a"])
            kept = {"a": a.where}
            await until(lambda: load(b.folder / MEMORY_FILE, b.told.append).addresses == kept)

    in_time(scene())


def test_a_disk_that_fills_while_it_runs_costs_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails later is reported, and tried again only after a while."""
    monkeypatch.setattr(module, "SAVE_NS", 0)

    async def scene() -> None:
        a = Site("a", tmp_path, host="127.0.0.1", seed=None)
        b = Site("b", tmp_path, host="127.0.0.1", seed=a.where)
        async with running(b):
            await until(lambda: b.driver.roster.next_deadline() < NEVER)
            obstruct(b.folder / MEMORY_FILE)
            async with running(a):
                await until(lambda: len(b.told) >= 1)
                await until(lambda: b.driver.roster.live() == ["a"])
        assert "the next start will know less" in b.told[0]

    in_time(scene())


def test_a_taken_address_is_an_error_of_the_caller() -> None:
    """Opening says why it fails, and leaves no socket behind."""
    first = open_socket(Address("127.0.0.1", 0))
    try:
        with pytest.raises(OSError, match="in use"):
            open_socket(Address("127.0.0.1", first.getsockname()[1]))
        with open_socket(Address("::1", 0)) as other:
            assert other.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    finally:
        first.close()
