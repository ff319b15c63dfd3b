"""A network stack of its own for each process that runs tests.

There is one kernel, and names of devices, network namespaces and pins are taken once at a time. In
a mount and a network namespace of its own each process of a run has all names for itself, touches
nothing of the machine's, and leaves nothing behind, however it ends.
"""

import ctypes
import os
import subprocess
from pathlib import Path

# linux/sched.h and linux/mount.h
CLONE_NEWNS, CLONE_NEWNET = 0x0002_0000, 0x4000_0000
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(kind: str, where: str) -> None:
    """Put an empty file system over a folder."""
    _call("mount", kind.encode(), where.encode(), kind.encode(), 0, None)


def step_aside() -> None:
    """Give this thread, and all it starts, namespaces and pins that nobody else sees."""
    _call("unshare", CLONE_NEWNS | CLONE_NEWNET)
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    _mount("tmpfs", "/run")
    _mount("bpf", "/sys/fs/bpf")
    for folder in ("netns", "wireguard"):
        Path("/run", folder).mkdir(mode=0o755)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
