"""Run as a program: one site that takes part, announces, and prints what it knows.

The argument is JSON; each line printed is JSON too. It leaves on SIGTERM.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patronus.control.members.address import Address, address
from patronus.control.members.driver import Driver, Listeners, open_socket
from patronus.control.members.identity import public_key
from patronus.control.members.membership import Membership, Settings
from patronus.control.members.seeker import Places
from patronus.control.members.timing import Timing
from patronus.engine.announcement import encode
from patronus.engine.engine import Received
from patronus.engine.units import MS, SECOND
from tests.control.members.fleet import long

QUICK = Timing(
    keepalive_ns=200 * MS, stale_ns=3 * SECOND, retry_ns=100 * MS, retry_max_ns=SECOND,
    refresh_ns=2 * SECOND,
)  # fmt: skip
PERIOD_S = 0.2


class Program:
    """The site, and what it has seen."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.name: str = given["name"]
        self.learned: dict[str, list[int]] = {}
        """Origin: the number of the last announcement, and how many targets it has."""
        self.reports: list[str] = []
        settings = Settings(
            self.name, Path(given["folder"]), np.array([0]),
            pinned={name: public_key(text) for name, text in given["pinned"].items()},
            places=Places(tuple(address(*seed) for seed in given["seeds"])), timing=QUICK,
        )  # fmt: skip
        wall_ns = given.get("wall_ns", 0)
        membership = Membership(settings, wall_ns=wall_ns, report=self.reports.append)
        where = Address(*given["where"])
        listeners = Listeners(self._learn, lambda change: None)
        self.driver = Driver(membership, [open_socket(where)], listeners)
        self.public = membership.identity.public.text

    def _learn(self, received: Sequence[Received], now_ns: int) -> None:
        for _, told in received:
            encode(told)
            self.learned[told.origin] = [told.sent_ns if told.lan_up else 0, len(told.targets)]

    def status(self) -> str:
        roster = self.driver.roster
        known = {
            "live": roster.live(),
            "standing": {name: roster.standing(name).value for name in "abc"},
            "learned": self.learned,
            "refused": roster.refused,
            "unsent": self.driver.unsent,
            "reports": self.reports,
        }
        return json.dumps(known)

    async def run(self) -> None:
        """Take part until SIGTERM."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        taking_part = asyncio.ensure_future(self.driver.run(stop))
        version = 0
        while not taking_part.done():
            version += 1
            self.driver.announce(long(self.name, version, count=100 * (version % 2)))
            sys.stdout.write(self.status() + "\n")
            sys.stdout.flush()
            await asyncio.wait([taking_part], timeout=PERIOD_S)
        await taking_part
        sys.stdout.write(json.dumps({"gone": self.driver.roster.gone}) + "\n")


if __name__ == "__main__":
    program = Program(json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps({"public": program.public}) + "\n")
    sys.stdout.flush()
    asyncio.run(program.run())
