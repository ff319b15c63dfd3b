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
    """By row; each at the start of a slot."""
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
        cuts=each(st.sets(starts, max_size=2)),
        as_slice=draw(st.booleans()),
        again=draw(st.integers(0, 2)),
    )


def rounds(stamps: list[set[int]], start: int, end: int) -> list[list[int]]:
    """Return the stamps of a slot as calls of at most one a row, in time order."""
    inside = [sorted(t for t in row if start <= t < end) for row in stamps]
    most = max((len(row) for row in inside), default=0)
    return [[row[i] if i < len(row) else NEVER for row in inside] for i in range(most)]


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
        gone = np.array([r + 1 for r in range(n) if start in history.cuts[r]], dtype=np.int64)
        take(kernel.cut(confirmed, detect, silent, gone[::-1], slot))
        for stamps in rounds(history.stamps, start, end):
            take(kernel.stamp(confirmed, detect, silent, rows, confirmed[rows] - history.again))
            at = np.array([t if t == NEVER else t + base for t in stamps], dtype=np.int64)
            at = at if history.as_slice else at[::-1]
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
    ("np.minimum(confirmed_ns[loud], at_ns - detect_ns[loud] - 1)", "at_ns - detect_ns[loud]"),
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
