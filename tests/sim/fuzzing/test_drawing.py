"""Schedules: the same for everybody, of all kinds, over before the quiet."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.policy import WhenNone
from patronus.engine.units import NEVER, SECOND
from patronus.sim.api import plan
from patronus.sim.checks.rules import recovery_bounds_ns
from patronus.sim.fuzzing.dice import Dice
from patronus.sim.fuzzing.drawing import FAULTS, QUIET_NS, draw
from patronus.sim.fuzzing.policies import half_applied, policy
from patronus.sim.scenario import FaultKind, Mesh


@pytest.mark.parametrize("number", range(12))
def test_the_storm_ends_and_quiet_follows(number: int) -> None:
    """Every occurrence of every fault is over for as long as some class needs to recover."""
    scenario = draw(5, number)
    network, timeline = plan(scenario, scenario.seed)
    last = max(o.end_ns for o in timeline.occurrences)
    assert last < NEVER
    quiet_ns = scenario.duration_ns - last
    control = scenario.control
    bounds = recovery_bounds_ns(
        scenario.policy,
        network.overlay.transports,
        spread_ns=control.delay_ns + control.jitter_ns,
        rtt_ns=SECOND,
        reroute_ns=max(p.reroute_ns for p in network.underlay.providers),
    )
    assert quiet_ns >= bounds.min()


def test_draws_repeat_and_differ() -> None:
    """A number of a seed is one schedule; another number or seed is another."""
    assert draw(1, 2) == draw(1, 2)
    assert len({draw(s, n).seed for s in (1, 2) for n in range(5)}) == 10


@pytest.mark.parametrize("seed", range(3))
def test_what_is_drawn_can_be_built(seed: int) -> None:
    """No overlay falls apart, and each fault has something to hit."""
    for number in range(40):
        scenario = draw(seed, number)
        plan(scenario, scenario.seed)


def test_every_kind_is_drawn() -> None:
    """Some hundred schedules hold every kind and every mesh, full swarms and small ones."""
    drawn = [draw(3, number) for number in range(200)]
    kinds = Counter(f.kind for scenario in drawn for f in scenario.faults)
    assert set(kinds) == set(FaultKind)
    meshes = {scenario.topology.mesh for scenario in drawn}
    assert meshes == {Mesh.FULL, Mesh.HUBS, Mesh.PARTIAL}
    assert max(len(scenario.faults) for scenario in drawn) > FAULTS[1] // 2
    few = [s for s in drawn if len({f.kind for f in s.faults}) <= 2]
    assert len(few) > len(drawn) // 4


def test_policies_of_every_kind_are_drawn() -> None:
    """Classes that drop are few; limits come with holds that double twice, too."""
    policies = [draw(6, number).policy for number in range(100)]
    drops = [any(c.sla.when_none is WhenNone.DROP for c in p.classes) for p in policies]
    assert 5 < sum(drops) < 35
    twice = [p for p in policies if p.damping.hold_max_ns > 2 * p.damping.hold_ns]
    assert any(c.sla.loss_ppm is not None for p in twice for c in p.classes)


def test_every_shape_is_drawn() -> None:
    """Lines without jitter, carriers in one trench, homes that are no hubs and are not in order."""
    drawn = [draw(4, number) for number in range(60)]
    calm = [all(t.up.jitter_ns == 0 for t in scenario.transports) for scenario in drawn]
    assert 10 < sum(calm) < 50
    maps = [[t.provider for t in s.transports if "map:" in t.provider] for s in drawn]
    assert 10 < sum(len(names) > len(set(names)) for names in maps) < 50
    homes = [d.sites for scenario in drawn for d in scenario.destinations]
    assert any(not site.startswith("hub") for sites in homes for site in sites)
    assert any(list(sites) != sorted(sites) for sites in homes)


def test_faults_meet() -> None:
    """Of two or three faults most begin while another lasts, or soon after it."""
    drawn = [s for s in (draw(5, n) for n in range(200)) if 2 <= len(s.faults) <= 3]
    near = 0
    for first, second in ((s.faults[0].schedule, s.faults[1].schedule) for s in drawn):
        near += -SECOND <= second.at_ns - first.at_ns <= first.for_ns + 3 * SECOND
    assert near > len(drawn) // 2


def test_a_counted_schedule_has_its_size() -> None:
    """Fifty sites are a full mesh over two transports for 72 s and more."""
    scenario = draw(1, 0, sites=50)
    network, timeline = plan(scenario, scenario.seed)
    assert network.overlay.rows == 50 * 49 * 2
    assert scenario.duration_ns >= 72 * SECOND
    assert scenario.duration_ns - max(o.end_ns for o in timeline.occurrences) >= QUIET_NS


@settings(max_examples=30)
@given(
    name=st.text(max_size=8),
    least=st.integers(-50, 50),
    width=st.integers(0, 99),
    first=st.integers(1, 1000),
    more=st.integers(0, 10**9),
)
def test_throws_stay_within_their_bounds(
    name: str, least: int, width: int, first: int, more: int
) -> None:
    """Both ends are possible, nothing beyond them is; dice of one name throw alike."""
    dice, again = Dice(9, name), Dice(9, name)
    found = [dice.between(least, least + width) for _ in range(70)]
    assert found == [again.between(least, least + width) for _ in range(70)]
    assert all(least <= value <= least + width for value in found)
    assert all(first <= dice.scale(first, first + more) <= first + more for _ in range(40))


def test_some_are_different_ones_in_order() -> None:
    """No item is taken twice, and more than there are cannot be taken."""
    dice = Dice(1, "x")
    for _ in range(50):
        taken = dice.some("abcdef", 3)
        assert len(set(taken)) == 3
        assert list(taken) == sorted(taken)
    assert dice.some("ab", 9) == ("a", "b")


def test_a_half_applied_policy_has_the_classes_of_the_common_one() -> None:
    """The engine refuses others, and each can be written as a change."""
    for number in range(30):
        dice = Dice(number, "policies")
        base = policy(dice, ("mpls", "lte"))
        other = half_applied(dice, base, ("mpls", "lte"))
        assert [c.name for c in other.classes] == [c.name for c in base.classes]
        assert other != base
