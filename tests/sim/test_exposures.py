"""The ledger against exposures watched one by one."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.overlay import I64
from patronus.sim import exposures as kernel
from patronus.sim.exposures import Exposed, Kind, Move
from tests.mutants.harness import caught, mutant
from tests.oracles import exposures as oracle

ENTRIES = 5
SOME = st.sets(st.integers(0, ENTRIES - 1), min_size=1)
MOVE = st.tuples(st.integers(0, 4), st.sampled_from(list(Kind)), SOME, st.integers(0, 6))
STEP = st.one_of(
    st.tuples(st.just("open"), st.integers(0, 12), SOME, st.booleans()),
    *[st.tuples(st.just("settle"), st.lists(MOVE, max_size=4))] * 3,
)
LIVES = st.tuples(st.integers(0, 63), st.lists(STEP, max_size=10))
"""Luck of the wires, then exposures that open (with a lag) and moves."""

Life = tuple[int, list[tuple[Any, ...]]]


def state(luck: int, entry: int, row: int, at_ns: int) -> tuple[bool, bool]:
    """Say whether a path is alive, and whether it keeps the SLA, at an instant."""
    word = (luck * 7 + entry * 13 + row * 29 + at_ns // 3 * 31) % 11
    return word > 3, word > 6


def live(module: ModuleType, plain: ModuleType, life: Life) -> None:
    luck, steps = life
    ledger, watched = module.Ledger(), list[oracle.Watched]()

    def truth(entries: I64, rows: I64, at_ns: I64) -> tuple[np.ndarray, np.ndarray]:
        each = zip(entries.tolist(), rows.tolist(), at_ns.tolist(), strict=True)
        pairs = np.array([state(luck, *one) for one in each], dtype=np.bool_).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    now = 0
    for what, *details in steps:
        now += 5
        if what == "open":
            lag, entries, hard = details
            some = sorted(entries)
            flags = np.full(len(some), hard)
            rows = np.array([e + 20 for e in some], dtype=np.int32)
            opened = Exposed(np.array(some, dtype=np.int64), rows, flags, ~flags)
            numbers = ledger.open(3, now + lag, opened)
            assert numbers.tolist() == [len(watched) + n for n in range(len(some))]
            watched += [plain.Watched(e, now + lag, e + 20, hard=hard) for e in some]
        else:
            settle(ledger, watched, details[0], now, luck, truth)
        agree(ledger, watched)


def settle(
    ledger: Any, watched: list[oracle.Watched], moves: Any, now: int, luck: int, truth: Any
) -> None:
    """Tell both of the moves of a slot; those of one instant stay in their order."""
    told, plain = [], []
    for after, kind, entries, base in moves:
        some = sorted(entries)
        rows = [(base + e) % 7 for e in some]
        told.append(Move(now + after, kind, np.array(some, np.int64), np.array(rows, np.int32)))
        plain += [(now + after, int(kind), e, r) for e, r in zip(some, rows, strict=True)]
    ledger.settle(told, truth)
    for at_ns, kind, entry, row in sorted(plain, key=lambda move: move[0]):
        for one in watched:
            if one.entry == entry and one.settled_ns == oracle.NEVER:
                one.see(at_ns, kind, row, lambda e, r, t: state(luck, e, r, t))


def agree(ledger: Any, watched: list[oracle.Watched]) -> None:
    names = ("entry", "t0_ns", "row_before", "row_after", "switch_ns", "failover_ns", "moved_by")
    columns = zip(*(getattr(ledger, name).tolist() for name in names), strict=True)
    assert list(columns) == [one.columns for one in watched]
    open_ones = [n for n, one in enumerate(watched) if one.settled_ns == oracle.NEVER]
    assert sorted(ledger.waiting.tolist()) == open_ones
    assert ledger.waiting_entries.tolist() == sorted({watched[n].entry for n in open_ones})
    every = np.arange(len(watched), dtype=np.int64)
    assert ledger.settled_ns(every).tolist() == [one.settled_ns for one in watched]
    assert len(ledger) == len(watched)


@given(LIVES)
def test_each_exposure_is_saved_by_its_first_move_that_works(life: Life) -> None:
    """Switch, failover, by whom and to what: as watched one by one."""
    live(kernel, oracle, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("at_ns < self.t0_ns or ", ""),
        ("not alive or not (fine or self.hard)", "not alive"),
        ("not alive or not (fine or self.hard)", "not alive or not fine"),
        ("not alive or not (fine or self.hard)", "not (fine or self.hard)"),
        ("kind in (ACK, END)", "kind == ACK"),
        ("kind in (ACK, END)", "kind != KERNEL"),
        ("ENGINE if kind == ACK else kind", "kind"),
        ("if self.switch_ns == NEVER:", "if True:"),
        ("at_ns - self.t0_ns, row", "at_ns, row"),
        ("max(self.switch_ns, self.failover_ns)", "self.switch_ns"),
    ],
)
def test_the_property_tells_the_rules_from_their_neighbours(old: str, new: str) -> None:
    """With any rule of an exposure changed some is saved otherwise."""
    other = mutant(oracle, old, new)
    assert caught(LIVES, lambda life: live(kernel, other, life))
