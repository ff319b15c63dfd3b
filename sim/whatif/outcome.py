"""What one failure did: which flows were out of their SLA, when, where, and who was exposed.

Luck is keyed by names, so the same overlay without the failure meets the same losses. A flow
is counted as *out* in a second in which it breaks its class's SLA, or has less than half of
its packets delivered, and does neither without the failure. Flows that begin or end at a site
that has itself failed are *gone* with it: no network could carry them, so they are counted apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, SECOND
from patronus.sim.scenario import FaultKind
from patronus.sim.tally import Second

if TYPE_CHECKING:
    import pandas as pd

    from patronus.sim.world import World

PLACES: Final = 5
"""The flows of a class that are named, the worst."""


@dataclass(frozen=True, slots=True)
class Place:
    """One flow that was out."""

    site: str
    destination: str
    out_s: int
    still: bool
    """It was out when the simulation ended."""


@dataclass(frozen=True, slots=True)
class ClassHarm:
    """What a failure did to one class."""

    flows: int
    gone: int
    """Flows of them that began or ended at what failed."""
    out: int
    """Flows that were out in some second."""
    still: int
    """Of these, flows that still were when the simulation ended."""
    longest_s: int
    """Seconds of the flow that was out longest."""
    flow_s: int
    """Seconds of all flows together."""
    lost: int
    """Packets lost that arrive without the failure, less those that it saved."""
    by_second: tuple[int, ...]
    """Flows that were out in each second from the failure on."""
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """One expectation of the scenario, judged on one failure."""

    text: str
    verdict: str
    measured: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one failure."""

    id: str
    until_ns: int
    """How long it was watched, from the failure on."""
    settled: bool
    """Everything had come to rest by then; else the time was over."""
    classes: Mapping[str, ClassHarm]
    sites: Mapping[str, int]
    """Seconds of the flow that was out longest, by its site; sites with none are left out."""
    exposures: int
    carried: int
    """Exposures that traffic was on."""
    switch_ns: int
    """The longest switch of those, -1 without any, ``NEVER`` if one was never saved."""
    failover_ns: int
    unavoidable: int
    """Entries that were harmed and had no other path."""
    checks: Mapping[str, int]
    verified: tuple[str, ...]
    """Of each fault: ``yes``, ``no``, or ``unobserved``."""
    judged: tuple[Judged, ...]
    wall_s: float
    cpu_s: float
    """Of its process."""
    frame: "pd.DataFrame | None" = None
    """Its exposures, columns ``run.FAILOVERS``: those that traffic was on, or all."""

    @property
    def harmless(self) -> bool:
        """No flow was out in any second."""
        return not any(harm.out for harm in self.classes.values())

    @property
    def still(self) -> int:
        """Flows that were out when the simulation ended."""
        return sum(harm.still for harm in self.classes.values())

    @property
    def out(self) -> int:
        """Flows that were out in some second."""
        return sum(harm.out for harm in self.classes.values())

    @property
    def gone(self) -> int:
        """Flows that began or ended at what failed."""
        return sum(harm.gone for harm in self.classes.values())

    @property
    def flow_s(self) -> int:
        """Seconds out of all flows together."""
        return sum(harm.flow_s for harm in self.classes.values())

    @property
    def longest_s(self) -> int:
        """Seconds of the flow that was out longest."""
        return max((harm.longest_s for harm in self.classes.values()), default=0)


@dataclass(frozen=True, slots=True)
class Died:
    """A failure whose simulation did not come to its end."""

    id: str
    why: str


Result: TypeAlias = Outcome | Died


@dataclass(frozen=True, eq=False)
class Baseline:
    """The same time without any failure; arrays of shape (seconds, flows)."""

    out: Bools
    lost: I64
    converged: bool
    """At time zero; on lines with long queues children begin before that."""


def baseline(world: "World") -> Baseline:
    """Return what flows met in each second of a world that has run without a failure."""
    seconds = [second for _, _, second in world.measurement.records.seconds]
    flows = len(world.load.entries)
    out = np.array([out_of(s) for s in seconds], dtype=np.bool_).reshape(-1, flows)
    lost = np.array([s.offered - s.delivered for s in seconds], dtype=np.int64)
    return Baseline(out, lost.reshape(-1, flows), world.converged)


def out_of(second: Second) -> Bools:
    """Tell which flows break their SLA in a second, or have less than half delivered."""
    out: Bools = (second.in_sla == 0) | (2 * second.delivered < second.offered)
    return out


def harms(
    world: "World", base: Baseline, t0_ns: int
) -> tuple[dict[str, ClassHarm], dict[str, int]]:
    """Return what happened to each class, and to the flows of each site, since a failure."""
    first = t0_ns // SECOND
    seconds = [second for _, _, second in world.measurement.records.seconds[first:]]
    flows, count = len(world.load.entries), first + len(seconds)
    out = np.array([out_of(s) for s in seconds], dtype=np.bool_).reshape(-1, flows)
    out &= ~base.out[first:count]
    lost = np.array([s.offered - s.delivered for s in seconds], dtype=np.int64).reshape(-1, flows)
    lost -= base.lost[first:count]
    gone = _gone(world)
    out[:, gone], lost[:, gone] = False, 0
    demands, names = world.demands, world.scenario.policy.classes
    classes = {
        traffic_class.name: _class_harm(
            world, np.flatnonzero(demands.traffic_class == n), gone, out, lost
        )
        for n, traffic_class in enumerate(names)
        if (demands.traffic_class == n).any()
    }
    total, sites = out.sum(axis=0), world.overlay.sites
    worst = np.zeros(len(sites), dtype=np.int64)
    np.maximum.at(worst, demands.site, total)
    return classes, {sites[s]: int(worst[s]) for s in np.flatnonzero(worst).tolist()}


def _gone(world: "World") -> Bools:
    """Tell which flows begin at a site that has crashed, or can only end at such ones."""
    crashed = np.zeros(len(world.overlay.sites), dtype=np.bool_)
    for occurrence in world.timeline.occurrences:
        if occurrence.fault.kind is FaultKind.SITE_CRASH:
            crashed[list(occurrence.sites)] = True
    nowhere = np.array(
        [bool(crashed[list(d.sites)].all()) for d in world.overlay.destinations], dtype=np.bool_
    )
    gone: Bools = crashed[world.demands.site] | nowhere[world.demands.destination]
    return gone


def _class_harm(world: "World", at: I64, gone: Bools, out: Bools, lost: I64) -> ClassHarm:
    mine = out[:, at]
    total = mine.sum(axis=0)
    still = mine[-1] if len(mine) else np.zeros(len(at), dtype=np.bool_)
    order = np.lexsort((at, -total, ~still))[:PLACES]
    sites, targets = world.overlay.sites, world.overlay.destinations
    places = [
        Place(
            sites[world.demands.site[at[i]]],
            targets[world.demands.destination[at[i]]].name,
            int(total[i]),
            bool(still[i]),
        )
        for i in order.tolist()
        if total[i]
    ]
    return ClassHarm(
        flows=len(at),
        gone=int(np.count_nonzero(gone[at])),
        out=int(np.count_nonzero(total)),
        still=int(np.count_nonzero(still)),
        longest_s=int(total.max(initial=0)),
        flow_s=int(total.sum()),
        lost=int(lost[:, at].sum()),
        by_second=tuple(mine.sum(axis=1).tolist()),
        places=tuple(places),
    )


def longest(times: I64) -> int:
    """Return the longest of some durations, -1 if there is none."""
    return min(int(times.max(initial=-1)), NEVER)


def rank(results: Sequence[Result]) -> list[Result]:
    """Return results, those that hurt most first, what did not come to its end before all.

    First counts how many flows stay out, then for how many seconds flows were out together,
    then the longest of them, then the slowest failover.
    """

    def key(result: Result) -> tuple[int, int, int, int, int, str]:
        if isinstance(result, Died):
            return 0, 0, 0, 0, 0, result.id
        return (
            1, -result.still, -result.flow_s, -result.longest_s, -result.failover_ns, result.id,
        )  # fmt: skip

    return sorted(results, key=key)
