"""How long a bad state is forgiven."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.policy import Damping, Features, Policy
from patronus.engine.units import MS, SECOND
from patronus.sim.checks import lasting
from patronus.sim.checks.rules import bound_ns, sla_bound_ns, slack_ppm
from tests.mutants.harness import caught, mutant


def test_the_bound_follows_from_the_policy() -> None:
    """Three detect times, two evaluations, one hold after a failure, a message, a round trip."""
    policy = Policy(damping=Damping(hold_ns=2 * SECOND))
    bound = bound_ns(policy, ("mpls",), spread_ns=60 * MS, rtt_ns=40 * MS)
    assert bound == 3 * 300 * MS + 2 * SECOND + 4 * SECOND + 100 * MS
    assert sla_bound_ns(policy, bound) == bound + 10 * SECOND
    undamped = replace(policy, features=Features(damping=False))
    assert bound_ns(undamped, ("mpls",), spread_ns=0, rtt_ns=0) == 2900 * MS
    assert slack_ppm(policy, ("mpls",), 10 * SECOND) == 100_000, "ten of a hundred probes"


States = tuple[list[bool], int]
STATES: st.SearchStrategy[States] = st.tuples(
    st.lists(st.booleans(), max_size=40), st.integers(0, 5)
)
"""Whether an entry is ill at successive steps, and for how many that is forgiven."""


def comes_out_once(module: ModuleType, states: States) -> None:
    """Hold what comes out against counting the ill steps in a row."""
    bad, steps = states
    held, one = module.Lasting(1, steps * 100 * MS), np.zeros(1, dtype=np.int64)
    run = 0
    for number, ill in enumerate(bad):
        run = run + 1 if ill else 0
        held.update(one, np.array([ill]), number * 100 * MS)
        assert len(held.over(number * 100 * MS)) == (run == steps + 2)


@given(STATES)
def test_what_lasts_comes_out_once(states: States) -> None:
    """A state comes out at the first step at which it has lasted longer than the bound."""
    comes_out_once(lasting, states)


MUTANTS = {
    "the bound itself is too long": ("> self._bound_ns", ">= self._bound_ns"),
    "getting well is not noticed": ("self._since[entries[~bad]] = _WELL", "pass"),
    "falling ill again counts from the first time": (
        "found.append(entries[self._since[entries] == step])", "found.append(entries)"
    ),
    "being ill begins anew each time": ("new = ill[self._since[ill] == _WELL]", "new = ill"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_counting_notices_a_broken_memory(name: str) -> None:
    """The property fails on each mutant."""
    broken = mutant(lasting, *MUTANTS[name])
    assert caught(STATES, lambda states: comes_out_once(broken, states))
