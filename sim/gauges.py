"""Every fault is verified: what was commanded against what the receiver counted.

A fault is *injected, verified, undone, and verified undone*: its quantity
(:mod:`patronus.sim.faults.kinds` names it) is measured up to two seconds before it, while
it is there, and up to two seconds after. Everything is counted on packets and announcements
that really travel through the simulated network: test packets with luck of their own,
probes, announcements. Nothing that is measured feeds back into the run.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from patronus.engine.engine import Received
from patronus.sim.faults.kinds import kind_of
from patronus.sim.flight import Samples
from patronus.sim.gauging import steering
from patronus.sim.gauging.company import Company
from patronus.sim.gauging.controls import AnnouncementGauge, ClockGauge
from patronus.sim.gauging.evidence import Reading
from patronus.sim.gauging.gauge import Gauge
from patronus.sim.gauging.wires import INSTRUMENTS, BehindLan, StormGauge, WireGauge
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence

if TYPE_CHECKING:
    from patronus.sim.world import World

__all__ = ["Gauges", "Reading"]


class Gauges:
    """One gauge for each fault that is to be measured."""

    def __init__(self, world: "World", occurrences: Iterable[Occurrence]) -> None:
        self._world = world
        self.foresee(occurrences)

    def foresee(self, occurrences: Iterable[Occurrence]) -> None:
        """Make the gauges of some faults of the world's timeline."""
        world = self._world
        by_fault: dict[str, list[Occurrence]] = {}
        for occurrence in occurrences:
            by_fault.setdefault(occurrence.fault.name, []).append(occurrence)
        self._company = Company(world.timeline, world.overlay)
        self._gauges = {
            name: self._make(sorted(of, key=lambda o: o.ordinal)) for name, of in by_fault.items()
        }
        every = list(self._gauges.values())
        self._clocks = [g for g in every if isinstance(g, ClockGauge)]
        self._announcements = [g for g in every if isinstance(g, AnnouncementGauge)]

    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of one occurrence."""
        return self._gauges[occurrence.fault.name].reading(occurrence)

    # ------------------------------------------------------------ what the world reports

    def end(self, start_ns: int, until_ns: int) -> None:
        """A slot has ended; its wire is still there."""
        for gauge in self._gauges.values():
            gauge.see(start_ns, until_ns)
        sleepers = self._world.sleepers
        if sleepers is not None:
            for clock in self._clocks:
                sleepers.keep_awake(clock.rows)

    @property
    def sampling(self) -> bool:
        """Some gauge looks at reflections."""
        return bool(self._clocks)

    def sample(self, samples: Samples) -> None:
        """Reflections have come back."""
        for gauge in self._clocks:
            gauge.sample(samples)

    def heard(self, received: Sequence[Received]) -> None:
        """Announcements have arrived at agents that run."""
        index, now = self._world.overlay.site_index, self._world.now_ns
        for gauge in self._announcements:
            for observers, announcement in received:
                gauge.heard(index[announcement.origin], observers, now)

    # ------------------------------------------------------------ which gauge for which fault

    def _make(self, occurrences: list[Occurrence]) -> Gauge:
        quantity = kind_of(occurrences[0].fault).quantity
        if quantity in INSTRUMENTS:
            return self._wire_gauge(occurrences, quantity)
        if quantity == "announcements":
            return self._announcement_gauge(occurrences)
        if quantity == "clock_ns":
            return self._clock_gauge(occurrences)
        return self._steering_gauge(occurrences, quantity)

    def _wire_gauge(self, occurrences: list[Occurrence], quantity: str) -> Gauge:
        world, first = self._world, occurrences[0]
        lan = first.fault.kind is FaultKind.LAN_DOWN
        instrument = (
            BehindLan(first, world.wire, world.agents)
            if lan
            else INSTRUMENTS[quantity](first, world.wire)
        )
        make = StormGauge if first.rows else WireGauge
        return make(
            occurrences,
            instrument,
            wire=world.wire,
            company=self._company,
            seed=world.seed,
            end_ns=world.scenario.duration_ns,
        )

    def _announcement_gauge(self, occurrences: list[Occurrence]) -> Gauge:
        scenario = self._world.scenario
        return AnnouncementGauge(
            occurrences,
            self._company,
            policy=scenario.policy,
            control=scenario.control,
            end_ns=scenario.duration_ns,
        )

    def _clock_gauge(self, occurrences: list[Occurrence]) -> Gauge:
        world = self._world
        return ClockGauge(
            occurrences,
            world.timeline,
            wire=world.wire,
            company=self._company,
            seed=world.seed,
            end_ns=world.scenario.duration_ns,
        )

    def _steering_gauge(self, occurrences: list[Occurrence], quantity: str) -> Gauge:
        world, scenario = self._world, self._world.scenario
        seen = steering.World(
            world.overlay,
            world.wire,
            world.dataplane,
            self._company,
            scenario.policy,
            scenario.control,
            world.seed,
            scenario.duration_ns,
        )
        kinds = {"packets": steering.DrainGauge, "policies": steering.PolicyGauge}
        return kinds[quantity](occurrences, seen)
