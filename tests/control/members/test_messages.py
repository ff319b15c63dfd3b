"""Bodies: one form each, bounded, and safe against whatever a signer puts into them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.control.members.address import Address
from patronus.control.members.envelope import BODY_BYTES_MAX
from patronus.control.members.messages import (
    ANNOUNCEMENT_BYTES_MAX,
    PIECE_BYTES,
    PIECES_MAX,
    Ack,
    Entry,
    Join,
    Peers,
    Piece,
    page,
    pieces,
)
from patronus.control.members.reason import Reason, Refused
from tests.control.members.fleet import certificate

Body = Piece | Join | Peers | Ack

NAMES = st.sampled_from(["a", "b", "c", "dé", "z" * 255])
CERTIFICATES = st.none() | st.sampled_from([certificate("a"), certificate("z" * 255)])
ADDRESSES = st.lists(
    st.builds(
        Address,
        st.sampled_from(["10.0.0.1", "0.0.0.0", "2001:db8::1", "::"]),
        st.integers(1, 65535),
    ),
    max_size=4,
).map(tuple)
ENTRIES = st.builds(
    lambda name, known, where: Entry(name, certificate(name) if known else None, where),
    NAMES, st.booleans(), ADDRESSES,
)  # fmt: skip
PEERS = st.lists(ENTRIES, max_size=3, unique_by=lambda e: e.name).map(
    lambda entries: Peers(False, None, tuple(sorted(entries, key=lambda e: e.name)))
)
BODIES: st.SearchStrategy[Body] = st.one_of(
    st.builds(Join, st.just("") | NAMES, CERTIFICATES),
    PEERS,
    st.builds(Ack, st.integers(0, 2**64 - 1), st.integers(0, 2**PIECES_MAX - 1)),
    st.binary(min_size=1, max_size=PIECE_BYTES).map(lambda data: Piece(3, 4, data)),
)
DECODERS: list[Callable[[bytes], Body]] = [Piece.decode, Join.decode, Peers.decode, Ack.decode]


@given(BODIES)
def test_bodies_are_read_back(body: Body) -> None:
    """Decoding gives what was encoded."""
    assert type(body).decode(body.encode()) == body


def canonical(decoder: Callable[[bytes], Body], data: bytes) -> None:
    """Assert that bytes are refused for a reason, or are the one form of what they say."""
    try:
        told = decoder(data)
    except Refused:
        return
    assert told.encode() == data


@given(st.binary(max_size=300), st.sampled_from(DECODERS))
def test_random_bytes_never_crash(data: bytes, decoder: Callable[[bytes], Body]) -> None:
    """Bytes from nowhere are refused, or have one reading."""
    canonical(decoder, data)


@given(BODIES, st.sampled_from(DECODERS), st.data())
def test_damaged_bodies_have_one_reading(
    body: Body, decoder: Callable[[bytes], Body], data: st.DataObject
) -> None:
    """A signer that makes mistakes is refused, or is understood in one way only."""
    good = bytearray(body.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        if good:
            at = data.draw(st.integers(0, len(good) - 1))
            good[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    canonical(decoder, bytes(good))


@given(st.integers(1, ANNOUNCEMENT_BYTES_MAX))
def test_pieces_make_the_whole_again(size: int) -> None:
    """An announcement of any length is cut into pieces that are valid and fit."""
    whole = bytes(size)
    cut = pieces(whole)
    assert b"".join(piece.data for piece in cut) == whole
    assert [piece.index for piece in cut] == list(range(len(cut)))
    assert {piece.count for piece in cut} == {len(cut)}
    for piece in (cut[0], cut[-1]):
        assert Piece.decode(piece.encode()) == piece
        assert len(piece.encode()) <= BODY_BYTES_MAX


def test_what_does_not_fit_is_not_cut() -> None:
    """The bound of announcements is the sender's, too."""
    with pytest.raises(ValueError, match="fit"):
        pieces(bytes(ANNOUNCEMENT_BYTES_MAX + 1))


@given(st.integers(0, 60))
def test_pages_cover_a_list_of_any_length(count: int) -> None:
    """Whoever asks for what follows the last name gets everybody once, in envelopes that fit."""
    where = (Address("2001:db8::1", 65535),) * 4
    entries = [Entry(f"site-{n:04}", None, where) for n in range(count)]
    got: list[Entry] = []
    more = True
    while more:
        told = page(entries[len(got) :], certificate("z" * 255))
        assert Peers.decode(told.encode()) == told
        assert len(told.encode()) <= BODY_BYTES_MAX
        got, more = got + list(told.entries), told.more
    assert got == entries


def test_the_longest_entry_fits_beside_the_longest_certificate() -> None:
    """No page is ever empty while there is more to tell: the asker would ask for ever."""
    where = (Address("2001:db8::1", 65535),)
    names = ["y" * 255, "z" * 255]
    entries = [Entry(name, certificate(name), where) for name in names]
    told = page(entries, certificate("a" * 255))
    assert [entry.name for entry in told.entries] == names[:1]
    assert told.more


@pytest.mark.parametrize(
    ("decoder", "body", "reason"),
    [
        (Piece.decode, b"\0\0\0\0x", Reason.BODY),
        (Piece.decode, b"\1\0\1\0x", Reason.BODY),
        (Piece.decode, b"\0\0\1\0", Reason.BODY),
        (Piece.decode, b"\0\0\2\0x", Reason.BODY),
        (Piece.decode, b"\0\0\xc1\0" + bytes(PIECE_BYTES), Reason.BODY),
        (Piece.decode, b"\0\0\1\0" + bytes(PIECE_BYTES + 1), Reason.BODY),
        (Join.decode, b"\0\2", Reason.BODY),
        (Join.decode, b"\0\1PD\1", Reason.CERTIFICATE),
        (Join.decode, b"\0\0\0", Reason.TRAILING),
        (Join.decode, b"\0\1PC\1" + bytes(16) + bytes(32), Reason.CERTIFICATE),
        (Peers.decode, b"\0\0\2\0\1b\0\0\1a\0", Reason.BODY),
        (Peers.decode, b"\0\0\2\0\1a\0\0\1a\0", Reason.BODY),
        (Peers.decode, b"\1\0\0", Reason.BODY),
        (Peers.decode, b"\0\0\1\0\0\0", Reason.NAME),
        (Peers.decode, b"\0\0\1\0\1a\5", Reason.BODY),
        (Peers.decode, b"\0\0\1\0\1a\1\5", Reason.BODY),
        (Peers.decode, b"\0\0\1\0\1a\1\4\1\2\3\4\0\0", Reason.BODY),
        (
            Peers.decode,
            b"\0\0\1\0\1a\1\6" + bytes(10) + b"\xff\xff\1\2\3\4\1\0",
            Reason.BODY,
        ),
        (Ack.decode, bytes(8) + b"\1\0", Reason.BODY),
        (Ack.decode, bytes(8) + b"\x19" + b"\1" * 25, Reason.BODY),
        (Ack.decode, bytes(8), Reason.TRUNCATED),
    ],
)
def test_each_kind_of_damage_has_its_reason(
    decoder: Callable[[bytes], Body], body: bytes, reason: Reason
) -> None:
    """What no sender of ours writes is refused, and it is known why."""
    with pytest.raises(Refused) as refused:
        decoder(body)
    assert refused.value.reason is reason
