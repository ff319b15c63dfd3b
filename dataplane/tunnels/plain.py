"""Plain tunnels: UDP on the underlay, no device.

Packets are made and taken apart by the steering program; what a driver does here is to hold
the socket of each local end. It keeps the port from other programs, keeps the kernel from
answering packets with ICMP port unreachable when no steering program runs, and carries what
user space sends. Nothing is authenticated or secret: the agent says so when it starts.
"""

import errno
import os
import socket
from collections.abc import Collection, Sequence
from typing import Final

from patronus.dataplane.routedump import local_addresses
from patronus.dataplane.tunnels.driver import DeviceState, Drift, Health, Outcome, TunnelTrouble
from patronus.dataplane.tunnels.spec import DeviceSpec, Endpoint, Kind

IP_MTU_DISCOVER: Final = 10
IPV6_MTU_DISCOVER: Final = 23
PMTUDISC_PROBE: Final = 3
"""Do not fragment, and do not believe ICMP either: the path's MTU is searched (RFC 8899)."""

REASONS: Final = {
    errno.EADDRINUSE: "another program has the port",
    errno.EADDRNOTAVAIL: "no interface of this machine has the address",
    errno.EPERM: "the agent needs root, or CAP_NET_ADMIN",
    errno.EACCES: "the agent needs root, or CAP_NET_BIND_SERVICE",
}


class PlainDriver:
    """Implements :class:`patronus.dataplane.tunnels.driver.TunnelDriver`."""

    kind = Kind.PLAIN

    def __init__(self) -> None:
        self._held: dict[str, tuple[DeviceSpec, socket.socket]] = {}

    def ensure(self, wanted: Sequence[DeviceSpec]) -> Outcome:
        """Hold exactly these sockets."""
        names = {spec.name for spec in wanted}
        gone = self.remove([name for name in self._held if name not in names])
        outcome = Outcome([Drift(name, "device", "none", "present") for name in gone])
        for spec in wanted:
            try:
                outcome.drifts += self._ensure_one(spec)
            except TunnelTrouble as trouble:
                outcome.troubles.append(str(trouble))
        return outcome

    def observe(self) -> list[DeviceState]:
        """Tell which sockets are held, and whether their address is still this machine's."""
        here = local_addresses()
        return [
            DeviceState(
                name=name,
                kind=self.kind,
                health=Health.ALIVE if spec.local.address in here else Health.DEAD,
                up=True,
                mtu=spec.mtu,
                mark=spec.mark,
                local=spec.local,
            )
            for name, (spec, _) in sorted(self._held.items())
        ]

    def remove(self, names: Collection[str] | None = None) -> list[str]:
        """Release sockets, all of them if none are named; return those that there were."""
        gone = sorted(self._held if names is None else set(names) & self._held.keys())
        for name in gone:
            self._held.pop(name)[1].close()
        return gone

    def close(self) -> None:
        """Let go of everything: without a device, that is to remove it."""
        self.remove()

    def socket_of(self, name: str) -> socket.socket:
        """Return the socket of a device; it does not block."""
        return self._held[name][1]

    def _ensure_one(self, spec: DeviceSpec) -> list[Drift]:
        held = self._held.get(spec.name)
        if held is None:
            self._held[spec.name] = spec, reserve(spec.local, mark=spec.mark)
            return [Drift(spec.name, "device", "present", "none")]
        before, reserved = held
        if (before.local, before.mark) == (spec.local, spec.mark):
            self._held[spec.name] = spec, reserved
            if spec.local.address not in local_addresses():
                raise TunnelTrouble(f"{spec.local}: {REASONS[errno.EADDRNOTAVAIL]}")
            return []
        self._held.pop(spec.name)[1].close()
        self._held[spec.name] = spec, reserve(spec.local, mark=spec.mark)
        return [Drift(spec.name, "ends", str(spec.local), str(before.local))]


def reserve(local: Endpoint, *, mark: int) -> socket.socket:
    """Return a bound socket whose packets carry a mark and are never fragmented here.

    Raises:
        TunnelTrouble: the end cannot be had; the message says why.
    """
    six = local.address.version == 6
    family = socket.AF_INET6 if six else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if six:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
        else:
            bound.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        if mark:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        bound.bind((str(local.address), local.port))
    except OSError as error:
        bound.close()
        reason = REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
        raise TunnelTrouble(f"{local}: {reason}") from None
    return bound
