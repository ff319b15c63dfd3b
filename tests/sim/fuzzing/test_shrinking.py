"""Shrinking: what is needed stays, all else goes, and the same finding ends the same way."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.sim.fuzzing.cuts import FINE, ROUGH
from patronus.sim.fuzzing.drawing import draw
from patronus.sim.fuzzing.pruning import without_site, without_transport
from patronus.sim.fuzzing.shrinking import Shrinker, fewest
from patronus.sim.fuzzing.trial import Verdict
from patronus.sim.language import parse
from patronus.sim.language.writing import text
from patronus.sim.scenario import Scenario

BROKEN = Verdict("loops", 1, "somewhere", at_ns=-1)
SOUND = Verdict()


@given(needed=st.sets(st.integers(0, 129), max_size=4), count=st.integers(1, 130))
def test_the_fewest_are_those_that_are_needed(needed: set[int], count: int) -> None:
    """Whatever is needed together is left, and nothing else, from well over a hundred."""
    needed = {n for n in needed if n < count}
    tries = 0

    def good(some: Sequence[int]) -> bool:
        nonlocal tries
        tries += 1
        return needed <= set(some)

    assert set(fewest(range(count), good)) == needed
    assert tries <= 12 * (len(needed) + 1) + 30


def needs(*names: str) -> Shrinker:
    """Return a shrinker of a finding that takes some faults, mpls and the site s1."""

    def test(scenario: Scenario) -> Verdict:
        faults = {fault.name for fault in scenario.faults}
        sites = {site.name for site in scenario.topology.sites}
        transports = {t.name for t in scenario.transports}
        shows = set(names) <= faults and "s1" in sites and "mpls" in transports
        return BROKEN if shows else SOUND

    return Shrinker(BROKEN, test=test)


def rich() -> Scenario:
    """Return a schedule with many faults, on s1 over mpls as far as they are needed."""
    drawn = next(s for n in range(99) if len((s := draw(8, n)).faults) > 30)
    some = [
        replace(f, select=replace(f.select, sites=("s1",), transports=("mpls",)))
        for f in drawn.faults
        if f.select.sites and f.select.transports
    ]
    others = [f for f in drawn.faults if f.name not in {s.name for s in some}]
    return replace(drawn, faults=(*some[:2], *others))


def test_a_schedule_shrinks_to_what_is_needed() -> None:
    """Two sites, one transport, the needed faults, the default policy; again the same."""
    drawn = rich()
    names = [fault.name for fault in drawn.faults[:2]]
    small = needs(*names).shrink(drawn)
    assert [fault.name for fault in small.faults] == names
    assert len(small.topology.sites) == 2
    assert [t.name for t in small.transports] == ["mpls"]
    assert len(small.policy.classes) == 1
    assert not small.traffic
    assert all(f.schedule.every_ns == f.schedule.random_mean_ns == 0 for f in small.faults)
    assert needs(*names).shrink(drawn) == small
    assert parse(text(small)).topology == small.topology


def test_no_more_runs_are_made_than_allowed() -> None:
    """The best so far is returned when the runs are used up."""
    drawn = rich()
    shrinker = Shrinker(BROKEN, trials=5, test=lambda scenario: BROKEN)
    assert len(shrinker.shrink(drawn).faults) < len(drawn.faults)
    assert shrinker.trials == 5


@settings(max_examples=8)
@given(number=st.integers(0, 10**6))
def test_cuts_end(number: int) -> None:
    """A cut proposes few scenarios, and none of them is the one it was given."""
    drawn = draw(4, number)
    proposals = [smaller for cut in (*ROUGH, *FINE) for smaller in cut(drawn)]
    assert 0 < len(proposals) < 120 + 10 * len(drawn.faults)
    assert sum(smaller == drawn for smaller in proposals) <= 2


def test_nothing_speaks_of_what_was_taken_away() -> None:
    """Without a site or a transport no fault, group, class or destination names it."""
    for number in range(40):
        drawn = draw(6, number)
        site = drawn.topology.sites[-1].name
        said = repr(replace(without_site(drawn, site), name=""))
        assert f"'{site}'" not in said
        assert f":{site}:" not in said
        gone = drawn.transports[-1].name
        assert gone not in repr(without_transport(drawn, gone))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (Verdict("loops", 1, "a"), Verdict("loops", 5, "b"), True),
        (Verdict("loops", 1, "a"), Verdict("hasty", 1, "a"), False),
        (Verdict("crash", 1, "KeyError in x: 1"), Verdict("crash", 1, "KeyError in x: 2"), True),
        (Verdict("crash", 1, "KeyError in x: 1"), Verdict("crash", 1, "KeyError in y: 1"), False),
    ],
)
def test_findings_are_alike_by_invariant_or_place(
    one: Verdict, other: Verdict, *, alike: bool
) -> None:
    """Crashes at two places are two findings; violations of one invariant are one kind."""
    assert one.like(other) == alike
