"""A fault kind exists when it alone changes what happens under the same seed."""

from dataclasses import replace
from typing import Any

import pytest

from patronus.engine.units import SECOND
from patronus.sim import api
from patronus.sim.run import Run
from patronus.sim.scenario import FaultKind, Scenario
from tests.scenarios.catalogue import SHOWN, shipped
from tests.short import short

SEEN_NS = 6 * SECOND
"""A fault shows within this time, so runs end then."""

FIGURES = ("decisions_sha256", "classes", "failover_ms", "outage_ms", "degraded_ms")


def spared(scenario: Scenario, fault: str) -> Scenario:
    """Return a scenario without one of its faults."""
    return replace(scenario, faults=tuple(f for f in scenario.faults if f.name != fault))


def figures(run: Run) -> list[Any]:
    """Return what a reader of the report would see."""
    series = run.series[["site", "destination", "class", "delay_ns", "jitter_ns", "lost"]]
    return [*(run.summary[name] for name in FIGURES), series.to_dict("list")]


@pytest.mark.parametrize("kind", short(FaultKind, 3))
def test_a_kind_alone_makes_a_difference(kind: FaultKind) -> None:
    """Without this one fault the same seed gives other decisions or other figures."""
    name, fault = SHOWN[kind]
    scenario = shipped(name)
    end_ns = SEEN_NS + next(f.schedule.at_ns for f in scenario.faults if f.name == fault)
    with_it = api.run(scenario, until_ns=end_ns)
    assert figures(with_it) != figures(api.run(spared(scenario, fault), until_ns=end_ns))


def test_a_fault_that_is_not_there_makes_none() -> None:
    """The comparison finds no difference where there is none."""
    scenario = shipped("calm-day", ["duration=5s"])
    assert figures(api.run(scenario)) == figures(api.run(spared(scenario, "none")))
