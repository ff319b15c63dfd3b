"""Assembly: any order, any repetition, and never more memory than stated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.control.members import assembly as module
from patronus.control.members.assembly import BYTES_MAX, PIECE_COST, Assembly
from patronus.control.members.messages import PIECE_BYTES, PIECES_MAX, Piece, pieces
from patronus.control.members.reason import Reason, Refused


@given(st.integers(1, 6 * PIECE_BYTES), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(size: int, luck: object) -> None:
    """An announcement is complete with its last missing piece, whichever that is."""
    whole = bytes(n % 251 for n in range(size))
    order = pieces(whole) + pieces(whole)
    luck.shuffle(order)  # type: ignore[attr-defined]  # Hypothesis gives a Random
    assembly, got = Assembly(), set()
    for piece in order:
        done = assembly.add("a", 7, piece)
        got.add(piece.index)
        if len(got) == piece.count:
            assert done == whole
            break
        assert done is None
        assert assembly.bitmap("a", 7) == sum(1 << n for n in got)
        assert assembly.bitmap("a", 8) == assembly.bitmap("b", 7) == 0
    assert assembly.bytes == 0


def test_a_newer_announcement_replaces_the_one_under_way() -> None:
    """Pieces of the old one are then refused."""
    assembly = Assembly()
    assembly.add("a", 1, Piece(0, 3, b"x" * PIECE_BYTES))
    assembly.add("a", 2, Piece(0, 2, b"y" * PIECE_BYTES))
    with pytest.raises(Refused) as refused:
        assembly.add("a", 1, Piece(1, 3, b"x" * PIECE_BYTES))
    assert refused.value.reason is Reason.REPLAYED
    assert assembly.add("a", 2, Piece(1, 2, b"z")) == b"y" * PIECE_BYTES + b"z"


@pytest.mark.parametrize(
    "other", [Piece(1, 4, b"x" * PIECE_BYTES), Piece(0, 3, b"z" * PIECE_BYTES)]
)
def test_pieces_that_contradict_each_other_are_refused(other: Piece) -> None:
    """A signer who tells two lengths, or two contents, is not understood."""
    assembly = Assembly()
    assembly.add("a", 1, Piece(0, 3, b"x" * PIECE_BYTES))
    with pytest.raises(Refused) as refused:
        assembly.add("a", 1, other)
    assert refused.value.reason is Reason.INCONSISTENT
    assert assembly.bitmap("a", 1) == 1


def test_the_memory_of_all_together_is_bounded() -> None:
    """Enrolled sites that never finish take what is stated, and not for ever from one that does."""
    assembly = Assembly()
    part = b"x" * PIECE_BYTES
    for site in range(400):
        for index in range(PIECES_MAX - 1):
            assembly.add(f"hostile-{site}", 1, Piece(index, PIECES_MAX, part))
            assert assembly.bytes <= BYTES_MAX
    assert assembly.given_up > 0
    assert assembly.bytes > BYTES_MAX - PIECES_MAX * PIECE_COST
    for piece in pieces(b"honest" * 1000)[:-1]:
        assert assembly.add("honest", 1, piece) is None
    assert assembly.add("honest", 1, pieces(b"honest" * 1000)[-1]) == b"honest" * 1000


def test_the_one_that_waits_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was touched a moment ago is not given up for what comes now."""
    monkeypatch.setattr(module, "BYTES_MAX", 3 * PIECE_COST)
    assembly, part = Assembly(), b"x" * PIECE_BYTES
    for origin, index in [("a", 0), ("b", 0), ("a", 1), ("c", 0)]:
        assembly.add(origin, 1, Piece(index, 9, part))
    assert [bin(assembly.bitmap(o, 1)) for o in "abc"] == ["0b11", "0b0", "0b1"]
    assembly.drop("a")
    assembly.drop("nobody")
    assert assembly.bytes == PIECE_COST
