"""What packets can expect of a tunnel at an instant: the wire's truth without its chances.

Everything is as on the wire, but loss in bursts counts with its mean, wherever it comes
from. Whether a path works is not a matter of the millisecond at which one asks.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER, PPM
from patronus.sim.faults.effects import effects
from patronus.sim.faults.kinds import commanded
from patronus.sim.faults.outages import mutes
from patronus.sim.scenario import Burst, FaultKind
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.wire import Wire


class Prospect(NamedTuple):
    """One way over some tunnels; arrays of one length."""

    delay_ns: I64
    jitter_ns: I64
    loss_ppm: I64
    mtu: I64


class Outlook:
    """Looks up tunnels at instants in the wire's window, or just before it."""

    def __init__(self, wire: Wire, timeline: Timeline, seed: int) -> None:
        self._wire = wire
        links = wire.underlay.links
        steady = tuple(_steady(o) for o in timeline.occurrences)
        self._effects = effects(Timeline(steady, (), timeline.end_ns), links, seed)
        mute = mutes(timeline, wire.overlay)
        self._mute_edges: I64 = distinct(np.concatenate([mute.from_ns, mute.until_ns]))
        native = np.array([_mean_ppm(b) for b in links.burst], dtype=np.int64)
        self._survive = (PPM - links.loss_ppm) * (PPM - native) // PPM

    def moments(self, at_ns: I64) -> tuple[I64, I64]:
        """Return few instants, and of each of some which of these is just like it for all tunnels.

        What is expected changes when a fault begins or ends, or a tunnel its keys; in between
        one instant is like another.
        """
        if not len(at_ns):
            return at_ns, at_ns
        first, last = int(at_ns.min()), int(at_ns.max())
        low, high = self._mute_edges.searchsorted([first, last], side="right")
        mute = self._mute_edges[low:high]
        steps = distinct(np.concatenate([self._effects.changes_between(first, last), mute]))
        return np.append(first, steps), np.searchsorted(steps, at_ns, side="right")

    def way(self, rows: I64, at_ns: I64) -> Prospect:
        """Return what to expect of each row at its instant; rows may repeat."""
        wire, links = self._wire, self._wire.underlay.links
        matrix = wire.links_of(rows)
        # By link, then the padding, which does nothing, and -1, which is no route.
        delay = np.append(links.delay_ns + wire.congestion_delay_ns, [0, 0])
        jitter = np.append(links.jitter_ns, [0, 0])
        survive = np.append(self._survive * (PPM - wire.congestion_loss_ppm) // PPM, [PPM, 0])
        mtu = np.append(links.mtu, [NEVER, NEVER])
        left = np.full(len(rows), PPM, dtype=np.int64)
        for link in matrix.T:
            left = left * survive[link] // PPM
        found = Prospect(
            delay[matrix].sum(axis=1), jitter[matrix].sum(axis=1), left, mtu[matrix].min(axis=1)
        )
        if len(rows):
            self._harm(found, matrix, at_ns)
        left[wire.mute_at(rows, at_ns)] = 0
        return found._replace(loss_ppm=PPM - left)

    def _harm(self, found: Prospect, matrix: I32, at_ns: I64) -> None:
        """Let faults do what they do; ``loss_ppm`` holds what survives until then."""
        special = np.zeros(self._wire.neutral + 2, dtype=np.bool_)
        special[self._effects.touched(int(at_ns.min()), int(at_ns.max()) + 1)] = True
        for link in matrix.T:
            at = np.flatnonzero(special[link])
            state = self._effects.at(link[at], at_ns[at])
            survive = found.loss_ppm[at] * (PPM - state.loss_ppm) // PPM
            survive = survive * (PPM - state.corrupt_ppm) // PPM
            survive[state.blackhole] = 0
            found.loss_ppm[at] = survive
            found.delay_ns[at] += state.delay_ns
            found.jitter_ns[at] += state.jitter_ns
            found.mtu[at] = np.minimum(found.mtu[at], state.mtu)


def _mean_ppm(burst: Burst | None) -> int:
    if burst is None:
        return 0
    return burst.loss_ppm * burst.length_ns // (burst.gap_ns + burst.length_ns)


def _steady(occurrence: Occurrence) -> Occurrence:
    fault = occurrence.fault
    if fault.kind is FaultKind.BURST_LOSS:
        fault = replace(fault, kind=FaultKind.LOSS, burst=None, loss_ppm=commanded(fault))
    return replace(occurrence, fault=fault)
