"""Half-applied policies against a plain dictionary of sites."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import configured as kernel
from patronus.engine.policy import Policy
from tests.mutants.harness import caught, mutant

COMMON = Policy()
OTHERS = tuple(replace(COMMON, margin_ns=ns) for ns in (1, 2, 3))

SITES = 5
STEPS = st.lists(
    st.tuples(st.sets(st.integers(0, SITES - 1)), st.sampled_from([None, *OTHERS, COMMON])),
    max_size=10,
)
"""Sites, and the policy that they run from now on."""

Life = tuple[list[tuple[set[int], Policy | None]], list[int]]
LIVES = st.tuples(STEPS, st.lists(st.integers(0, SITES - 1), max_size=8))
"""The second value: sites of rows, in any order."""


def live(module: ModuleType, life: Life) -> None:
    steps, asked = life
    configured = module.Configured(COMMON, SITES)
    runs = dict.fromkeys(range(SITES), COMMON)
    for sites, policy in steps:
        configured.set(sorted(sites), policy)
        runs |= dict.fromkeys(sites, policy or COMMON)
        assert [configured.of(site) for site in range(SITES)] == [runs[s] for s in range(SITES)]
        # The common one first, then those in use, each once.
        assert configured.policies[0] == COMMON
        assert len(configured.policies) == len({id(p) for p in configured.policies})
        assert all(p in runs.values() for p in configured.policies[1:])
        assert len(configured.policies) == 1 + len(
            {p.margin_ns for p in runs.values()} - {COMMON.margin_ns}
        )
    found: dict[int, Policy] = {}
    for policy, at in configured.split(np.array(asked, dtype=np.int64)):
        places = np.arange(len(asked))[at].tolist()
        assert not found.keys() & set(places)
        found |= dict.fromkeys(places, policy)
    assert found == {place: runs[site] for place, site in enumerate(asked)}


@given(LIVES)
def test_each_site_runs_what_it_was_told_last(life: Life) -> None:
    """Rows are split so that each stands once, beside the policy of its own site."""
    live(kernel, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0 if policy is None else", "0 if policy is not None else"),
        ("self._drop_unused()", "pass"),
        ("np.union1d(self._of_site, [0])", "np.union1d(self._of_site, self._of_site)"),
        ("np.searchsorted(used, self._of_site)", "self._of_site"),
        ("if len(self.policies) == 1:", "if len(self.policies) <= 2:"),
        ("np.flatnonzero(numbers == number)", "np.flatnonzero(numbers >= number)"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking it is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIVES, lambda life: live(broken, life))
