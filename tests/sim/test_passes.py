"""Compiled passes do what the plain ones do: whole worlds are the same with either."""

from dataclasses import replace

import pytest

from patronus.engine.policy import LivenessProfile
from patronus.engine.units import MS
from patronus.sim.scenario import Scenario
from tests.short import short
from tests.sim.storms import LIVENESS, STORMS, calm
from tests.sim.test_prober import compare
from tests.sim.test_world import run, told

OFTEN = LivenessProfile("often", 50 * MS, 4)
"""Every slot of 100 ms holds whole rounds of probes: the compiled passes take them."""

UNEVEN = LivenessProfile("uneven", 40 * MS, 5)
"""Some rounds are cut by the ends of slots: plain and compiled passes take turns."""


def evenly(storm: str, profile: LivenessProfile, **fields: object) -> Scenario:
    """Return a storm whose transports are all probed at one interval."""
    scenario = calm(*STORMS[storm], **fields)  # type: ignore[arg-type]  # those of calm
    policy = replace(scenario.policy, liveness=dict.fromkeys(LIVENESS, profile))
    return replace(scenario, policy=policy)


@pytest.mark.parametrize("profile", [OFTEN, UNEVEN], ids=lambda p: p.name)
@pytest.mark.parametrize("storm", short(STORMS, 2))
def test_worlds(storm: str, profile: LivenessProfile) -> None:
    """Journal, summary and frames of a storm are the same with compiled and plain passes."""
    scenario = evenly(storm, profile)
    assert told(run(scenario, compiled=True)) == told(run(scenario, compiled=False))


@pytest.mark.parametrize("storm", STORMS)
def test_plain_world(storm: str) -> None:
    """Compiled fates, stamps and edges are those of one process a tunnel, packet by packet."""
    compare(evenly(storm, OFTEN, traffic=False), compiled=True)
