"""Liveness: the table is complete, and each rule of the machine follows from it."""

from itertools import product
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import liveness
from patronus.engine.liveness import TABLE, Action, Input, State, Step, step, step_many
from tests.mutants.harness import caught, mutant
from tests.oracles.liveness import Machine

STATES = st.sampled_from(State)
INPUTS = st.sampled_from(Input)
SEQUENCES = st.tuples(STATES, st.lists(INPUTS, max_size=30))


def test_every_state_meets_every_input() -> None:
    """The table has one row for each pair and none besides."""
    assert set(TABLE) == set(product(State, Input))


def holds(kernel: ModuleType, example: tuple[State, list[Input]]) -> None:
    start, inputs = example
    machine = Machine(start.name)
    state = np.array([start], dtype=np.int8)
    for given_input in inputs:
        expected = machine.take(given_input.name)
        state, action = kernel.step_many(state, np.array([given_input], dtype=np.int8))
        assert (machine.state, expected) == (State(state[0]).name, Action(action[0]).name)


@given(SEQUENCES)
def test_the_table_is_the_machine_of_rules(example: tuple[State, list[Input]]) -> None:
    """Any sequence of inputs gives the states and actions of a machine written as rules."""
    holds(liveness, example)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "(State.INIT, Input.EXPIRE): Step(State.DOWN, Action.CANCEL_HOLD)",
            "(State.INIT, Input.EXPIRE): Step(State.INIT, Action.NONE)",
        ),
        (
            "(State.DOWN, Input.CONFIRM): Step(State.INIT, Action.START_HOLD)",
            "(State.DOWN, Input.CONFIRM): Step(State.UP, Action.GO_UP)",
        ),
        (
            "(State.UP, Input.CARRIER_LOST): Step(State.DOWN, Action.GO_DOWN)",
            "(State.UP, Input.CARRIER_LOST): Step(State.DOWN, Action.NONE)",
        ),
        ("return _NEXT[states, given], ", "return _NEXT[states, 1], "),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """A hold that is skipped or survives silence, and traffic left behind, are noticed."""
    broken = mutant(liveness, old, new)
    assert caught(SEQUENCES, lambda example: holds(broken, example))


@given(st.lists(st.tuples(STATES, INPUTS)))
def test_many_steps_are_single_steps(pairs: list[tuple[State, Input]]) -> None:
    """The vector form looks up the same table."""
    states = np.array([s for s, _ in pairs], dtype=np.int8)
    inputs = np.array([i for _, i in pairs], dtype=np.int8)
    after, actions = step_many(states, inputs)
    assert after.dtype == actions.dtype == np.dtype(np.int8)
    got = [Step(State(s), Action(a)) for s, a in zip(after.tolist(), actions.tolist(), strict=True)]
    assert got == [step(s, i) for s, i in pairs]


def test_one_input_for_many_rows() -> None:
    """A scalar input goes to all rows."""
    after, actions = step_many(np.array([State.UP, State.INIT], dtype=np.int8), Input.EXPIRE)
    assert after.tolist() == [State.DOWN, State.DOWN]
    assert actions.tolist() == [Action.GO_DOWN, Action.CANCEL_HOLD]


@given(STATES, INPUTS)
def test_up_is_entered_through_the_hold_only(state: State, given_input: Input) -> None:
    """Nothing but an elapsed hold in Init makes a tunnel fit for traffic."""
    after = liveness.step(state, given_input).state
    if after is State.UP and state is not State.UP:
        assert (state, given_input) == (State.INIT, Input.HOLD_ELAPSED)


@given(STATES, INPUTS)
def test_actions_match_the_change(state: State, given_input: Input) -> None:
    """Traffic is moved away exactly when Up is left; holds start and end with Init."""
    after, action = step(state, given_input)
    assert (action is Action.GO_DOWN) == (state is State.UP and after is not State.UP)
    assert (action is Action.GO_UP) == (after is State.UP and state is not State.UP)
    assert (action is Action.START_HOLD) == (after is State.INIT and state is not State.INIT)
    left_init = state is State.INIT and after in (State.DOWN, State.ADMIN_DOWN)
    assert (action is Action.CANCEL_HOLD) == left_init


@pytest.mark.parametrize("given_input", [i for i in Input if i is not Input.ADMIN_UP])
def test_admin_down_is_left_by_the_operator_only(given_input: Input) -> None:
    """No packet and no timer brings back what the operator switched off."""
    assert step(State.ADMIN_DOWN, given_input) == (State.ADMIN_DOWN, Action.NONE)
