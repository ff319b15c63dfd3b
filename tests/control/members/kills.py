"""Run as a program: kill a writer at each of its steps, and say what a reader finds after that.

Each line is ``step what``, where ``what`` is ``old``, ``new``, ``both`` or the error. A step
is a call of any function written in C: opening, writing, syncing, renaming, ...
"""

import os
import signal
import sys
from pathlib import Path

from patronus.control.members.secretfile import SecretError, keep, reveal

OLD, NEW = b"old" * 1000, b"new" * 2000


def killed_at(step: int, path: Path, *, replace: bool) -> bool:
    """Write in a child that is killed before its nth call; return False if it got to its end."""
    child = os.fork()
    if child == 0:
        count = 0

        def count_down(_frame: object, event: str, _what: object) -> None:
            nonlocal count
            count += event == "c_call"
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count_down)
        try:
            keep(path, NEW, replace=replace)
        finally:
            sys.setprofile(None)
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def found(path: Path) -> str:
    try:
        data = reveal(path, bytes_max=10_000)
    except FileNotFoundError:
        return "none"
    except SecretError as error:
        return str(error)
    return {OLD: "old", NEW: "new"}.get(data, "mixed")


def main(folder: Path) -> None:
    """Kill at every step, replacing a file and making a first one."""
    for replace in (True, False):
        step = 0
        killed = True
        while killed:
            step += 1
            path = folder / f"{replace}-{step}" / "secret"
            if replace:
                keep(path, OLD)
            killed = killed_at(step, path, replace=replace)
            first = found(path)
            # The next writer must get through whatever was left behind.
            keep(path, NEW)
            left = sorted(p.name for p in path.parent.iterdir())
            sys.stdout.write(" ".join([str(replace), first, found(path), *left]) + "\n")
            sys.stdout.flush()  # or the next child would write it again


if __name__ == "__main__":
    main(Path(sys.argv[1]))
