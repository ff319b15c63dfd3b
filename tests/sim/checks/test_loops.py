"""Forwarding loops: found when they appear, as plain walks over all tables find them."""

from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.units import MS, SECOND
from patronus.sim.checks import loops
from tests.mutants.harness import caught, mutant
from tests.oracles import walks
from tests.sim.checkbench import Bench


def test_two_sites_that_send_to_each_other_are_a_loop() -> None:
    """A cycle is counted when it appears, not while it lasts, and again when it comes back."""
    bench = Bench().run(SECOND)
    here, there = bench.entry("berlin", "oslo"), bench.entry("hub1", "oslo")
    bench.move(here, bench.row("berlin", "hub1"))
    assert bench.run(2 * SECOND).checkers.loops == 0, "transit is no loop"
    bench.move(there, bench.row("hub1", "berlin"))
    assert bench.run(5 * SECOND).checkers.loops == 1
    bench.move(there, bench.row("hub1", "berlin", "lte"))
    assert bench.run(6 * SECOND).checkers.loops == 1, "the same cycle over another tunnel"
    bench.move(there, bench.row("hub1", "oslo"))
    bench.run(7 * SECOND)
    bench.move(there, bench.row("hub1", "berlin"))
    assert bench.run(8 * SECOND).checkers.loops == 2
    finding = bench.checkers.findings[0]
    assert (finding.check, finding.at_ns, finding.entry) == ("loops", 2 * SECOND, there)
    assert finding.text == "hub1 to oslo, default: packets would go hub1 > berlin > hub1"


@pytest.mark.parametrize(("wait_ns", "found"), [(SECOND, 0), (20 * SECOND, 1)])
def test_who_is_just_heard_again_is_not_blamed(wait_ns: int, found: int) -> None:
    """After a partition it takes an announcement until all know what was lost in it."""
    bench = Bench().run(SECOND)
    bench.agents.reached[bench.site("hub1")] = False
    bench.run(2 * SECOND)
    bench.agents.reached[bench.site("hub1")] = True
    bench.run(2 * SECOND + wait_ns)
    bench.move(bench.entry("berlin", "oslo"), bench.row("berlin", "hub1"))
    bench.move(bench.entry("hub1", "oslo"), bench.row("hub1", "berlin"))
    assert bench.run(bench.now_ns + SECOND).checkers.loops == found


@pytest.mark.parametrize("what", ["running", "reached"])
def test_who_cannot_be_heard_is_not_blamed(what: str) -> None:
    """A cycle through a site whose agent is away, or cut off, is none: it cannot withdraw."""
    bench = Bench().run(SECOND)
    here, there = bench.entry("berlin", "oslo"), bench.entry("hub1", "oslo")
    getattr(bench.agents, what)[bench.site("hub1")] = False
    bench.move(here, bench.row("berlin", "hub1"))
    bench.move(there, bench.row("hub1", "berlin"))
    assert bench.run(3 * SECOND).checkers.loops == 0


def test_a_loop_within_a_slot_is_seen() -> None:
    """Two moves a millisecond apart make a cycle that is gone before the slot ends."""
    bench = Bench().run(SECOND)
    here, there = bench.entry("berlin", "oslo"), bench.entry("hub1", "oslo")
    start = bench.now_ns
    bench.tell([
        (start + MS, here, bench.row("berlin", "hub1")),
        (start + 2 * MS, there, bench.row("hub1", "berlin")),
        (start + 3 * MS, here, bench.row("berlin", "oslo")),
    ])  # fmt: skip
    assert bench.run(2 * SECOND).checkers.loops == 1


def test_moves_of_one_instant_are_one_change() -> None:
    """Two sites that exchange their roles at once never looped."""
    bench = Bench().run(SECOND)
    here, there = bench.entry("berlin", "oslo"), bench.entry("hub1", "oslo")
    bench.move(here, bench.row("berlin", "hub1"))
    bench.run(2 * SECOND)
    at = bench.now_ns + MS
    bench.tell([(at, there, bench.row("hub1", "berlin")), (at, here, bench.row("berlin", "oslo"))])
    assert bench.run(3 * SECOND).checkers.loops == 0


def test_a_change_that_nobody_told_of_is_found_within_a_second() -> None:
    """All tables are compared once a second."""
    bench = Bench().run(SECOND)
    bench.move(bench.entry("berlin", "oslo"), bench.row("berlin", "hub1"), told=False)
    bench.move(bench.entry("hub1", "oslo"), bench.row("hub1", "berlin"), told=False)
    assert bench.run(2 * SECOND).checkers.loops == 1


def test_a_loop_that_is_there_at_the_start_counts() -> None:
    """Tables that loop when the scenario starts are found at once."""
    bench = Bench(cold=True)
    bench.used[bench.entry("berlin", "oslo")] = bench.row("berlin", "hub1")
    bench.used[bench.entry("hub1", "oslo")] = bench.row("hub1", "berlin")
    bench.checkers.start()
    assert bench.checkers.loops == 1


SITES = ("hub1", "hub2", "berlin", "oslo")
Instants = list[tuple[bool, list[tuple[str, str, str]]]]
MOVES: st.SearchStrategy[Instants] = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(
            st.tuples(
                st.sampled_from(SITES),
                st.sampled_from((*SITES, "rome")),
                st.sampled_from(("mpls", "lte")),
            ),
            max_size=4,
        ),
    ),
    max_size=8,
)
"""Instants: whether a slot begins, and moves (site, next site towards rome, transport)."""


def counted_as_walked(module: ModuleType, instants: Instants) -> None:
    """Hold the cycles that are counted against walking all tables after each instant."""
    bench = Bench().run(100 * MS)
    tables = bench.checkers._tables
    assert tables is not None
    tables._loops = module.Loops(tables._ways)
    rome = bench.site("rome")
    table = {(s, rome): rome for s in range(5) if s != rome}
    present: set[tuple[int, ...]] = set()
    expected = 0
    for number, (slot, moves) in enumerate(instants):
        if slot:
            bench.run(bench.now_ns + 100 * MS)
        at_ns = bench.now_ns + (number + 1) * MS
        for name, to, transport in (move for move in moves if move[0] != move[1]):
            table[bench.site(name), rome] = bench.site(to)
            bench.move(bench.entry(name, "rome"), bench.row(name, to, transport), at_ns)
        now = walks.cycles(table, {rome: {rome}})
        expected += len(now - present)
        present = now
    assert bench.run(bench.now_ns + 100 * MS).checkers.loops == expected


@settings(max_examples=60)
@given(MOVES)
def test_loops_are_those_of_a_plain_walk(instants: Instants) -> None:
    """Whatever moves when, each cycle counts once per appearance, as walking all tables says."""
    counted_as_walked(loops, instants)


MUTANTS = {
    "a cycle that stays appears again": ("if c not in broken", "if True"),
    "broken cycles are not forgotten": ("broken = self._break(moved)", "broken = set()"),
    "moves of one instant one by one": (
        "np.flatnonzero(np.diff(at_ns)) + 1", "np.arange(1, len(at_ns))"
    ),
    "only moves that send on are looked at": (
        "doubtful[after[sends_on[after]]", "doubtful[after[np.zeros_like(after, dtype=bool)]"
    ),
    "whoever stood still is not asked": (
        "sends_on[after] |= ways.second[after] != ways.nowhere", "pass"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_the_walk_notices_a_broken_checker(name: str) -> None:
    """The property fails on each mutant of the checker."""
    broken = mutant(loops, *MUTANTS[name])
    assert caught(MOVES, lambda instants: counted_as_walked(broken, instants), 200)
