"""Silence: exact edges, whatever the slots and however rows are addressed."""

from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import silence
from patronus.engine.liveness import Input
from patronus.engine.units import LONG_AGO, MS, NEVER, SECOND
from tests.mutants.harness import caught, mutant
from tests.oracles import silence as oracle

SPAN = 24
NAMES = {Input.EXPIRE: "expire", Input.CONFIRM: "confirm"}


class History(NamedTuple):
    """What happens to a few rows, and how it is cut into calls."""

    base: int
    """Added to every time that the kernel sees."""
    bounds: list[int]
    """Slots lie between them."""
    detect: list[dict[int, int]]
    """By row: the detect time from the start of some slots on."""
    stamps: list[set[int]]
    """By row."""
    cuts: list[set[int]]
    """By row; at one instant a cut comes before a stamp."""
    as_slice: bool
    again: int
    """Before each call an old stamp is repeated, this much older than the newest."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    rows = draw(st.integers(1, 4))
    bounds = sorted({0, SPAN} | draw(st.sets(st.integers(1, SPAN - 1))))
    starts = st.sampled_from(bounds[:-1])
    detect = st.dictionaries(starts, st.sampled_from([0, 1, 2, 3, 6, SPAN]), max_size=3)
    times = st.sets(st.integers(0, SPAN - 1), max_size=12)

    def each(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.lists(strategy, min_size=rows, max_size=rows))

    return History(
        base=draw(st.sampled_from([0, -5 * SECOND, -SPAN, -7, 2**61])),
        bounds=bounds,
        detect=[{0: 3} | changes for changes in each(detect)],
        stamps=each(times),
        cuts=each(st.sets(st.integers(0, SPAN - 1), max_size=3)),
        as_slice=draw(st.booleans()),
        again=draw(st.integers(0, 2)),
    )


def turns(history: History, start: int, end: int) -> list[tuple[list[int], list[int]]]:
    """Return the events of a slot as calls: (stamps, cuts), one event a row at most."""
    rows = []
    for proofs, cuts in zip(history.stamps, history.cuts, strict=True):
        events = sorted([(t, 0) for t in cuts] + [(t, 1) for t in proofs])
        rows.append([e for e in events if start <= e[0] < end])
    calls = []
    for i in range(max(map(len, rows))):
        turn = [row[i] if i < len(row) else (NEVER, 1) for row in rows]
        stamps = [history.base + t if kind and t != NEVER else NEVER for t, kind in turn]
        calls.append((stamps, [NEVER if kind else history.base + t for t, kind in turn]))
    return calls


def run(kernel: ModuleType, history: History) -> list[list[tuple[int, str]]]:
    """Feed a history to the kernel; return the edges of each row."""
    n, base = len(history.detect), history.base
    # A row before and one after stand for everybody else's: they must not change.
    confirmed, detect = np.full((2, n + 2), base, dtype=np.int64)
    silent = np.zeros(n + 2, dtype=np.bool_)
    found: list[list[tuple[int, str]]] = [[] for _ in range(n)]
    rows = slice(1, n + 1) if history.as_slice else np.arange(n, 0, -1)

    def take(edges: silence.Edges) -> None:
        order = [(t, r, -k) for t, r, k in zip(*(a.tolist() for a in edges), strict=True)]
        assert order == sorted(order), "ordered by (time, row, kind)"
        for t, r, k in order:
            found[r - 1].append((t - base, NAMES[Input(-k)]))

    for start, end in pairwise(history.bounds):
        slot = base + start
        for row, changes in enumerate(history.detect, start=1):
            detect[row] = changes.get(start, detect[row])
        for stamps, cuts in turns(history, start, end):
            take(kernel.stamp(confirmed, detect, silent, rows, confirmed[rows] - history.again))
            hit = np.array([r for r in range(n) if cuts[r] != NEVER], dtype=np.int64)[::-1]
            at = np.array(cuts, dtype=np.int64)[hit]
            take(kernel.cut(confirmed, detect, silent, hit + 1, at, not_before_ns=slot))
            at = np.array(stamps if history.as_slice else stamps[::-1], dtype=np.int64)
            take(kernel.stamp(confirmed, detect, silent, rows, at, not_before_ns=slot))
        take(kernel.expire(confirmed, detect, silent, rows, base + end, not_before_ns=slot))
    assert (confirmed[[0, -1]] == base).all()
    assert not silent[[0, -1]].any()
    return found


def holds(kernel: ModuleType, history: History) -> None:
    each = zip(history.stamps, history.cuts, history.detect, strict=True)
    assert run(kernel, history) == [oracle.edges(*row, end=SPAN) for row in each]


@given(histories())
def test_edges_are_those_of_watching_every_instant(history: History) -> None:
    """Slots of any width give exactly the edges that watching one row instant by instant gives."""
    holds(silence, history)


MUTANTS = [
    ("odd = at_ns - confirmed > detect", "odd = at_ns - confirmed >= detect"),
    ("stale = confirmed + detect < until_ns - 1", "stale = confirmed + detect < until_ns"),
    ("odd |= mute", "odd |= False"),
    ("lost = at[~mute[at]]", "lost = at"),
    ("at_ns[at] > confirmed[at]", "at_ns[at] >= confirmed[at]"),
    ("newest[none] = kept", "pass"),
    ("confirmed[none] = kept", "pass"),
    ("np.minimum(confirmed, at - detect - 1)", "np.minimum(confirmed, at - detect)"),
    ("np.minimum(confirmed + detect + 1, at)", "at"),
    ("np.lexsort((-kind, row, at_ns))", "np.lexsort((kind, row, at_ns))"),
]


@pytest.mark.parametrize(("old", "new"), MUTANTS)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of being off by one instant, or of forgetting a row's state, is noticed."""
    broken = mutant(silence, old, new)
    assert caught(histories(), lambda history: holds(broken, history))


def arrays(*columns: list[int]) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    return [np.array(column, dtype=np.int64) for column in columns]


def test_a_stamp_at_the_limit_keeps_the_row_up() -> None:
    """Two lost probes of three leave an age of exactly the detect time, which is still fresh."""
    confirmed, detect, at = arrays([0, 0], [30 * MS, 30 * MS], [30 * MS, 30 * MS + 1])
    silent = np.zeros(2, dtype=np.bool_)
    edges = silence.stamp(confirmed, detect, silent, slice(0, 2), at)
    assert edges.row.tolist() == [1, 1]
    assert edges.kind.tolist() == [Input.EXPIRE, Input.CONFIRM]
    assert edges.at_ns.tolist() == [30 * MS + 1, 30 * MS + 1]


def test_rows_that_were_never_heard_expire_at_once_and_stay_quiet() -> None:
    """Unset stamps do not wrap around, and a silent row without stamps gives no edge."""
    confirmed, detect, none = arrays([LONG_AGO], [300 * MS], [NEVER])
    silent = np.zeros(1, dtype=np.bool_)
    now = -5 * SECOND
    first = silence.expire(confirmed, detect, silent, slice(None), now, not_before_ns=now - 1)
    assert (first.at_ns.tolist(), first.row.tolist()) == ([now - 1], [0])
    assert len(silence.stamp(confirmed, detect, silent, slice(None), none).row) == 0
    assert len(silence.expire(confirmed, detect, silent, slice(None), NEVER).row) == 0
    assert confirmed[0] == LONG_AGO


def test_an_expiry_put_into_the_past_is_dated_now() -> None:
    """When the detect time shrinks below a row's age, the edge is not dated before the slot."""
    confirmed, detect, at = arrays([0, 0], [10, 10], [NEVER, 100])
    silent = np.zeros(2, dtype=np.bool_)
    slot = 90
    edges = silence.stamp(confirmed, detect, silent, slice(0, 2), at, not_before_ns=slot)
    assert edges.at_ns.tolist() == [90, 100]
    edges = silence.expire(confirmed, detect, silent, slice(0, 2), 110, not_before_ns=slot)
    assert (edges.at_ns.tolist(), edges.row.tolist()) == ([90], [0])


def test_slices_must_be_contiguous() -> None:
    """A stride is refused: the rows it means could not be told from the result."""
    confirmed, detect, at = arrays([0, 0], [1, 1], [9])
    with pytest.raises(AssertionError):
        silence.stamp(confirmed, detect, np.zeros(2, dtype=np.bool_), slice(0, 2, 2), at)
