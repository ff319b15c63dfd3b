"""A peer of the benchmarks: the probes of a few tunnels, in plain SimPy.

One process a tunnel and one event a packet, as :mod:`plain` has them, and what the engine
does with each reflection: round trip, jitter and loss. It does the model's work for probes
(send, keyed draws of loss and delay, reflect, stamp, liveness timer, health) and nothing
else: no brownout tests, no decisions, no traffic, no report.
"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from patronus.engine.units import NEVER, SECOND
from patronus.sim.benchmarks.plain import PlainWorld, Probe
from patronus.sim.benchmarks.spread import Clock, Spread
from patronus.sim.faults.compile import compile_faults
from patronus.sim.scenario import Scenario
from patronus.sim.timeline import Timeline
from patronus.sim.topology import Network, build


class PlainHealth:
    """Figures of one tunnel; RFC 6298 and RFC 3550 A.8 in integers."""

    __slots__ = ("heard", "jitter_x16", "lost", "lost_out", "sequence", "srtt_ns", "transit_ns")

    def __init__(self) -> None:
        self.sequence = self.srtt_ns = self.transit_ns = -1
        self.heard = self.jitter_x16 = self.lost = self.lost_out = 0

    def observe(self, probe: Probe, heard: int) -> None:
        """Take a reflection; ``heard`` is how many probes the peer had heard by then."""
        rtt_ns, transit_ns = probe.back_ns - probe.sent_ns, probe.there_ns - probe.sent_ns
        if self.srtt_ns < 0:
            self.srtt_ns = rtt_ns
        else:
            missing = probe.ordinal - self.sequence - 1
            self.lost += missing
            self.lost_out += max(0, missing + 1 - (heard - self.heard))
            self.srtt_ns += (rtt_ns - self.srtt_ns) >> 3
            self.jitter_x16 += abs(transit_ns - self.transit_ns) - ((self.jitter_x16 + 8) >> 4)
        self.sequence, self.transit_ns, self.heard = probe.ordinal, transit_ns, heard


class Subset(NamedTuple):
    """Some tunnels of a scenario, both directions of each."""

    scenario: Scenario
    network: Network
    timeline: Timeline
    seed: int
    rows: list[int]


def subset(scenario: Scenario, seed: int, tunnels: int) -> Subset:
    """Take so many tunnels, an even number, from the first on; fewer where there are fewer."""
    network = build(scenario, scenario.seed)
    timeline = compile_faults(scenario, network, seed)
    return Subset(scenario, network, timeline, seed, _pairs(network.overlay.reverse, tunnels))


class Peer(PlainWorld):
    """A subset, in plain SimPy."""

    def __init__(self, some: Subset) -> None:
        super().__init__(some.network, some.scenario, some.timeline, some.seed, rows=some.rows)
        self.health = {row: PlainHealth() for row in self.rows}
        self.heard = dict.fromkeys(self.rows, 0)
        self.sent = 0

    def _note(self, probe: Probe) -> None:
        """Count a probe whose fate is known; nothing is kept of it."""
        self.sent += 1
        self.lost += probe.back_ns == NEVER
        self.heard[probe.row] += probe.there_ns != NEVER

    def _come_home(self, probe: Probe) -> None:
        super()._come_home(probe)
        self.health[probe.row].observe(probe, self.heard[probe.row])


class Pace(NamedTuple):
    """How fast a peer was on its part, and what that means for the whole."""

    tunnels: int
    simulated_s: float
    wall: Spread
    sent: int
    """Probes."""
    lost: int

    @property
    def wall_s(self) -> float:
        """The median."""
        return self.wall.median

    def extrapolated_s(self, tunnels: int, simulated_s: float) -> float:
        """Return the wall time for a whole scenario, in proportion.

        That flatters the peer: with more tunnels its queue of events is deeper.
        """
        return self.wall_s * tunnels / self.tunnels * simulated_s / self.simulated_s


def pace(some: Subset, simulated_s: int, *, runs: int = 1) -> Pace:
    """Let the peer run the first seconds of a subset; building is not timed."""
    clock = Clock()
    for _ in range(runs):
        peer = Peer(some)
        clock.time(partial(peer.run, peer.now_ns + simulated_s * SECOND))
    return Pace(len(peer.rows), float(simulated_s), clock.spread, peer.sent, peer.lost)


def _pairs(reverse: Iterable[int], tunnels: int) -> list[int]:
    """Return the first tunnels, each followed by its way back."""
    rows: dict[int, None] = {}
    for row, back in enumerate(reverse):
        if len(rows) >= tunnels:
            break
        rows[row] = rows[int(back)] = None
    return list(rows)
