"""Attention against sets of pairs: who is marked by what, and when transit has its turn."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import attention as kernel
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO
from tests.mutants.harness import caught, mutant
from tests.oracles import attention as oracle
from tests.oracles.overlays import Plan, plans

SOME = st.sets(st.integers(0, 30), max_size=4)
STEP = st.one_of(
    st.tuples(st.sampled_from(["tunnels", "metrics"]), SOME),
    st.tuples(st.just("news"), SOME, SOME),
    st.tuples(st.just("sites"), SOME),
    st.tuples(st.just("pairs"), SOME),
    st.tuples(st.just("turn"), SOME),
    st.tuples(st.just("turns"), SOME),
    st.tuples(st.just("take"), SOME),
)
LIVES = st.tuples(plans().filter(lambda plan: plan.tunnels), st.lists(STEP, max_size=12))

SMALL = Plan(4, 1, ((0, 1, 0),), shared=((0, 3),), transit=(0,))
STEPS: list[list[tuple[Any, ...]]] = [
    # A site is told of one destination, has its turn, and is told of another one.
    [("news", {1}, set()), ("turns", {1}), ("take", {1}), ("news", {9}, set()), ("turns", {1})],
    # The metric of its tunnel to the transit site moves, and nothing beyond.
    [("metrics", {1}), ("take", {1}), ("turns", {1})],
]
TURNS = st.sampled_from([(SMALL, steps) for steps in STEPS])

Life = tuple[Plan, list[tuple[Any, ...]]]


def numbers(some: set[int], below: int) -> I64:
    return np.array(sorted({n % below for n in some}), dtype=np.int64)


class Pair:
    """Both kinds of marks, told the same."""

    def __init__(self, module: ModuleType, plain: ModuleType, plan: Plan) -> None:
        self.plan = plan
        self.attention = module.Attention(plan.build())
        self.marks = plain.Marks(plan)
        self.now = 0

    def step(self, what: str, some: set[int], others: set[int]) -> None:
        sites, places = self.plan.sites, len(self.plan.destinations)
        if what in ("tunnels", "metrics"):
            rows = numbers(some, len(self.plan.rows))
            getattr(self.attention, what)(rows)
            getattr(self.marks, what)(rows.tolist())
        elif what == "news":
            observers, changed = numbers(some, sites), np.zeros(places, dtype=np.bool_)
            changed[numbers(others, places)] = True
            moved = np.zeros(places, dtype=np.bool_)
            moved[numbers({n + 1 for n in some}, places)] = True
            self.attention.news(observers, changed, moved)
            told = (np.flatnonzero(x).tolist() for x in (changed, moved))
            self.marks.news(observers.tolist(), *told)
        elif what == "pairs":
            pairs = numbers(some, sites * places)
            self.attention.pairs(pairs)
            self.marks.marked |= {divmod(p, places) for p in pairs.tolist()}
        else:
            self.of_sites(what, numbers(some, sites))

    def of_sites(self, what: str, sites: I64) -> None:
        if what == "sites":
            self.attention.sites(sites)
            for site in sites.tolist():
                self.marks.every(site)
        elif what == "take":
            places = len(self.plan.destinations)
            taken = [divmod(p, places) for p in self.attention.take(sites).tolist()]
            assert taken == self.marks.take(sites.tolist())
        else:
            for _ in range(10 if what == "turns" else 1):
                self.now += 7
                due = self.attention.turn(sites, self.now).tolist()
                assert due == self.marks.turn(sites.tolist(), self.now)
                self.ways(due)

    def ways(self, sites: list[int]) -> None:
        """Every other pair of some sites leads through another."""
        places = len(self.plan.destinations)
        pairs = [s * places + d for s in sites for d in range(places) if (s + d) % 2]
        self.attention.ways(np.array(sites, dtype=np.int64), np.array(pairs, dtype=np.int64))
        self.marks.ways(sites, [divmod(p, places) for p in pairs])

    def agree(self) -> None:
        marked = {tuple(pair) for pair in np.argwhere(self.attention.marked).tolist()}
        assert marked == self.marks.marked
        moved = set(np.flatnonzero(self.attention.transit_moved).tolist())
        assert moved == self.marks.near | self.marks.told
        last = self.attention.last_ns(np.arange(len(self.plan.rows)))
        assert last.tolist() == [
            self.marks.last.get(here, LONG_AGO) for here, _, _ in self.plan.rows
        ]


def live(module: ModuleType, plain: ModuleType, life: Life) -> None:
    plan, steps = life
    pair = Pair(module, plain, plan)
    for what, some, *others in steps:
        pair.step(what, some, others[0] if others else set())
        pair.agree()


@given(LIVES)
def test_what_is_marked_is_what_could_have_changed(life: Life) -> None:
    """Ends of tunnels, everything behind transit sites, news, turns: as sets of pairs."""
    live(kernel, oracle, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("                self.every(here)", "                pass"),
        ("                self.near.add(here)", "                self.every(here)"),
        ("if there in self.plan.homes(d)}", "if there == d}"),
        ("self.told |= set(observers)", "pass"),
        ("pair[0] in self.near or pair in self.far", "pair in self.far"),
        ("pair[0] in self.near or pair in self.far", "pair[0] in self.near"),
        ("self.near -= set(sites)", "pass"),
        ("if pair[0] not in sites", ""),
        ("% 10 == 0", "% 9 == 0"),
        ("and site in self.near | self.told:", "and True:"),
        ("self.told -= set(sites)", "pass"),
        ("self.marked -= set(taken)", "self.marked = set()"),
        ("self.last[site] = now_ns", "pass"),
    ],
)
def test_every_mark_matters(old: str, new: str) -> None:
    """Sets that are kept otherwise differ somewhere."""
    other = mutant(oracle, old, new)
    assert caught(LIVES | TURNS, lambda life: live(kernel, other, life))
