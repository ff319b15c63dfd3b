"""Fates: what is said of a backup must follow the routes within two evaluations."""

import numpy as np

from patronus.engine.policy import Features, Policy
from patronus.engine.units import MS, SECOND
from tests.sim.checkbench import Bench

POLICY = Policy(evaluation_ns=500 * MS)
DUE_NS = SECOND + 100 * MS
"""More than two evaluations, on the grid."""


def mistaken(policy: Policy = POLICY) -> Bench:
    """Return a bench that calls berlin's lte no disjoint backup of its mpls towards oslo."""
    made = Bench(policy=policy)
    made.table.shared_fate[made.entry("berlin", "oslo")] = True
    return made.advance(SECOND)


def reroute(made: Bench, *ends: tuple[str, str]) -> Bench:
    """Let the carrier of mpls lead the tunnels of some pairs of sites another way."""
    made.checkers.rerouted(np.array([made.row(a, b) for a, b in ends], dtype=np.int64))
    return made


def test_what_goes_by_old_routes_is_found_once() -> None:
    """Two evaluations are enough to look at it; tables that are right are right."""
    made = reroute(mistaken(), ("berlin", "oslo"), ("rome", "oslo")).run(2 * SECOND)
    assert made.checkers.stale_fates == 0
    assert made.run(2 * SECOND + DUE_NS).checkers.stale_fates == 1
    (found,) = made.checkers.findings
    assert found.text.startswith("berlin to oslo, default: mpls>oslo has a backup that is called")
    assert made.run(10 * SECOND).checkers.stale_fates == 1


def test_tables_whose_tunnels_go_the_same_way_as_before_are_not_asked() -> None:
    """Whatever they say."""
    made = reroute(mistaken(), ("rome", "oslo"))
    assert made.run(5 * SECOND).checkers.stale_fates == 0


def test_each_new_route_takes_its_time() -> None:
    """While routes change all the time nothing is late."""
    made = mistaken()
    for turn in range(5):
        reroute(made, ("berlin", "oslo")).run(SECOND + (turn + 1) * 600 * MS)
    assert made.checkers.stale_fates == 0
    assert made.run(10 * SECOND).checkers.stale_fates == 1


def test_an_agent_that_was_away_meanwhile_is_not_asked() -> None:
    """It looks at everything when it is back."""
    made = reroute(mistaken(), ("berlin", "oslo"))
    made.agents.running[made.site("berlin")] = False
    made.run(SECOND + 500 * MS)
    made.agents.running[:] = True
    assert made.run(5 * SECOND).checkers.stale_fates == 0


def test_without_backups_nothing_is_said_of_them() -> None:
    """The feature is off."""
    made = reroute(mistaken(Policy(features=Features(backups=False))), ("berlin", "oslo"))
    assert made.run(9 * SECOND).checkers.stale_fates == 0
