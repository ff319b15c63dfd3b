"""Programs that run in a namespace as long as a test needs them, ended by their process id."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(namespace: str, command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a namespace; it is stopped afterwards, kindly at first."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
