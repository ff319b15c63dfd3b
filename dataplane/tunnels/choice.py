"""Which WireGuard this machine has, and what that costs: said at start, never guessed later."""

from dataclasses import dataclass

from patronus.dataplane.tunnels.driver import Ownership
from patronus.dataplane.tunnels.kernelwg import KernelWireGuard, kernel_has_wireguard
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.userspace import PRIORITY, Userspace
from patronus.dataplane.tunnels.wireguard import Backend


@dataclass(frozen=True, slots=True)
class Choice:
    """A back end, and the sentence that the agent says about it."""

    backend: Backend
    notice: str


def choose(links: Links, ownership: Ownership, *, priority: int | None = PRIORITY) -> Choice:
    """Return the kernel's WireGuard where there is one, and ``wireguard-go`` otherwise.

    Raises:
        TunnelTrouble: there is neither.
    """
    if kernel_has_wireguard():
        return Choice(KernelWireGuard(links), "WireGuard runs in the kernel")
    how = "at ordinary priority" if priority is None else f"under SCHED_RR {priority}, if allowed"
    return Choice(
        Userspace(ownership, priority=priority),
        f"this kernel has no WireGuard: wireguard-go carries it, one process a device, {how}; "
        "expect a small part of the kernel's throughput",
    )
