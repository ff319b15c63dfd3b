"""Faults that surely change a packet's fate: not those that are hidden, short or soft."""

import pytest

from patronus.engine.units import MS, PPM, SECOND
from patronus.sim.fuzzing.felt import felt
from patronus.sim.scenario import FaultKind, FaultSpec, Schedule, Selector
from patronus.sim.world import World
from tests.sim.storms import calm, fault

HERE = Selector(sites=("berlin",), transports=("fabric",))


def black(name: str, at_ns: int, for_ns: int, on: Selector = HERE) -> FaultSpec:
    """Return a blackhole."""
    return FaultSpec(name, FaultKind.BLACKHOLE, on, Schedule(at_ns, for_ns))


@pytest.mark.parametrize(
    ("faults", "number"),
    [
        ((black("a", SECOND, SECOND),), 1),
        ((black("a", SECOND, 100 * MS),), 0),
        ((black("a", SECOND, SECOND), black("b", 1100 * MS, 500 * MS)), 0),
        ((black("a", SECOND, SECOND), black("b", 2 * SECOND, 500 * MS)), 2),
        ((black("a", SECOND, SECOND), black("b", SECOND, SECOND, Selector(sites=("hub",)))), 2),
        ((fault(FaultKind.LOSS, SECOND, SECOND, loss_ppm=PPM // 2),), 0),
        ((fault(FaultKind.DELAY, SECOND, SECOND, delay_ns=MS),), 1),
        ((fault(FaultKind.AGENT_KILL, SECOND, SECOND, on=Selector(sites=("oslo",))),), 0),
    ],
)
def test_only_sure_faults_count(faults: tuple[FaultSpec, ...], number: int) -> None:
    """A fault counts when a tunnel over its links is otherwise alive for two intervals."""
    assert felt(World(calm(*faults), 1, reported=False)) == number
