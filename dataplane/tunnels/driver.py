"""The interface of every kind of tunnel, and how wanted and found are compared.

A driver is level-triggered: :meth:`TunnelDriver.ensure` looks at what the kernel has, repairs
what differs and says what it repaired. It keeps no picture of the kernel between calls, so a
restarted agent, an interface deleted by hand and a first start are one and the same case.

*Ours* is what carries both our prefix in its name and our tag as its alias. A device with a
name that we want but without the tag is somebody else's: it is refused, and never touched.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from patronus.dataplane.tunnels.spec import Address, DeviceSpec, Endpoint, Kind, Prefix


class TunnelTrouble(Exception):
    """A device cannot be had; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """How our devices are told from all others."""

    prefix: str = "pt-"
    tag: str = "patronus"

    def alias(self, kind: Kind) -> str:
        """Return the alias of our devices of a kind."""
        return f"{self.tag}:{kind}"

    def owns(self, name: str, alias: str | None, kind: Kind) -> bool:
        """Tell whether a device is one of ours."""
        return name.startswith(self.prefix) and alias == self.alias(kind)


class Health(StrEnum):
    """Whether what carries a device's packets works."""

    ALIVE = "alive"
    DEAD = "dead"
    """Its process is gone, or the device has none."""
    HUNG = "hung"
    """Its process runs and does not answer."""
    LATE = "late"
    """Its process does not answer since other work keeps it from running; packets may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerState:
    """What the kernel knows of one peer."""

    public_key: bytes
    preshared_key: bytes = field(default=b"", repr=False)
    endpoint: Endpoint | None = None
    """Where its last authenticated packet came from; roams."""
    allowed: frozenset[Prefix] = frozenset()
    keepalive_s: int = 0
    handshake_ns: int = 0
    """Wall clock of its last handshake, 0: none yet."""
    rx_bytes: int = 0
    tx_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What the kernel has of one device of ours."""

    name: str
    kind: Kind
    health: Health = Health.ALIVE
    index: int = 0
    """Interface index; 0: no interface. A re-created device has a new one."""
    up: bool = False
    mtu: int = 0
    addresses: frozenset[Address] = frozenset()
    routes: frozenset[tuple[Address, int]] = frozenset()
    """Peers' tunnel addresses that lead to it, with their metrics."""
    neighbours: frozenset[tuple[Address, str]] = frozenset()
    """Peers' tunnel addresses with the link addresses that are known for good; VXLAN only."""
    local: Endpoint | None = None
    remote: Endpoint | None = None
    """VXLAN only: WireGuard has one a peer."""
    vni: int = 0
    mark: int = 0
    public_key: bytes = b""
    peers: tuple[PeerState, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between wanted and found, which ``ensure`` repaired."""

    device: str
    what: str
    """A word that can be counted: missing, dead, hung, mtu, addresses, …"""
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.device}: {self.what} was {self.found}, now {self.wanted}"


@dataclass(slots=True)
class Outcome:
    """What came of an ``ensure``."""

    drifts: list[Drift] = field(default_factory=list)
    """What was repaired, to be counted."""
    troubles: list[str] = field(default_factory=list)
    """One clear message for each device that is not as wanted. The others are."""


class TunnelDriver(Protocol):
    """One kind of tunnel."""

    kind: Kind

    def ensure(self, wanted: Sequence[DeviceSpec]) -> Outcome:
        """Make the kernel hold exactly these devices of ours of this kind.

        All have passed :func:`patronus.dataplane.tunnels.spec.check`.
        """

    def observe(self) -> list[DeviceState]:
        """Tell what the kernel has of ours, by name."""

    def remove(self, names: Collection[str] | None = None) -> list[str]:
        """Remove devices of ours, all of them if none are named; return those that there were."""

    def close(self) -> None:
        """Let go of everything; devices stay, so that a restarted agent finds them."""
