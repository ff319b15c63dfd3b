"""One agent in a network namespace, and one on a state folder.

The first is an abstract socket, which belongs to the namespace and goes with the process
however it ends; the second a lock on a file. Neither leaves anything to clean up.
"""

import errno
import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Final, Self

NAME: Final = "\0patronus-agent"
LOCK_FILE: Final = "agent.lock"


class Taken(Exception):
    """Another agent runs; the message says where."""


class Lock:
    """Held until it is closed, or the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take both locks.

        Raises:
            Taken: another agent has one of them.
            OSError: the folder cannot be written to.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.bind(NAME)
            self._file = _lock(folder)
        except OSError as error:
            self._socket.close()
            if error.errno == errno.EADDRINUSE:
                raise Taken("another agent runs in this network namespace") from None
            raise
        except Taken:
            self._socket.close()
            raise

    def close(self) -> None:
        """Let others run."""
        self._socket.close()
        os.close(self._file)

    def __enter__(self) -> Self:
        """Return the lock itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others run."""
        self.close()


def _lock(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise Taken(f"another agent uses {folder}") from None
    return file
