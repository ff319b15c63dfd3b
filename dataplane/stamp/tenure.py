"""Who does a job that only one process may do: the one that came last.

Probes must not pause while an agent restarts or a newer program takes over. So who probes outlives
its agent, and its successor makes everything ready before it asks the old one to go: between the
two lies a fraction of a millisecond. The lock is the kernel's (fcntl), so it tells who has it, and
goes with the process however that ends.
"""

import fcntl
import os
import signal
import struct
import time
from pathlib import Path
from typing import Final

from patronus.engine.units import SECOND

PATIENCE_NS: Final = SECOND
"""Who does not go when asked is made to."""
STEP_S: Final = 0.000_2
_FLOCK: Final = struct.Struct("@hhqqi4x")
"""struct flock: type, whence, start, length, process."""
_TEXT_MAX: Final = 4096


class Tenure:
    """The job is ours until it is closed, or the process ends."""

    def __init__(self, path: Path, made: str) -> None:
        """Take the job over.

        Args:
            path: of the lock; its folder is there.
            made: what we are, for whoever asks (:func:`holder`).

        Raises:
            OSError: the file cannot be written.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until_ns = time.monotonic_ns() + PATIENCE_NS
        asked = 0
        while not _locked(self._descriptor):
            found = _owner(self._descriptor)
            if found and (found != asked or time.monotonic_ns() > until_ns):
                _tell(found, signal.SIGTERM if found != asked else signal.SIGKILL)
                asked = found
            time.sleep(STEP_S)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, made.encode(), 0)

    def close(self) -> None:
        """Give the job up."""
        os.close(self._descriptor)


def holder(path: Path) -> tuple[int, str] | None:
    """Return the process that has the job, and what it is; None: nobody.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = _owner(descriptor)
        return (found, os.pread(descriptor, _TEXT_MAX, 0).decode()) if found else None
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows for either
        return False
    return True


def _owner(descriptor: int) -> int:
    """Return the process that has the lock, 0 for none."""
    question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    return 0 if kind == fcntl.F_UNLCK else int(process)


def _tell(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
