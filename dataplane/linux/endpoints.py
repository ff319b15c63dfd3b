"""Rows of tunnels: what to put on packets, and what the peer must show."""

import ipaddress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.records import Kind, TunnelFlag
from patronus.engine.units import LONG_AGO, NEVER

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One tunnel as the kernel needs it."""

    kind: Kind
    local: Address
    """Of the tunnel: a transport's address, or the one inside WireGuard."""
    remote: Address
    local_port: int
    remote_port: int
    peer_row: int
    """The tunnel's row at the peer."""
    session_in: int
    """64 bits that the peer must show; unguessable where nothing else authenticates."""
    session_out: int
    mtu: int
    """Largest inner packet that fits, all headers taken off."""
    peer_site: int
    transport: int = 0
    ifindex: int = 0
    """Device to send on; 0: the routing table decides."""
    mark: int = 0
    """On outer packets; selects the transport's routing table."""
    ifindex_twin: int = 0
    """WireGuard: the device of our second key, 0: there is none."""
    twins: int = 0
    """``Twin``: which keys are in use; the addresses are those of the first ones in any case."""

    def __post_init__(self) -> None:
        """Check what would otherwise be cut to the field's width."""
        assert self.local.version == self.remote.version
        assert 0 <= self.peer_row < 0xFFFF
        assert 0 <= self.mtu <= 0xFFFF


def write_endpoint(
    tunnels: npt.NDArray[Any], row: int, endpoint: Endpoint, *, detect_ns: int
) -> None:
    """Put a tunnel into a row; it starts silent and latched.

    Packets of the row's former tunnel are refused before anything changes.
    """
    clear_endpoint(tunnels, row)
    tunnel = tunnels[row : row + 1]
    for name in "kind session_in session_out mtu peer_site transport mark".split():
        tunnel[name] = getattr(endpoint, name)
    for name in "ifindex ifindex_twin twins".split():
        tunnel[name] = getattr(endpoint, name)
    tunnel["local_port"], tunnel["remote_port"] = endpoint.local_port, endpoint.remote_port
    tunnel["peer_id"] = endpoint.peer_row
    tunnel["detect_ns"] = detect_ns
    tunnel["local"][0] = _bytes(endpoint.local)
    tunnel["remote"][0] = _bytes(endpoint.remote)
    six = TunnelFlag.IPV6 if endpoint.local.version == 6 else TunnelFlag(0)
    tunnel["flags"] = TunnelFlag.IN_USE | six


def clear_endpoint(tunnels: npt.NDArray[Any], row: int) -> None:
    """Empty a row: nothing is accepted for it, and nothing is sent on it."""
    tunnel = tunnels[row : row + 1]
    tunnel["flags"] = 0
    tunnel["latched"] = True
    tunnel["confirmed_ns"] = tunnel["heard_ns"] = LONG_AGO
    tunnel["since_ns"] = NEVER
    tunnel["sequence"] = -1
    for name in "got delay_ns drain_until_ns drained".split():
        tunnel[name] = 0
    tunnel["hop"]["until_ns"] = 0


def move_endpoint(
    tunnels: npt.NDArray[Any], row: int, *, remote: Address, remote_port: int
) -> None:
    """Follow a peer to another address; stamps and accounts stay."""
    tunnel = tunnels[row : row + 1]
    tunnel["remote"][0], tunnel["remote_port"] = _bytes(remote), remote_port
    tunnel["hop"]["until_ns"] = 0  # it was the former address's


def _bytes(address: Address) -> npt.NDArray[np.uint8]:
    return np.frombuffer(address.packed.ljust(16, b"\0"), dtype=np.uint8)
