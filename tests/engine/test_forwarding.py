"""Forwarding: entries are numbered densely, and a delta leads to the wanted table."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import forwarding
from patronus.engine.forwarding import NO_ROW, EntryKey, EntrySpace, ForwardingTable, diff
from tests.mutants.harness import caught, mutant

ROWS = st.sampled_from([NO_ROW, 0, 7])
CELLS = st.tuples(st.tuples(ROWS, ROWS, ROWS), st.booleans(), st.booleans())
"""Rows, drop and shared fate of one entry."""

Cell = tuple[tuple[int, int, int], bool, bool]

PAIRS = st.tuples(
    st.lists(st.tuples(CELLS, CELLS | st.none()), max_size=8),
    st.none() | st.lists(st.integers(0, 7), max_size=10),
)
"""(Wanted, installed or None for equal) by entry, and the entries to look at."""


def table(cells: list[Cell]) -> ForwardingTable:
    made = ForwardingTable(len(cells))
    for entry, (rows, drop, shared_fate) in enumerate(cells):
        made.rows[entry] = rows
        made.drop[entry], made.shared_fate[entry] = drop, shared_fate
    return made


def cells(of: ForwardingTable) -> list[Cell]:
    rows = [(a, b, c) for a, b, c in of.rows.tolist()]
    return list(zip(rows, of.drop.tolist(), of.shared_fate.tolist(), strict=True))


def holds(
    kernel: ModuleType, pair: tuple[list[tuple[Cell, Cell | None]], list[int] | None]
) -> None:
    both, picked = pair
    want = [w for w, _ in both]
    have = [w if h is None else h for w, h in both]
    entries = None if picked is None else np.array([e for e in picked if e < len(both)], np.int64)
    installed = table(have)
    delta = kernel.diff(table(want), installed, generation=5, entries=entries)
    looked_at = range(len(both)) if picked is None else {e for e in picked if e < len(both)}
    assert delta.entries.tolist() == [e for e in sorted(looked_at) if want[e] != have[e]]
    assert (len(delta), delta.generation) == (len(delta.entries), 5)
    installed.apply(delta)
    expected = [w if e in looked_at else h for e, (w, h) in enumerate(zip(want, have, strict=True))]
    assert cells(installed) == expected


@given(PAIRS)
def test_a_delta_applied_to_installed_gives_wanted(
    pair: tuple[list[tuple[Cell, Cell | None]], list[int] | None],
) -> None:
    """Only entries that differ are in the delta, ascending, and they suffice."""
    holds(forwarding, pair)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("changed |= new[:, place]", "changed &= new[:, place]"),
        ("wanted.drop[at] != installed.drop[at]", "np.zeros(len(at), dtype=np.bool_)"),
        ("changed |= wanted.shared_fate[at] != installed.shared_fate[at]", "pass"),
        ("distinct(entries)", "entries"),
        ("rows=new[changed]", "rows=old[changed]"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """A change that is overlooked, or looked up in the wrong table, is noticed."""
    broken = mutant(forwarding, old, new)
    assert caught(PAIRS, lambda pair: holds(broken, pair))


def test_a_delta_is_a_copy() -> None:
    """What is written into the wanted table later does not change a delta on its way."""
    wanted = table([((1, 2, 3), False, False)])
    delta = diff(wanted, ForwardingTable(1), generation=1)
    wanted.rows[0] = 9
    assert delta.rows.tolist() == [[1, 2, 3]]


def test_a_new_table_forwards_nothing() -> None:
    """Entries begin without rows, without drop and without a claim on fates."""
    assert cells(ForwardingTable(2)) == [((NO_ROW, NO_ROW, NO_ROW), False, False)] * 2
    assert len(ForwardingTable(2)) == 2


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_entries_are_numbered_densely_site_by_site(
    sites: int, destinations: int, classes: int
) -> None:
    """Indices count up through classes, destinations and sites; each leads back to its key."""
    space = EntrySpace(sites, destinations, classes)
    keys = [
        EntryKey(s, d, c) for s in range(sites) for d in range(destinations) for c in range(classes)
    ]
    assert [space.index(*key) for key in keys] == list(range(space.entries))
    assert [space.key(entry) for entry in range(space.entries)] == keys
    for site in range(sites):
        own = range(space.entries)[space.of_site(site)]
        assert [space.key(entry).site for entry in own] == [site] * space.per_site


@pytest.mark.parametrize("key", [(2, 0, 0), (0, 3, 0), (0, 0, 4), (-1, 0, 0)])
def test_keys_outside_the_space_are_refused(key: tuple[int, int, int]) -> None:
    """An index out of range would be another entry's, so it is an error."""
    with pytest.raises(AssertionError):
        EntrySpace(2, 3, 4).index(*key)
