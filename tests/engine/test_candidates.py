"""Candidates against a search through the list of tunnels."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import candidates as kernel
from patronus.engine.forwarding import NO_ROW
from tests.mutants.harness import caught, mutant
from tests.oracles.candidates import direct, through
from tests.oracles.overlays import Plan, plans

PLANS = st.tuples(plans(), st.booleans())
"""An overlay, and whether ways through other sites are asked for."""


def agree(module: ModuleType, example: tuple[Plan, bool]) -> None:
    plan, with_transit = example
    built = module.build_candidates(plan.build())
    width = len(built.direct)
    pairs = [(s, d) for s in range(plan.sites) for d in plan.destinations]
    sites, destinations = np.ascontiguousarray(np.array(pairs, dtype=np.int64).T)
    rows = built.rows(sites, destinations, with_transit=with_transit)
    for (site, destination), found in zip(pairs, rows.T.tolist(), strict=True):
        near = [
            (row, built.order[place, destination])
            for place, row in enumerate(found[:width])
            if row != NO_ROW
        ]
        far = [row for row in found[width:] if row != NO_ROW]
        assert len(set(near)) == len(near)
        assert set(near) == direct(plan, site, destination)
        assert sorted(far) == sorted(through(plan, site, destination) if with_transit else ())


@given(PLANS)
def test_candidates_are_those_that_a_search_finds(example: tuple[Plan, bool]) -> None:
    """Each tunnel to a destination's site, and each one to a transit site, once; no others."""
    agree(kernel, example)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("direct[:, [s for s in destination.sites if s < deciding], index] = NO_ROW", "pass"),
        ("order[columns, index] = place", "pass"),
        ("start=n)", "start=n + 1)"),
        ("np.moveaxis(grid[:, :, through], 2, 0)", "np.moveaxis(grid[:, through], 1, 0)"),
        ("out |= self.overlay.is_home(sites, destinations)", "pass"),
        ("out = self.behind", "out = ~self.behind"),
        ("if not with_transit or not self", "if not self"),
        ("slice(place * lanes, (place + 1) * lanes)", "slice(0, lanes)"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(PLANS, lambda example: agree(broken, example))


def test_candidates_by_hand() -> None:
    """A branch reaches the internet by either hub, and another branch through each of them."""
    plan = Plan(
        sites=4,
        lanes=1,
        tunnels=((0, 2, 0), (1, 2, 0), (0, 3, 0), (1, 3, 0)),
        shared=((1, 0),),
        transit=(0, 1),
    )
    built = kernel.build_candidates(plan.build())
    branch = np.array([2, 2], dtype=np.int64)
    rows = built.rows(branch, np.array([3, 4], dtype=np.int64), with_transit=True)
    to_first, to_second = plan.rows.index((2, 0, 0)), plan.rows.index((2, 1, 0))
    other, internet = rows.T.tolist()
    assert [row for row in other if row != NO_ROW] == [to_first, to_second]
    # The second hub is named first, so it is the preferred one.
    assert [row for row in internet if row != NO_ROW] == [to_second, to_first]
    assert built.order[:, 4].tolist() == [0, 1]
