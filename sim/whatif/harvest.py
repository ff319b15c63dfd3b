"""What a child does with its world: take on one failure, watch, and tell what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, process_time

import numpy as np
import pandas as pd

from patronus.sim import result
from patronus.sim.expectation import Expectation
from patronus.sim.faults.kinds import Target, kind_of
from patronus.sim.foresight import arm
from patronus.sim.judgement import Verdict, judge
from patronus.sim.run import FAULTS, HEALTH, Run
from patronus.sim.whatif.failures import Failure
from patronus.sim.whatif.outcome import Baseline, Judged, Outcome, harms, longest
from patronus.sim.whatif.watch import Watch
from patronus.sim.world import Halt, Stop, World

_CHECKS = ("loops", "black_holes", "flaps", "sla_misses", "conservation")


@dataclass(frozen=True, slots=True)
class Manner:
    """How failures are watched, the same for all."""

    t0_ns: int
    """When they begin."""
    full: bool = False
    """To the end of the scenario, even when everything has come to rest."""
    whole: bool = False
    """Tell all exposures, also of pairs that send nothing."""
    expectations: tuple[Expectation, ...] = ()


class Child:
    """One failure, given to a world that is stopped in its warm-up."""

    def __init__(self, world: World, failure: Failure, manner: Manner, base: Baseline) -> None:
        """Arm the failure.

        Raises:
            FaultError: it hits nothing.
        """
        self._began = perf_counter()
        self._world, self._failure, self._manner, self._base = world, failure, manner, base
        arm(world, failure.faults)
        self._watch = Watch(world, base, manner.t0_ns)
        self._idle = _touches_nobody(world)

    def look(self, now_ns: int) -> None:
        """Take note that a slot begins.

        Raises:
            Halt: nothing more can happen.
        """
        if not self._manner.full:
            if self._idle:
                raise Halt
            self._watch(now_ns)

    def outcome(self, stop: Stop, journal: Sequence[bytes]) -> Outcome:
        """Return what came of the failure once the world has stopped."""
        world, manner = self._world, self._manner
        classes, sites = harms(world, self._base, manner.t0_ns)
        ledger = world.measurement.ledger
        carried = np.isin(ledger.entry, world.load.entries)
        frame = result.failovers(world, stop.at_ns)
        return Outcome(
            id=self._failure.id,
            until_ns=max(0, stop.at_ns - manner.t0_ns),
            settled=self._idle or self._watch.settled,
            classes=classes,
            sites=sites,
            exposures=len(ledger),
            carried=int(np.count_nonzero(carried)),
            switch_ns=longest(ledger.switch_ns[carried]),
            failover_ns=longest(ledger.failover_ns[carried]),
            unavoidable=world.measurement.harm.unavoidable,
            checks={name: int(getattr(world.checkers, name)) for name in _CHECKS},
            verified=tuple(
                world.gauges.reading(o).verified for o in world.timeline.occurrences
            ),
            judged=_judged(world, frame, journal, manner.expectations),
            wall_s=perf_counter() - self._began,
            cpu_s=process_time(),
            frame=_plain(frame if manner.whole else frame[carried]),
        )  # fmt: skip


def rehearse(world: World) -> None:
    """Make a table that is thrown away: what libraries load upon first use, children then share."""
    _plain(result.failovers(world, world.now_ns))


def _touches_nobody(world: World) -> bool:
    """Tell whether no tunnel crosses what fails and no site does: all is as without it."""
    occurrences = world.timeline.occurrences
    return all(kind_of(o.fault).target is Target.LINKS for o in occurrences) and not any(
        len(world.measurement.harm.rows(o)) for o in occurrences
    )


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose texts stand by themselves, not as numbers of thousands of names."""
    texts = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys(texts, object)).reset_index(drop=True)


def _judged(
    world: World,
    failovers: pd.DataFrame,
    journal: Sequence[bytes],
    expectations: Sequence[Expectation],
) -> tuple[Judged, ...]:
    """Judge the expectations that a failure gives something to measure."""
    if not expectations:
        return ()
    run = Run(
        name=world.scenario.name,
        seed=world.seed,
        summary={"checks": {name: getattr(world.checkers, name) for name in _CHECKS}},
        decisions=result.decisions(journal),
        detections=result.detections(world),
        failovers=failovers,
        series=result.series(world),
        health=pd.DataFrame(columns=list(HEALTH)),
        faults=pd.DataFrame(columns=list(FAULTS)),
        topology={},
    )
    found = judge(expectations, [run])
    return tuple(
        Judged(j.text, str(j.verdict), j.measured_text)
        for j in found
        if j.verdict is not Verdict.UNDECIDED
    )
