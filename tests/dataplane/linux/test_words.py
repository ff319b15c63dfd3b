"""Entry words: every entry survives being packed, and zeroed memory is an empty entry."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.linux.words import Entries, pack, unpack
from patronus.engine.forwarding import NO_ROW

ROW = st.integers(NO_ROW, 65_533)
ENTRY = st.tuples(
    st.tuples(ROW, ROW, ROW),
    st.booleans(),
    st.booleans(),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.tuples(st.integers(0, 15), st.integers(0, 15)),
)


@given(st.lists(ENTRY, min_size=1, max_size=5))
def test_words_are_read_as_they_were_written(entries: list[tuple[object, ...]]) -> None:
    """Rows, flags and shares come back, whatever stands beside them."""
    rows, drop, fate, direct, shares = (np.array(column) for column in zip(*entries, strict=True))
    wanted = Entries(rows.astype(np.int32), drop, fate, direct, shares.astype(np.int64))
    words = pack(wanted)
    assert words.dtype == np.uint64
    for got, asked in zip(unpack(words), wanted, strict=True):
        assert got.tolist() == asked.tolist()


def test_zeroed_memory_forwards_nothing() -> None:
    """A word that nobody has written names no tunnel."""
    empty = unpack(np.zeros(2, dtype=np.uint64))
    assert empty.rows.tolist() == [[NO_ROW] * 3] * 2
    assert not empty.drop.any()


def test_no_entries_are_no_words() -> None:
    """An empty change packs to nothing."""
    none = np.zeros((0, 3))
    empty = Entries(
        none.astype(np.int32),
        none[:, 0] > 0,
        none[:, 0] > 0,
        none > 0,
        none[:, :2].astype(np.int64),
    )
    assert len(pack(empty)) == 0
