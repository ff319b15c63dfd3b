"""What a scenario says, after parsing and validation: plain frozen records.

A scenario can be written as a file (``patronus.sim.load``) or built in code from
these records; both end here. Nothing in this file reads files or draws luck.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from patronus.engine.policy import Policy
from patronus.engine.units import MINUTE, MS, NEVER, SECOND


@dataclass(frozen=True, slots=True)
class Burst:
    """A Gilbert-Elliott process: good and bad periods of exponential length."""

    gap_ns: int
    """Mean length of a good period."""
    length_ns: int
    """Mean length of a bad period."""
    loss_ppm: int
    """Loss while bad."""


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """How one direction of a link treats packets when nothing is wrong."""

    delay_ns: int = 0
    jitter_ns: int = 0
    """Bound of the noise added to the delay (never exceeded)."""
    loss_ppm: int = 0
    burst: Burst | None = None
    rate_bps: int = 10_000_000_000
    buffer_ns: int = 50 * MS
    """Longest queueing delay; beyond it packets are dropped."""
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class TransportSpec:
    """One transport: what every site's access link is like and who carries it between."""

    name: str
    up: LinkProfile
    down: LinkProfile
    core: LinkProfile
    """Provider links: loss, jitter and rate; their delay comes from the map's distances."""
    provider: str = "ring"
    """``topohub:…``, ``map:…`` (shipped), ``mesh``, ``ring``, ``star`` or ``geo:N`` (generated)."""
    reroute_ns: int = SECOND
    """How long the provider takes to route around a failed link of its own."""


@dataclass(frozen=True, slots=True)
class SiteSpec:
    """One site given by the user."""

    name: str
    latitude: float | None = None
    longitude: float | None = None
    hub: bool = False
    region: str = ""
    transports: tuple[str, ...] = ()
    """Empty: all transports of the scenario."""


class Mesh(StrEnum):
    """Which pairs of sites have tunnels."""

    FULL = "full-mesh"
    HUBS = "hub-and-spoke"
    REGIONAL = "regional-hubs"
    PARTIAL = "partial-mesh"
    PAIRS = "pairs"
    """Exactly the pairs that are listed."""


@dataclass(frozen=True, slots=True)
class TopologySpec:
    """Sites, where they are, and which tunnels join them."""

    mesh: Mesh = Mesh.FULL
    sites: tuple[SiteSpec, ...] = ()
    """Given sites; empty when ``count`` or ``map`` makes them."""
    count: int = 0
    """Number of generated sites (random geography) or of a map's nodes to use (0: all)."""
    map: str = ""
    """Sites on the nodes of a map: ``topohub:…`` or a shipped map's name."""
    hubs: int = 0
    """The first so many sites are hubs (with given sites: those marked ``hub``)."""
    regions: int = 1
    degree: int = 4
    """Mean number of neighbours in a partial mesh."""
    pairs: tuple[tuple[str, str], ...] = ()
    delays_ns: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """One-way delays by (from site, to site, transport or ""); replace the provider graph."""
    transit: tuple[str, ...] = ()
    """Sites that may carry others' traffic; empty: the hubs."""


@dataclass(frozen=True, slots=True)
class DestinationSpec:
    """A prefix announced by several sites, in order of preference."""

    name: str
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A shared-risk group: links that one event takes together.

    Members are link names, ``access:SITE:TRANSPORT`` or ``PROVIDER:NODE-NODE``.
    """

    name: str
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrafficSpec:
    """Constant offered load of one class between selected sites and destinations."""

    traffic_class: str
    sources: tuple[str, ...]
    """Site names or patterns; ``*`` all, ``hubs``, ``spokes``."""
    destinations: tuple[str, ...]
    """Destination names or patterns, the same words."""
    rate_bps: int
    packet_bytes: int = 1000
    both_ways: bool = True
    peers: int = 0
    """Each source sends to this many keyed destinations (0: to all)."""


class FaultKind(StrEnum):
    """Everything that can go wrong."""

    LINK_DOWN = "link-down"
    BLACKHOLE = "blackhole"
    LOSS = "loss"
    BURST_LOSS = "burst-loss"
    DELAY = "delay"
    JITTER = "jitter"
    CORRUPTION = "corruption"
    DUPLICATION = "duplication"
    REORDERING = "reordering"
    RATE = "rate"
    FLAPPING = "flapping"
    SHARED_RISK_CUT = "shared-risk-cut"
    PROVIDER_OUTAGE = "provider-outage"
    SITE_CRASH = "site-crash"
    AGENT_KILL = "agent-kill"
    AGENT_PAUSE = "agent-pause"
    CONTROLLER_PARTITION = "controller-partition"
    CLOCK_JUMP = "clock-jump"
    MTU_BLACKHOLE = "mtu-blackhole"
    DRAIN = "drain"
    HALF_CONFIG = "half-applied-config"
    REKEY_STORM = "rekey-storm"
    LAN_DOWN = "lan-down"


class Direction(StrEnum):
    """Seen from the selected site (or from the first end of a provider link)."""

    OUT = "out"
    IN = "in"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which objects a fault hits: a set by name, then how many of it.

    The set is the product of what is given: sites × transports are access links;
    ``links`` are provider links; ``groups`` are shared-risk groups; ``providers``
    whole providers.
    """

    sites: tuple[str, ...] = ()
    transports: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    mode: str = "all"
    """``one``, ``all``, ``count`` or ``percent``; the choice is keyed by names."""
    amount: int = 0
    """Objects for ``count``, ppm for ``percent``."""
    direction: Direction = Direction.BOTH


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a fault is there: once, repeatedly, or at keyed random times."""

    at_ns: int = 0
    for_ns: int = NEVER
    every_ns: int = 0
    """Repeat after this long (0: once)."""
    times: int = 1
    """Number of repetitions (0: until the end)."""
    random_mean_ns: int = 0
    """Keyed exponential gaps of this mean between occurrences (0: not random)."""


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault of the file; it may happen several times."""

    name: str
    """Unique; given by the user or made from kind and position among equals."""
    kind: FaultKind
    select: Selector
    schedule: Schedule
    loss_ppm: int = 0
    burst: Burst | None = None
    delay_ns: int = 0
    jitter_ns: int = 0
    rate_bps: int = 0
    mtu: int = 0
    jump_ns: int = 0
    up_ns: int = 0
    """Flapping: how long up; rekey storm: spacing of the tunnels."""
    down_ns: int = 0
    """Flapping: how long down; rekey storm: how long each tunnel is mute."""
    policy: Policy | None = None
    """Half-applied configuration: what the selected sites run meanwhile."""
    place: str = field(default="", compare=False)
    """``FILE:LINE:COLUMN`` of the file that gave it, for messages; empty when built in code."""


@dataclass(frozen=True, slots=True)
class ExpectationSpec:
    """One line of ``expect``; parsed further by ``patronus.sim.expectation``."""

    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """The path of announcements between sites."""

    delay_ns: int = 50 * MS
    jitter_ns: int = 10 * MS


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that one run needs, but the seed."""

    name: str
    topology: TopologySpec
    transports: tuple[TransportSpec, ...]
    policy: Policy = field(default_factory=Policy)
    about: str = ""
    duration_ns: int = MINUTE
    warmup_ns: int = 5 * SECOND
    cold: bool = False
    """Start with nothing known instead of converged."""
    seed: int = 1
    destinations: tuple[DestinationSpec, ...] = ()
    groups: tuple[GroupSpec, ...] = ()
    traffic: tuple[TrafficSpec, ...] = ()
    faults: tuple[FaultSpec, ...] = ()
    expectations: tuple[ExpectationSpec, ...] = ()
    control: ControlSpec = ControlSpec()
    path: str = ""
    """Where it was read from; empty when built in code."""
