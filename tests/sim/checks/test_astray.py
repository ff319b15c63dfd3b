"""Astray: a way through a site that is not heard must be left while a proven one is there."""

import pytest

from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND
from tests.sim.checkbench import Bench

POLICY = Policy(evaluation_ns=500 * MS, announcement_ns=500 * MS)
BOUND_NS = POLICY.patience_ns + 3 * POLICY.evaluation_ns + SECOND
"""With a second for an announcement to arrive, which is more than it takes."""

LONG_NS = 70 * SECOND
"""Until then every tunnel has proven itself for longer than any hold."""


def bench() -> Bench:
    """Return a bench on which berlin's packets to oslo go through the first hub."""
    made = Bench(policy=POLICY)
    made.move(made.entry("berlin", "oslo"), made.row("berlin", "hub1"))
    return made.advance(LONG_NS)


def cut_off(made: Bench, *names: str) -> Bench:
    """Cut some sites off from the controller."""
    made.agents.reached[[made.site(name) for name in names]] = False
    return made


def test_a_way_through_a_site_unheard_for_too_long_is_found_once() -> None:
    """Berlin has tunnels of its own, and nobody hears the hub any more."""
    made = cut_off(bench(), "hub1").run(LONG_NS + POLICY.patience_ns)
    assert made.checkers.astray == 0
    assert made.run(LONG_NS + 2 * BOUND_NS).checkers.astray == 1
    (found,) = made.checkers.findings
    assert found.text.startswith("berlin to oslo, default: mpls>hub1>oslo leads through a site")


@pytest.mark.parametrize("what", ["stopped agent", "own partition"])
def test_whoever_does_not_hear_it_for_whatever_reason(what: str) -> None:
    """The hub's agent may be gone, or berlin itself be cut off."""
    made = bench()
    if what == "stopped agent":
        made.agents.running[made.site("hub1")] = False
    else:
        cut_off(made, "berlin")
    assert made.run(LONG_NS + 2 * BOUND_NS).checkers.astray == 1


def test_who_is_heard_again_in_time_is_trusted() -> None:
    """Each word counts anew."""
    made = bench()
    for turn in range(4):
        cut_off(made, "hub1").run(LONG_NS + turn * BOUND_NS + POLICY.patience_ns)
        made.agents.reached[:] = True
        made.run(LONG_NS + (turn + 1) * BOUND_NS)
    assert made.checkers.astray == 0


def test_who_has_moved_in_time_is_not_blamed() -> None:
    """Berlin has taken its own tunnel."""
    made = cut_off(bench(), "hub1").run(LONG_NS + SECOND)
    made.move(made.entry("berlin", "oslo"), made.row("berlin", "oslo"))
    assert made.run(LONG_NS + 2 * BOUND_NS).checkers.astray == 0


@pytest.mark.parametrize("what", ["latched", "unproven", "absent agent"])
def test_what_could_not_be_done_is_not_asked_for(what: str) -> None:
    """No other tunnel is proven, or nobody is there to choose one."""
    made = bench()
    rows = [made.row("berlin", "oslo", t) for t in made.overlay.transports]
    rows += [made.row("berlin", "hub2", t) for t in made.overlay.transports]
    match what:
        case "latched":
            made.world.dataplane.latched[rows] = True
        case "unproven":
            made.world.dataplane.since_ns[rows] = LONG_NS
        case "absent agent":
            made.agents.running[made.site("berlin")] = False
    assert cut_off(made, "hub1").run(LONG_NS + 2 * BOUND_NS).checkers.astray == 0


def test_another_hub_that_is_heard_is_another_way() -> None:
    """Without tunnels of its own berlin can go through the second hub, unless nobody hears it."""
    for names, number in ((("hub1",), 1), (("hub1", "hub2"), 0)):
        made = bench()
        rows = [made.row("berlin", "oslo", t) for t in made.overlay.transports]
        made.world.dataplane.latched[rows] = True
        cut_off(made, *names).run(LONG_NS + 2 * BOUND_NS)
        assert made.checkers.astray == number, names
