"""The process that probes for the agent: found, or started, and started again when it ends.

It outlives us, so one that serves another memory or was made of other sources is replaced by its
successor, which makes itself ready first. That it ends is noticed at once (a descriptor of the
process becomes readable), not by looking now and then.
"""

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

from patronus.dataplane.stamp.tenure import holder
from patronus.engine.units import MS, SECOND

WAIT_S: Final = 10.0
"""For it to take the job over; it takes some 0.3 s on an idle machine."""
STEP_S: Final = 0.005
PAUSE_NS: Final = 200 * MS
"""Between two starts, should each end at once."""
SOURCES: Final = ("dataplane/nexthops", "dataplane/stamp", "dataplane/linux", "dataplane")


class NoProber(Exception):
    """It cannot be had; the message says why."""


class Prober:
    """Keeps one process at work."""

    def __init__(self, module: str, words: Sequence[str], *, lock: Path, log: Path) -> None:
        """Name it; nothing is done yet.

        Args:
            module: that is run.
            words: its arguments but for lock and name.
            lock: held by the one who has the job.
            log: its complaints go there.
        """
        self._module, self._words, self._lock, self._log = module, list(words), lock, log
        self._made = _made(module, self._words)
        self._watched: tuple[int, int] | None = None
        """Process, and a descriptor of it."""
        self._started_ns = 0
        self._child: subprocess.Popen[bytes] | None = None
        self.rebuilt = 0
        """How often it had to be started anew."""
        self.adopted = False
        """Whether it was found at work."""
        self.trouble = ""

    def start(self) -> None:
        """Let the right one have the job.

        Raises:
            NoProber: it does not take it.
        """
        self.adopted = self._right()
        if not self.adopted:
            self._spawn()
            self._await()
        self._watch()

    def ensure(self) -> int:
        """Start it anew if it is gone; return how often that was needed."""
        if self._right():
            self.trouble = ""
            self._watch()
            return 0
        if time.monotonic_ns() < self._started_ns + PAUSE_NS or self._running():
            return 0
        self.rebuilt += 1
        self._spawn()
        return 1

    def _running(self) -> bool:
        """Tell whether one that we started is making itself ready."""
        if self._child is None or self._child.poll() is None:
            return self._child is not None
        self.trouble = f"the prober ended with {self._child.returncode}: {self._said()}"
        return False

    def _right(self) -> bool:
        found = holder(self._lock)
        return found is not None and found[1] == self._made

    def _spawn(self) -> None:
        self._started_ns = time.monotonic_ns()
        command = [sys.executable, "-m", self._module, *self._words]
        command += ["--lock", str(self._lock), "--made", self._made]
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _await(self) -> None:
        until_ns = time.monotonic_ns() + int(WAIT_S * SECOND)
        while not self._right():
            if not self._running():
                raise NoProber(self.trouble)
            if time.monotonic_ns() > until_ns:
                raise NoProber(f"the prober does not begin: {self._said()}")
            time.sleep(STEP_S)

    def _said(self) -> str:
        with suppress(OSError):
            return self._log.read_text(errors="replace").strip() or "nothing"
        return "nothing"

    @property
    def complaint(self) -> str:
        """What it cannot have, such as SCHED_FIFO; empty: it has everything."""
        said = self._said()
        return "" if said == "nothing" else said

    # Noticing its end

    def _watch(self) -> None:
        found = holder(self._lock)
        if found is None or (self._watched and self._watched[0] == found[0]):
            return
        self._forget()
        with suppress(OSError):
            descriptor = os.pidfd_open(found[0])
            self._watched = found[0], descriptor
            self._loop(lambda loop: loop.add_reader(descriptor, self._ended))

    def _ended(self) -> None:
        self._forget()
        self.ensure()

    def _forget(self) -> None:
        if self._watched is not None:
            descriptor = self._watched[1]
            self._loop(lambda loop: loop.remove_reader(descriptor))
            os.close(descriptor)
            self._watched = None

    def _loop(self, do: Callable[[asyncio.AbstractEventLoop], object]) -> None:
        with suppress(RuntimeError):  # without a loop it is looked at now and then
            do(asyncio.get_running_loop())

    def close(self) -> None:
        """Let go; it goes on."""
        self._forget()


def _made(module: str, words: Sequence[str]) -> str:
    """Return a name for what is run: its sources and its arguments."""
    digest = hashlib.sha256("\0".join([module, *words]).encode())
    for text in _sources():
        digest.update(text)
    return digest.hexdigest()


def _sources() -> Iterator[bytes]:
    root = Path(str(files("patronus")))
    for folder in SOURCES:
        for path in sorted((root / folder).glob("*.py")):
            yield path.read_bytes()
