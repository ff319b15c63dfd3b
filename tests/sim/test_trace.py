"""A run probe by probe."""

import pytest

from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND
from patronus.sim import ScenarioError, run
from patronus.sim.scenario import FaultKind, Scenario, Schedule, Selector
from tests.sim.handmade import make_fault, make_scenario

SCHEDULE = Schedule(at_ns=1 * SECOND, for_ns=2 * SECOND)


def scenario() -> Scenario:
    fault = make_fault(
        FaultKind.BLACKHOLE,
        select=Selector(sites=("berlin",), transports=("mpls",)),
        schedule=SCHEDULE,
    )
    policy = Policy(cost={"lte": 5})
    return make_scenario(fault, duration_ns=4 * SECOND, warmup_ns=3 * SECOND, policy=policy)


def test_every_probe_of_the_pair_is_told() -> None:
    """Each probe of each tunnel is a line, lost ones while the fault is there, in order of time."""
    lines = run(scenario(), trace="berlin:rome").trace
    mpls = [line for line in lines if "mpls>rome: probe" in line]
    assert len(mpls) == 70
    times = [float(line.split()[0]) for line in mpls]
    lost = [t for t, line in zip(times, mpls, strict=True) if "lost" in line]
    assert times == sorted(times)
    assert all(1.0 <= t < 3.0 for t in lost)
    assert len(lost) == 20
    assert not any("lte>rome" in line and "lost" in line for line in lines)


def test_what_followed_is_told_among_them() -> None:
    """Silence and decisions stand between the probes that led to them."""
    lines = list(run(scenario(), trace="berlin:rome").trace)
    down = next(i for i, line in enumerate(lines) if "mpls>rome: is silent" in line)
    moved = next(i for i, line in enumerate(lines) if "decision for default: mpls>rome" in line)
    before = [line for line in lines[:down] if "mpls>rome: probe" in line]
    assert all("lost" in line for line in before[-2:])
    assert moved == down + 1
    assert "(f#0)" in lines[down]


def test_times_of_flight() -> None:
    """A probe's line says how long it took there and back."""
    line = next(t for t in run(scenario(), trace="berlin:rome").trace if "is back after" in t)
    there, back = (float(part.split()[0]) for part in line.split("after ")[1:])
    assert 0 < there < back < 100
    assert back * MS > 1


def test_a_shared_destination_has_the_tunnels_to_all_its_sites() -> None:
    """The probes to every site that announces the destination are told."""
    lines = run(scenario(), trace="berlin:hub1", until_ns=SECOND).trace
    assert {line.split()[2].rstrip(":") for line in lines} == {"mpls>hub1", "lte>hub1"}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("berlin", "SITE:DESTINATION"),
        (":rome", "SITE:DESTINATION"),
        ("berlin:", "SITE:DESTINATION"),
        ("nowhere:rome", "site 'nowhere' matches nothing"),
        ("berlin:nowhere", "destination 'nowhere' matches nothing"),
        ("berlin:berlin", "no direct tunnel from berlin to berlin"),
    ],
)
def test_a_pair_that_is_none(pair: str, message: str) -> None:
    """A trace of what does not exist is bad input, told before anything runs."""
    with pytest.raises(ScenarioError, match=message):
        run(scenario(), trace=pair)
