"""The peer of the scale bench: the probes of a few tunnels, in plain SimPy.

One process a tunnel and one event a packet, as ``tests/oracles/plain_world.py`` has them,
and what the engine does with each reflection: round trip, jitter and loss. It does the
model's work for probes (send, keyed draws of loss and delay, reflect, stamp, liveness
timer, health) and nothing else: no brownout tests, no decisions, no traffic, no report.
"""

from collections.abc import Iterable
from time import perf_counter
from typing import NamedTuple

from patronus.engine.units import NEVER, SECOND
from patronus.sim.faults.compile import compile_faults
from patronus.sim.scenario import Scenario
from patronus.sim.topology import build
from tests.oracles.plain_world import PlainWorld, Probe


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


class Peer(PlainWorld):
    """Some tunnels of a scenario, both directions of each."""

    def __init__(self, scenario: Scenario, seed: int, tunnels: int) -> None:
        """Prepare so many tunnels, an even number, from the first on."""
        network = build(scenario, scenario.seed)
        timeline = compile_faults(scenario, network, seed)
        super().__init__(
            network, scenario, timeline, seed, rows=_pairs(network.overlay.reverse, tunnels)
        )
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
    """How fast the peer was on its part, and what that means for the whole."""

    tunnels: int
    simulated_s: float
    wall_s: float
    sent: int
    lost: int

    def extrapolated_s(self, tunnels: int, simulated_s: float) -> float:
        """Return the wall time for a whole scenario, in proportion.

        That flatters the peer: with more tunnels its queue of events is deeper.
        """
        return self.wall_s * tunnels / self.tunnels * simulated_s / self.simulated_s


def pace(scenario: Scenario, seed: int, *, tunnels: int, simulated_s: int) -> Pace:
    """Let the peer run the first seconds of a scenario; building is not timed."""
    peer = Peer(scenario, seed, tunnels)
    began = perf_counter()
    peer.run(peer.now_ns + simulated_s * SECOND)
    wall_s = perf_counter() - began
    return Pace(len(peer.rows), float(simulated_s), wall_s, peer.sent, peer.lost)


def _pairs(reverse: Iterable[int], tunnels: int) -> list[int]:
    """Return the first tunnels, each followed by its way back."""
    rows: dict[int, None] = {}
    for row, back in enumerate(reverse):
        if len(rows) >= tunnels:
            break
        rows[row] = rows[int(back)] = None
    return list(rows)
