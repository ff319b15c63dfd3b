"""What an agent is configured to be: frozen, complete, and sound in itself."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from patronus.engine.policy import LivenessProfile, Policy
from patronus.engine.units import MS, SECOND

PORT_USUAL: Final = 51_820
"""Of tunnels where the file names no other."""

NEXT_PORT: Final = 100
PORT_MAX: Final = 65_535

DRAIN_NS: Final = 60 * SECOND
"""Pinned flows without a gap leave a drained tunnel by force then, where the file says nothing."""


class Role(StrEnum):
    """What a site is to the others."""

    SPOKE = "spoke"
    """It carries its own traffic alone."""
    TRANSIT = "transit"
    """It carries traffic between others, too."""
    HUB = "hub"
    """As transit, and others look for shared destinations here first."""

    @property
    def carries(self) -> bool:
        """Whether it carries others' traffic."""
        return self is not Role.SPOKE


class Kind(StrEnum):
    """What a tunnel is made of."""

    PLAIN = "plain"
    VXLAN = "vxlan"
    WIREGUARD = "wireguard"


class Mode(StrEnum):
    """How steering hands packets to a tunnel."""

    REDIRECT = "redirect"
    """Straight to the tunnel: quickest, past the firewall's forward and NAT rules."""
    MARK = "mark"
    """The kernel forwards by the mark, and the firewall applies."""


class Pacing(StrEnum):
    """Who sends probes."""

    KERNEL = "kernel"
    SENDER = "sender"
    """A small process of its own under SCHED_FIFO."""


@dataclass(frozen=True, slots=True)
class Transport:
    """This site's attachment to one underlay."""

    name: str
    interface: str
    liveness: LivenessProfile
    address: str | None = None
    """None: whatever the interface has, by DHCP."""
    gateway: str | None = None
    """None: that of the interface's own default route."""
    kind: Kind = Kind.WIREGUARD
    port: int = PORT_USUAL
    cost: int = 0
    groups: tuple[str, ...] = ()
    """Shared-risk groups that all tunnels over it cross."""
    mtu: int | None = None
    """None: found out."""
    proofs_ns: int | None = None
    """Interval of authenticated probes beside its tunnels, None for none."""
    next_port: int = 0
    """WireGuard: where the next key's device listens, the two in turn; 0: ``NEXT_PORT`` further."""

    @property
    def ports(self) -> tuple[int, int]:
        """Where its devices listen, those of even and those of odd generations."""
        further = self.port + NEXT_PORT
        usual = further if further <= PORT_MAX else self.port - NEXT_PORT
        return self.port, self.next_port or usual


@dataclass(frozen=True, slots=True)
class LanInterface:
    """An interface towards the site's own network."""

    name: str
    vlan: int | None = None


@dataclass(frozen=True, slots=True)
class Lan:
    """The site's own network."""

    interfaces: tuple[LanInterface, ...] = ()
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer is found over one transport."""

    address: str | None
    """None: learned from the peer's own packets."""
    port: int
    groups: tuple[str, ...] = ()
    """Shared-risk groups at that end."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another site."""

    name: str
    key: str
    """Public identity key (Ed25519), base64."""
    role: Role = Role.SPOKE
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """By transport; empty: reached through others only."""
    prefixes: tuple[str, ...] = ()
    psk: str = ""
    """File with the pre-shared key, "" for none."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Prefixes that several sites announce, in order of preference."""

    name: str
    sites: tuple[str, ...]
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BfdNeighbour:
    """A router that is not ours, on a transport or on the LAN."""

    name: str
    address: str
    transport: str | None = None
    """None: it stands on the LAN."""
    interface: str | None = None
    """Of the LAN."""
    interval_ns: int = 300 * MS
    multiplier: int = 3
    key: str = ""
    """File with the key that we share with it, "" for none."""
    key_id: int = 1
    meticulous: bool = True


@dataclass(frozen=True, slots=True)
class Dataplane:
    """How packets are handled in the kernel."""

    mode: Mode = Mode.REDIRECT
    firewall_bypass: bool = False
    """Redirecting past forward and NAT rules is accepted."""
    fallback: bool = True
    """Without BPF, run on next-hop objects instead of refusing to start."""
    probes: Pacing = Pacing.KERNEL
    drain_ns: int = DRAIN_NS
    """Pinned flows without a gap leave a drained tunnel by force then."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where Prometheus may ask."""

    address: str = "127.0.0.1"
    port: int = 9464


@dataclass(frozen=True, slots=True)
class Recording:
    """How much of the engine's input is kept."""

    max_bytes: int = 64_000_000
    """Of one file; then the next begins."""
    keep: int = 4
    """Files, the one being written included."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """All that one agent is told by its file."""

    site: str
    role: Role
    identity: str
    """File with the private identity key."""
    state: str
    """Folder for what must outlive a restart."""
    run: str
    """Folder of the control socket."""
    transports: tuple[Transport, ...]
    """In order of their names, as all that follows where no order is given."""
    lan: Lan
    peers: tuple[Peer, ...]
    destinations: tuple[Destination, ...]
    policy: Policy
    seeds: tuple[tuple[str, int], ...] = ()
    """Addresses and ports that a new site asks for its peers."""
    enrolment: str = ""
    """Public key whose signature lets a site in, "" where only pinned ones are peers."""
    bfd: tuple[BfdNeighbour, ...] = ()
    dataplane: Dataplane = Dataplane()
    metrics: Metrics | None = Metrics()
    record: Recording | None = Recording()
    rotate_every_ns: int | None = None
    """Age at which WireGuard keys are replaced, None: when somebody asks for it."""
    log: str = "info"
    path: str = ""
    """The file."""

    @property
    def recordings(self) -> str:
        """Folder of what is recorded."""
        return f"{self.state}/recordings"

    def transport(self, name: str) -> Transport:
        """Return a transport by name."""
        return next(t for t in self.transports if t.name == name)

    @property
    def ipv6(self) -> tuple[str, ...]:
        """Every IPv6 prefix that users' packets may be for."""
        own = (*self.lan.prefixes, *(p for peer in self.peers for p in peer.prefixes))
        return tuple(
            p for p in (*own, *(p for d in self.destinations for p in d.prefixes)) if ":" in p
        )
