"""Every probe, stamp and edge of silence equals that of a plain simulation, packet by packet."""

from collections import Counter
from dataclasses import replace

import pytest

from patronus.engine.units import SECOND
from patronus.sim.benchmarks.plain import PlainWorld
from patronus.sim.scenario import Scenario
from patronus.sim.world import World
from tests.sim.storms import STORMS, calm
from tests.sim.watching import Watched, watch


def compare(
    scenario: Scenario, seed: int = 1, *, compiled: bool = False
) -> tuple[Watched, PlainWorld]:
    """Run both worlds and hold every probe, edge and stamp against each other."""
    world = World(scenario, seed, compiled=compiled)
    seen = watch(world)
    world.run()
    plain = PlainWorld(world.network, scenario, world.timeline, seed)
    detect = iter(sorted(seen.detect))
    change = next(detect, None)
    for end_ns, (heard, confirmed) in sorted(seen.stamps.items()):
        plain.run(end_ns)
        stamps = [plain.tunnel[row] for row in range(world.overlay.rows)]
        assert [t.heard_ns for t in stamps] == heard.tolist(), end_ns
        assert [t.confirmed_ns for t in stamps] == confirmed.tolist(), end_ns
        while change is not None and change[0] == end_ns:
            plain.set_detect(change[1], change[2])
            change = next(detect, None)
    # The plain world has not yet seen the end of probes that are still under way.
    landed = {(p.row, p.ordinal): p for p in plain.probes}
    fates = {(p.row, p.ordinal): p for p in seen.probes}
    assert {k: fates[k] for k in landed} == landed
    assert all(fates[k].there_ns >= scenario.duration_ns for k in fates.keys() - landed.keys())
    assert Counter(seen.edges) == Counter(plain.edges)
    return seen, plain


@pytest.mark.parametrize("storm", STORMS)
def test_plain_world(storm: str) -> None:
    """Fates, stamps and edges equal those of one process a tunnel and one event a packet."""
    scenario = calm(*STORMS[storm], sites=4, traffic=False, duration_ns=3 * SECOND)
    seen, _ = compare(replace(scenario, warmup_ns=SECOND))
    assert any(e.silent and e.at_ns > 0 for e in seen.edges)
