"""Shipped scenarios are short, say what they teach, and state what was derived by hand."""

import re

import pytest

from patronus.sim.api import plan
from patronus.sim.scenario import FaultKind
from tests.scenarios.catalogue import NAMES, SHOWN, path_of, shipped

LINES_MOST = 60
BY_HAND = re.compile(r"^  # by hand\b.*\n(?:  # .*\n)*  - \S", re.MULTILINE)


def test_there_are_enough_of_them() -> None:
    """At least twenty scenarios are shipped, and one of them is the demo."""
    assert len(NAMES) >= 20
    assert "demo" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_says_what_it_teaches(name: str) -> None:
    """A scenario opens with a comment, has an about, and fits a screen or two."""
    text = path_of(name).read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert shipped(name).about
    assert len(text.splitlines()) <= LINES_MOST


@pytest.mark.parametrize("name", NAMES)
def test_an_assertion_is_derived_by_hand(name: str) -> None:
    """Some expectation stands below the arithmetic that it follows from."""
    text = path_of(name).read_text(encoding="utf-8")
    assert BY_HAND.search(text)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_suspicious(name: str) -> None:
    """No fault of a shipped scenario comes too late or changes nothing."""
    scenario = shipped(name)
    _, timeline = plan(scenario, scenario.seed)
    assert not timeline.warnings


def test_every_kind_is_shown() -> None:
    """Each kind of fault is shown by a fault of that kind."""
    assert set(SHOWN) == set(FaultKind)
    for kind, (name, fault) in SHOWN.items():
        assert [f.kind for f in shipped(name).faults if f.name == fault] == [kind]
