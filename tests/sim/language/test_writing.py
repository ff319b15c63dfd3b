"""A scenario that is written and read again is the same one."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.policy import Policy, TrafficClass
from patronus.sim.fuzzing.drawing import draw
from patronus.sim.language import load, parse
from patronus.sim.language.writing import text
from patronus.sim.scenario import FaultKind, Scenario, Schedule, Selector, SiteSpec, TopologySpec
from tests.rules.tree import ROOT
from tests.sim.handmade import make_fault, make_scenario

SHIPPED = sorted((ROOT / "scenarios").glob("*.patronus.yml"))
EVERYTHING = Path(__file__).parent / "examples" / "everything.patronus.yml"


def plain(scenario: Scenario) -> Scenario:
    """Return a scenario without what only files have: paths, lines, and aliases of profiles."""
    faults = tuple(replace(fault, place="") for fault in scenario.faults)
    lines = tuple(replace(line, line=0) for line in scenario.expectations)
    return replace(scenario, path="", faults=faults, expectations=lines)


@pytest.mark.parametrize("path", [*SHIPPED, EVERYTHING], ids=lambda path: path.name)
def test_files_survive(path: Path) -> None:
    """What a shipped file says is said by its writing, too."""
    scenario = plain(load(path))
    assert plain(parse(text(scenario))) == scenario


@settings(max_examples=20)
@given(seed=st.integers(0, 2**63 - 1), number=st.integers(0, 10**6))
def test_drawn_scenarios_survive(seed: int, number: int) -> None:
    """Whatever the fuzzer draws can be written, all kinds of faults and policies."""
    scenario = draw(seed, number)
    assert plain(parse(text(scenario), scenario.name)) == plain(scenario)


def test_a_comment_stands_above() -> None:
    """Each line of a comment is one of the file."""
    scenario = Scenario("x", TopologySpec(sites=(SiteSpec("a"), SiteSpec("b"))), ())
    assert text(scenario, "One.\n\nTwo.").startswith("# One.\n#\n# Two.\nversion: 1\n")


def test_what_cannot_be_said_is_an_error() -> None:
    """A half-applied policy that takes a cost back has no words in the language."""
    fault = make_fault(
        FaultKind.HALF_CONFIG,
        select=Selector(sites=("berlin",)),
        schedule=Schedule(0),
        policy=Policy(classes=(TrafficClass("default"),)),
    )
    base = Policy(cost={"mpls": 3})
    with pytest.raises(ValueError, match="takes `cost` back"):
        text(make_scenario(fault, policy=base))
