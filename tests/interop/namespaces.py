"""Two network namespaces with a cable between them, and programs that run in one of them."""

import ctypes
import os
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
    left_addresses: tuple[str, ...] = ("10.9.0.1", "fd09::1", "fe80::1")
    right_addresses: tuple[str, ...] = ("10.9.0.2", "fd09::2", "fe80::2")

    @property
    def left_address(self) -> str:
        return self.left_addresses[0]

    @property
    def right_address(self) -> str:
        return self.right_addresses[0]

    def plug(self) -> None:
        """Make the two interfaces, with fixed link-local addresses beside the others."""
        veth = ("type", "veth", "peer", "name", self.interface, "netns", self.right)
        ip("-n", self.left, "link", "add", self.interface, *veth)
        for name, addresses in (
            (self.left, self.left_addresses),
            (self.right, self.right_addresses),
        ):
            ip("-n", name, "link", "set", self.interface, "addrgenmode", "none")
            ip("-n", name, "addr", "add", f"{addresses[0]}/24", "dev", self.interface)
            for address in addresses[1:]:
                ip("-n", name, "addr", "add", f"{address}/64", "dev", self.interface, "nodad")
            ip("-n", name, "link", "set", self.interface, "up")

    def unplug(self) -> None:
        """Take the interfaces away."""
        ip("-n", self.left, "link", "delete", self.interface)

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
def cable() -> Iterator[Cable]:
    """Yield a cable between two new namespaces; they are gone afterwards."""
    made = Cable(f"bfd-{os.getpid()}-a", f"bfd-{os.getpid()}-b")
    names: list[str] = []
    try:
        for name in (made.left, made.right):
            ip("netns", "add", name)
            names.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        made.plug()
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
