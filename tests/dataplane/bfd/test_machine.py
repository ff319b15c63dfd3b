"""The table of states against the RFC's pseudo-code, over the whole product."""

from itertools import product
from pathlib import Path

import pytest

from patronus.dataplane.bfd.machine import (
    AFTER_HEARING,
    AFTER_SILENCE,
    State,
    diagram,
    transitions,
)
from tests.oracles.bfd import state_after

NAMES = {
    State.ADMIN_DOWN: "AdminDown",
    State.DOWN: "Down",
    State.INIT: "Init",
    State.UP: "Up",
}
DOCUMENT = Path(__file__).parents[3] / "docs" / "bfd.md"


@pytest.mark.parametrize(("ours", "heard"), list(product(State, State)))
def test_hearing_moves_the_state_as_the_rfc_says(ours: State, heard: State) -> None:
    """The table is 6.8.6, for each of our states and each of the peer's."""
    after, _ = state_after(NAMES[ours], NAMES[heard])
    assert NAMES[AFTER_HEARING[ours][heard]] == after


def test_silence_ends_only_what_had_begun() -> None:
    """Init and Up fall to Down when the Detection Time is over, the others stay."""
    fallen = {state for state in State if AFTER_SILENCE[state] is not state}
    assert fallen == {State.INIT, State.UP}
    assert {AFTER_SILENCE[state] for state in fallen} == {State.DOWN}


def test_both_ends_reach_up_from_any_pair_and_stay() -> None:
    """Taking turns, two enabled ends are Up after a few packets, whatever they began with."""
    enabled = (State.DOWN, State.INIT, State.UP)
    for pair in product(enabled, enabled):
        a, b = pair
        for _ in range(4):
            b = AFTER_HEARING[b][a]
            a = AFTER_HEARING[a][b]
        assert (a, b) == (State.UP, State.UP), pair


def test_no_end_stays_up_beside_one_that_is_not() -> None:
    """A peer that is Down or AdminDown takes us out of Up with its first packet."""
    for heard in (State.ADMIN_DOWN, State.DOWN):
        assert AFTER_HEARING[State.UP][heard] is State.DOWN
    for ours in (State.DOWN, State.ADMIN_DOWN):
        assert AFTER_HEARING[ours][State.UP] is not State.UP


def test_the_diagram_shows_every_change() -> None:
    """Each change of state in the tables is an arrow."""
    shown = diagram()
    pairs = {(NAMES[a], NAMES[b]) for a, _, b in transitions()}
    arrows = {tuple(line.split(":")[0].split(" --> ")) for line in shown.splitlines()[2:]}
    assert {(a.strip(), b) for a, b in arrows} == pairs
    assert ("Down", "Up") in pairs
    assert ("Up", "Init") not in pairs


def test_the_document_has_the_diagram() -> None:
    """The state diagram in the documentation is the one that the tables make."""
    assert f"```mermaid\n{diagram()}```" in DOCUMENT.read_text()
