"""Two network namespaces with a cable between them, and programs that run in one of them."""

import ctypes
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000


def ip(*words: str) -> None:
    """Run ``ip`` with some words."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Cable:
    """The namespaces at the two ends, and the interface each of them has."""

    left: str
    right: str
    interface: str = "eth0"
    left_address: str = "10.9.0.1"
    right_address: str = "10.9.0.2"
    left_address6: str = "fd09::1"
    right_address6: str = "fd09::2"

    def cut(self, receiver: str) -> None:
        """Lose all that arrives at this end; the link stays up, as a dead tunnel's does."""
        chain = "add chain inet cut in { type filter hook input priority 0; policy drop; }"
        self._nft(receiver, f"add table inet cut; {chain}")

    def mend(self, receiver: str) -> None:
        self._nft(receiver, "delete table inet cut")

    def _nft(self, namespace: str, commands: str) -> None:
        subprocess.run(
            ["ip", "netns", "exec", namespace, "nft", commands], check=True, capture_output=True
        )


@contextmanager
def cable(prefix: str) -> Iterator[Cable]:
    """Yield a cable between two new namespaces; they are gone afterwards."""
    made = Cable(f"{prefix}-a", f"{prefix}-b")
    ends = (
        (made.left, made.left_address, made.left_address6),
        (made.right, made.right_address, made.right_address6),
    )
    names: list[str] = []
    try:
        for name, _, _ in ends:
            ip("netns", "add", name)
            names.append(name)
        place = ("netns", made.right)
        veth = ("type", "veth", "peer", "name", made.interface)
        ip("-n", made.left, "link", "add", made.interface, *veth, *place)
        for name, address, address6 in ends:
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", made.interface)
            ip("-n", name, "addr", "add", f"{address6}/64", "dev", made.interface, "nodad")
            ip("-n", name, "link", "set", made.interface, "up")
        yield made
    finally:
        for name in names:
            ip("netns", "delete", name)


def enter(namespace: str) -> None:
    """Move the calling thread into a network namespace, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (Path("/run/netns") / namespace).open() as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
