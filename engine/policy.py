"""What the operator asks for: traffic classes, SLA classes, timers and damping.

Everything here is frozen and already validated; whoever builds it (a scenario
file, the agent's configuration) reports mistakes in its own terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from patronus.engine.units import MS, SECOND


class WhenNone(StrEnum):
    """What a class does when no path complies with its SLA."""

    BEST = "best"
    """Take the best of the paths that are up."""
    STAY = "stay"
    """Stay where it is as long as that path is up and delivers more than half."""
    DROP = "drop"
    """Send nothing: no path is better than a bad one."""


@dataclass(frozen=True, slots=True)
class Match:
    """One way of recognising traffic; empty fields match everything."""

    dscp: frozenset[int] = frozenset()
    protocol: int | None = None
    """IP protocol number: 6 TCP, 17 UDP."""
    ports: tuple[tuple[int, int], ...] = ()
    """Inclusive ranges of the destination (or source) port."""
    prefixes: tuple[str, ...] = ()
    """Destination prefixes, IPv4 or IPv6, in CIDR form."""


@dataclass(frozen=True, slots=True)
class SlaClass:
    """The limits a class of traffic lives with, and what it prefers."""

    latency_ns: int | None = None
    """Largest round-trip time."""
    jitter_ns: int | None = None
    """Largest interarrival jitter, RFC 3550 section 6.4.1."""
    loss_ppm: int | None = None
    mos_milli: int | None = None
    """Smallest mean opinion score times 1000 (ITU-T G.107)."""
    codec: str = "g711"
    mtu: int | None = None
    """Smallest MTU of a tunnel: the largest packet of users that it must carry, in bytes."""
    prefer: tuple[str, ...] = ()
    """Transports in order of preference; unnamed ones come after."""
    forbid: frozenset[str] = frozenset()
    when_none: WhenNone = WhenNone.BEST


@dataclass(frozen=True, slots=True)
class TrafficClass:
    """A named kind of traffic with its matches and its SLA."""

    name: str
    matches: tuple[Match, ...] = ()
    """Alternatives, first match wins over later classes; none: the catch-all."""
    sla: SlaClass = SlaClass()
    share: Mapping[str, int] = field(default_factory=dict)
    """Weights by transport for sharing over equally good paths; empty: no sharing."""
    pinned: bool = False
    """Each flow stays on the tunnel that it began on while that is usable. A dataplane's business:
    the engine decides for entries, not for flows."""


@dataclass(frozen=True, slots=True)
class LivenessProfile:
    """How often a tunnel is probed and after how many silent intervals it is down."""

    name: str
    interval_ns: int
    multiplier: int

    @property
    def detect_ns(self) -> int:
        """Silence beyond this long means down."""
        return self.interval_ns * self.multiplier


PROFILES: Final[Mapping[str, LivenessProfile]] = {
    p.name: p
    for p in (
        LivenessProfile("fabric", 10 * MS, 3),
        LivenessProfile("broadband", 50 * MS, 4),
        LivenessProfile("wan", 100 * MS, 3),
        LivenessProfile("lte", 200 * MS, 5),
        LivenessProfile("satellite", 500 * MS, 4),
    )
}

MULTIPLIER_CEILING: Final = 10
"""The adaptive detect multiplier grows no further than this."""


@dataclass(frozen=True, slots=True)
class Damping:
    """Fast down, slow up: how long a tunnel that came back must prove itself.

    The hold is ``hold_ns`` doubled for each remembered flap, at most
    ``hold_max_ns``; one flap is forgotten after each ``decay_ns`` of being up.
    """

    hold_ns: int = 2 * SECOND
    hold_max_ns: int = 60 * SECOND
    decay_ns: int = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Features:
    """Parts of the engine that a study can switch off to see what they are worth."""

    backups: bool = True
    """Backups are computed beforehand; off: the next evaluation finds the next path."""
    brownout: bool = True
    damping: bool = True
    hysteresis: bool = True
    transit: bool = True
    adaptive_multiplier: bool = True
    kernel_failover: bool = True
    """The dataplane itself leaves a stale tunnel; off: only the engine moves traffic."""
    sla: bool = True
    """Verdicts decide; off: only liveness does."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All that is configured for one overlay, the same at every site."""

    classes: tuple[TrafficClass, ...] = (TrafficClass("default"),)
    liveness: Mapping[str, LivenessProfile] = field(default_factory=dict)
    """Profile by transport name; ``wan`` where none is given."""
    cost: Mapping[str, int] = field(default_factory=dict)
    """Cost by transport name, lower is cheaper; 0 where none is given."""
    damping: Damping = Damping()
    evaluation_ns: int = SECOND
    """Score-driven re-ranking happens once per this long, phased by site."""
    loss_window: int = 10
    """Loss is judged over this many evaluation intervals."""
    stale_ns: int = 3 * SECOND
    """Health with no sample for this long is unknown."""
    margin_ppm: int = 100_000
    """A rival must be better by this share of the smoothed metric ..."""
    margin_ns: int = 2 * MS
    """... and at least by this much."""
    kernel_hold_ns: int = 10 * SECOND
    """Unbroken confirmation after which the kernel clears a down latch alone."""
    announcement_ns: int = SECOND
    """Unchanged announcements are repeated this often."""
    features: Features = Features()

    @property
    def patience_ns(self) -> int:
        """An announcement older than this is too old to send traffic through its site.

        Three may be lost, and the next is under way. They are made at evaluations.
        """
        turns = -(-self.announcement_ns // self.evaluation_ns)
        return (3 * turns + 1) * self.evaluation_ns

    def profile(self, transport: str) -> LivenessProfile:
        """Return the liveness profile of a transport."""
        return self.liveness.get(transport, PROFILES["wan"])
