"""The truth of tunnels, kept up to date from one look to the next."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.units import MS, PPM, SECOND
from patronus.sim.checks.truth import Truth, longest_ns
from patronus.sim.faults.kinds import KINDS
from patronus.sim.scenario import FaultKind, Schedule, Selector
from tests.sim import faultyard
from tests.sim.checkbench import Bench

ON_WIRES = {kind for kind, row in KINDS.items() if "links" in row.selects} | {
    FaultKind.SITE_CRASH,
    FaultKind.REKEY_STORM,
}
ON_WIRES.remove(FaultKind.BURST_LOSS)  # its mean is told, not its bursts


@settings(max_examples=30)
@given(st.integers(0, 59), st.sets(st.sampled_from(sorted(ON_WIRES)), min_size=1, max_size=4))
def test_the_truth_is_what_a_packet_meets(second: int, kinds: set[FaultKind]) -> None:
    """Kept up to date step by step, each tunnel's figures are those of the wire at that time."""
    yard = {f.kind: f for f in faultyard.FAULTS}
    berlin = Selector(sites=("berlin",))
    faults = [
        replace(yard[kind], select=berlin, schedule=Schedule(SECOND * n, 9 * SECOND))
        for n, kind in enumerate(sorted(kinds), start=1)
    ]
    bench = Bench(*faults).run(second * SECOND // 4 // (100 * MS) * (100 * MS) + 100 * MS)
    tables = bench.checkers._tables
    assert tables is not None
    truth: Truth = tables.truth
    rows = np.arange(bench.overlay.rows, dtype=np.int64)
    way = bench.wire.passage(rows, np.full(len(rows), bench.now_ns, dtype=np.int64))
    np.testing.assert_array_equal(truth.delay_ns[:-2], way.delay_ns)
    np.testing.assert_array_equal(truth.jitter_ns[:-2], way.jitter_ns)
    np.testing.assert_allclose(truth.loss_ppm[:-2], way.loss_ppm, atol=8)
    np.testing.assert_array_equal(truth.loss_ppm[:-2] >= PPM, way.loss_ppm >= PPM)


def test_the_longest_round_trip_is_that_of_the_quiet_network() -> None:
    """Two access links of 5 ms and as much noise as they add, there and back."""
    assert longest_ns(Bench().wire) == 2 * 2 * (5 + 1) * MS
