"""Holds: a move onto a tunnel that has just come back is hasty, unless there was no other."""

import pytest

from patronus.engine.policy import Damping, Policy, SlaClass, TrafficClass, WhenNone
from patronus.engine.units import MS, SECOND
from patronus.sim.scenario import FaultKind, FaultSpec, Schedule, Selector
from tests.sim.checkbench import Bench
from tests.sim.handmade import make_fault

POLICY = Policy(damping=Damping(hold_ns=SECOND, hold_max_ns=4 * SECOND))
BACK_NS = 30 * SECOND


def moved_after(
    proof_ns: int, *faults: FaultSpec, policy: Policy = POLICY, only: bool = False
) -> int:
    """Return how many hasty moves there are when berlin moves onto a tunnel that came back.

    Args:
        proof_ns: how long after the tunnel came back.
        faults: of the scenario.
        policy: of all sites.
        only: berlin's other tunnels to oslo came back with it.
    """
    bench = Bench(*faults, policy=policy).advance(BACK_NS)
    since = bench.world.dataplane.since_ns
    since[bench.row("berlin", "oslo", "lte")] = BACK_NS
    if only:
        since[bench.row("berlin", "oslo")] = BACK_NS
    bench.move(
        bench.entry("berlin", "oslo"), bench.row("berlin", "oslo", "lte"), BACK_NS + proof_ns
    )
    return bench.run(BACK_NS + 3 * SECOND).checkers.hasty


def test_a_tunnel_must_have_proven_itself() -> None:
    """Twice the hold is asked after a first failure: one ns less is too soon."""
    assert moved_after(2 * SECOND - 1) == 1
    assert moved_after(2 * SECOND) == 0


def test_who_has_no_other_way_need_not_wait() -> None:
    """Better unproven than none."""
    assert moved_after(100 * MS, only=True) == 0


def test_an_agent_that_starts_anew_has_forgotten() -> None:
    """After a kill at the site one hold is enough, and less where the kernel's is shorter."""
    killed = make_fault(
        FaultKind.AGENT_KILL,
        select=Selector(sites=("berlin",)),
        schedule=Schedule(SECOND, SECOND),
    )
    assert moved_after(SECOND - 1, killed) == 1
    assert moved_after(SECOND, killed) == 0


@pytest.mark.parametrize("kind", [FaultKind.LAN_DOWN, None])
def test_where_it_cannot_be_known_nothing_is_said(kind: FaultKind | None) -> None:
    """A LAN that was gone, or a class that drops, may have left a site without a way."""
    plan, where = Schedule(SECOND, SECOND), Selector(sites=("rome",))
    faults = [] if kind is None else [make_fault(kind, select=where, schedule=plan)]
    drops = SlaClass(when_none=WhenNone.DROP)
    classes = (TrafficClass("default", sla=SlaClass() if kind else drops),)
    policy = Policy(damping=POLICY.damping, classes=classes)
    assert moved_after(100 * MS, *faults, policy=policy) == 0
