"""Flaps: returns to a tunnel that was left shortly before."""

from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.forwarding import CANDIDATES
from patronus.engine.units import MS, SECOND
from patronus.sim.checks import flaps
from patronus.sim.checks.flaps import WINDOW_NS
from tests.mutants.harness import caught, mutant
from tests.oracles import walks
from tests.sim.checkbench import Bench


def test_a_move_back_within_the_window_is_a_flap() -> None:
    """Away and back counts once if the return comes within ten seconds, to the nanosecond."""
    bench = Bench().run(SECOND)
    entry, (mpls, lte, _) = (
        bench.entry("berlin", "oslo"),
        bench.table.rows[bench.entry("berlin", "oslo")].tolist(),
    )
    bench.tell([(SECOND, entry, lte), (SECOND + WINDOW_NS, entry, mpls)])
    assert bench.run(12 * SECOND).checkers.flaps == 1
    assert (
        bench.checkers.findings[0].text
        == "berlin to oslo, default: back from lte>oslo to mpls>oslo"
    )
    bench.tell([(30 * SECOND, entry, lte), (30 * SECOND + WINDOW_NS + 1, entry, mpls)])
    assert bench.run(45 * SECOND).checkers.flaps == 1, "a return after the fault"


Steps = list[tuple[int, int]]
STEPS: st.SearchStrategy[Steps] = st.lists(
    st.tuples(st.sampled_from([MS, SECOND, 6 * SECOND, WINDOW_NS, WINDOW_NS + 1]),
              st.integers(0, 3)),
    min_size=1, max_size=12,
)  # fmt: skip
"""Gaps, and to which of four tunnels the entry moves then."""


def counted_as_remembered(module: ModuleType, steps: Steps, slot_ns: int) -> None:
    """Hold the flaps that are counted slot by slot against a plain memory of departures."""
    bench = Bench()
    tables = bench.checkers._tables
    assert tables is not None
    tables._flaps = module.Flaps(bench.space.entries)
    entry = bench.entry("berlin", "oslo")
    rows = [int(bench.used[entry]), bench.row("berlin", "oslo", "lte"),
            bench.row("berlin", "hub1"), bench.row("berlin", "hub2")]  # fmt: skip
    at_ns, moves = 0, [(0, 0)]
    for gap_ns, to in steps:
        at_ns += gap_ns
        bench.advance(at_ns // slot_ns * slot_ns)
        bench.move(entry, rows[to], at_ns)
        moves.append((at_ns, to))
    bench.advance(at_ns // slot_ns * slot_ns + slot_ns)
    assert bench.checkers.flaps == walks.returns(moves, WINDOW_NS, CANDIDATES)


@settings(max_examples=60)
@given(STEPS, st.sampled_from([50 * MS, 100 * MS]))
def test_flaps_are_those_of_a_plain_memory(steps: Steps, slot_ns: int) -> None:
    """Counted slot by slot or one by one, the same moves are returns."""
    counted_as_remembered(flaps, steps, slot_ns)


MUTANTS = {
    "the window is open at its end": ("<= WINDOW_NS", "< WINDOW_NS"),
    "only the last departure is remembered": (
        "left, since = row, then",
        "left, since = np.full_like(row, _NONE), then",
    ),
    "departures are never forgotten": ("& (now_ns - then <= WINDOW_NS)", ""),
    "moves of one slot are seen at once": ("turn == number", "turn >= number"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_memory_notices_a_broken_checker(name: str) -> None:
    """The property fails on each mutant of the checker."""
    broken = mutant(flaps, *MUTANTS[name])
    assert caught(STEPS, lambda steps: counted_as_remembered(broken, steps, 100 * MS), 200)
