"""The memory that the agent shares with the prober, in a file: what maps of BPF are elsewhere.

It holds the same arrays under the same names, so that whoever reads stamps, entries and samples
need not know which of the two it stands on. It outlives agent and prober, and goes with a reboot
if its folder does.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import records
from patronus.dataplane.linux.loader import initialise
from patronus.dataplane.linux.pins import ARRAYS, Sizes
from patronus.engine.units import MS

PATIENCE_NS: Final = 50 * MS
"""Who holds the lock for longer was stopped with it; then it goes without."""
STEP_S: Final = 0.000_1


class Memory:
    """Tunnels, entries, samples, schedule and counters of one site."""

    def __init__(self, path: Path, sizes: Sizes) -> None:
        """Map the file, made anew where it is not there or was made otherwise.

        Raises:
            OSError: it cannot be made.
        """
        self.path = path
        self._counts = {name: _count(sizes, name) for name in ARRAYS}
        self.kept = self._fits()
        fresh = path if self.kept else path.with_suffix(".fresh")
        self._descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.truncate(self._descriptor, self._bytes())
        self._arrays = dict(self._mapped(mmap.mmap(self._descriptor, self._bytes())))
        if not self.kept:
            for array in self._arrays.values():
                array.view(np.uint8)[:] = 0
            initialise(self, sizes)
            fresh.replace(path)

    def _bytes(self) -> int:
        return sum(_paged(ARRAYS[name].itemsize * n) for name, n in self._counts.items())

    def _mapped(self, memory: mmap.mmap) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        at = 0
        for name, count in self._counts.items():
            yield name, np.frombuffer(memory, dtype=ARRAYS[name], count=count, offset=at)
            at += _paged(ARRAYS[name].itemsize * count)

    def _fits(self) -> bool:
        """Tell whether the file has this layout and these sizes; settings come first in it."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != self._bytes():
                    return False
                head = np.frombuffer(file.read(records.SETTINGS.itemsize), dtype=records.SETTINGS)
        except OSError:
            return False
        sizes = len(head) and (int(head["rows"][0]), int(head["entries"][0]))
        return bool(
            sizes == (self._counts["tunnels"], self._counts["used"])
            and int(head["layout"][0]) == records.LAYOUT
        )

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return an array; stores are seen by whoever else has mapped the file."""
        return self._arrays[name]

    @property
    def tunnels(self) -> npt.NDArray[Any]:
        """The records of tunnels."""
        return self._arrays["tunnels"]

    @property
    def schedule(self) -> npt.NDArray[Any]:
        """When each tunnel is probed."""
        return self._arrays["schedule"]

    @property
    def pacing(self) -> npt.NDArray[Any]:
        """What came of it."""
        return self._arrays["pacing"]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else with this lock switch meanwhile; for fractions of a millisecond."""
        held = self._take()
        try:
            yield
        finally:
            if held:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _take(self) -> bool:
        until_ns = time.monotonic_ns() + PATIENCE_NS
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic_ns() > until_ns:
                    return False
                time.sleep(STEP_S)
            else:
                return True

    def close(self) -> None:
        """Let go; arrays that are still in use keep their memory."""
        self._arrays.clear()
        os.close(self._descriptor)


def _count(sizes: Sizes, name: str) -> int:
    if name == "counters":
        return sizes.counter_stride  # one writer, so one processor's share
    return sizes.entries_of(name) or 1


def _paged(octets: int) -> int:
    return -(-octets // mmap.PAGESIZE) * mmap.PAGESIZE


assert next(iter(ARRAYS)) == "settings"
