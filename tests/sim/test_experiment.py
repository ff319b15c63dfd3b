"""Two policies under the same luck: what the difference is by construction, and what stops it."""

import math
from pathlib import Path

import pytest

from patronus.engine.units import MS
from patronus.sim import experiment, load
from patronus.sim.comparison import Change, Comparison, Pairs
from patronus.sim.crew import Crew, CrewError
from patronus.sim.experiment import further, gather
from patronus.sim.scenario import Scenario
from tests.sim.crews import Invented

QUIET = """\
version: 1
topology: {sites: [berlin, oslo, rome]}
transports:
  mpls: {access: {delay: 10ms, jitter: 0ms, loss: 0%}, core: {jitter: 0ms, loss: 0%}}
  broadband: {access: {delay: 20ms, jitter: 0ms, loss: 0%}, core: {jitter: 0ms, loss: 0%}}
duration: 3s
faults:
  - {kind: blackhole, name: cut, at: 1s, on: {site: rome, transport: mpls}}
"""

POLICY = """\
version: 1
features: {{adaptive_multiplier: off}}
liveness:
  mpls: {{interval: 100ms, multiplier: {multiplier}}}
"""

SEEDS = range(1, 9)


def figure(comparison: Comparison, name: str) -> Change:
    """Return one figure by its name."""
    return next(c for c in comparison.changes if c.name == name)


@pytest.fixture
def policies(tmp_path: Path) -> tuple[Scenario, Scenario]:
    """Return a quiet scenario under three and under five silent intervals."""
    file = tmp_path / "cut.patronus.yml"
    file.write_text(QUIET)
    found = []
    for multiplier in (3, 5):
        policy = tmp_path / f"times-{multiplier}.yml"
        policy.write_text(POLICY.format(multiplier=multiplier))
        found.append(load(file, policy=policy))
    return found[0], found[1]


def test_a_difference_known_by_construction(policies: tuple[Scenario, Scenario]) -> None:
    """Two silent intervals more are 200 ms in every seed, to the nanosecond, wherever phases lie.

    Lines are without loss and jitter, so the last packet before the cut is the same under both
    policies, and silence lasts two intervals of 100 ms longer.
    """
    comparison = experiment(*policies, SEEDS)
    for name in ("detection.p50", "detection.p95", "detection.p99", "detection.max"):
        found = figure(comparison, name)
        assert (found.difference, found.interval) == (200 * MS, (200 * MS, 200 * MS))
        assert found.narrowing is not None
        assert (found.narrowing.variance, found.narrowing.interval) == (math.inf, math.inf)
        # Without common luck the phases of the probes would blur it.
        assert found.narrowing.unpaired is not None
        assert found.narrowing.unpaired.lower < 200 * MS < found.narrowing.unpaired.upper


def test_workers_change_nothing_and_luck_of_its_own_is_simulated(
    policies: tuple[Scenario, Scenario],
) -> None:
    """Two workers find what one does; B's further seeds are the unpaired side."""
    seeds = range(1, 4)
    here = experiment(*policies, seeds, independent=True)
    there = experiment(*policies, seeds, independent=True, jobs=2)
    assert here.changes == there.changes
    assert here.seeds == ((1, 1), (2, 2), (3, 3))
    found = figure(here, "detection.p50").narrowing
    assert found is not None
    assert found.simulated
    assert found.variance == math.inf


def test_the_scenario_against_itself(policies: tuple[Scenario, Scenario]) -> None:
    """No policy differs from itself, under any seed."""
    comparison = experiment(policies[0], policies[0], range(2))
    assert comparison.divergences == {}
    assert {c.difference for c in comparison.changes if c.seeds} == {0}


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_that_are_none(policies: tuple[Scenario, Scenario], seeds: tuple[int, ...]) -> None:
    """No seed at all, or one twice, is refused before anything runs."""
    with pytest.raises(ValueError, match="at least one seed, and each once"):
        experiment(*policies, seeds)


def test_further_seeds_are_others() -> None:
    """As many, and none of those that both sides have."""
    assert further([7, 3]) == (8, 9)


def test_a_worker_that_dies_leaves_whole_pairs(policies: tuple[Scenario, Scenario]) -> None:
    """What came before it is kept, pair by pair, in order."""
    a, b = policies
    pairs = Pairs()
    with (
        Crew([Invented(a), Invented(b, deadly=9)], jobs=2) as crew,
        pytest.raises(CrewError, match="a worker process died"),
    ):
        gather(pairs, crew, range(1, 10))
    assert len(pairs.seeds) < 9
    assert pairs.seeds == [(s, s) for s in range(1, len(pairs.seeds) + 1)]
