"""Extensions of STAMP packets."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.stamp.fields import Malformed, Refusal
from patronus.dataplane.stamp.tlv import (
    FLAG_M,
    FLAG_U,
    NEVER_HEARD,
    Drain,
    Liveness,
    Tlv,
    Type,
    digest,
    liveness_of,
    reflect,
    seal,
    split,
    unseal,
)

KEY = b"k" * 32

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
LIVENESSES = st.builds(
    Liveness, st.booleans(), U32, U64, *[U32] * 7, large_heard=st.integers(0, 2**16 - 1)
)
TLVS = st.lists(
    st.builds(Tlv, st.integers(0, 255), st.binary(max_size=40), st.integers(0, 255)), max_size=5
)


def refusal_of(read: Callable[[bytes], object], data: bytes) -> Refusal | None:
    try:
        read(data)
    except Malformed as error:
        return error.refusal
    return None


def packed(tlvs: list[Tlv]) -> bytes:
    return b"".join(tlv.pack() for tlv in tlvs)


@given(tlvs=TLVS)
def test_tlvs_come_back(tlvs: list[Tlv]) -> None:
    """Extensions are read as they were written."""
    assert list(split(packed(tlvs))) == tlvs


@given(liveness=LIVENESSES)
def test_liveness_comes_back(liveness: Liveness) -> None:
    """What a peer says of itself is read as it was written, wherever it stands."""
    around = packed([Tlv(Type.EXTRA_PADDING, bytes(3)), Tlv(77, b"x")])
    data = around + Tlv(Type.LIVENESS, liveness.pack()).pack() + around
    assert liveness_of(data) == liveness


def test_liveness_stands_as_its_table_says() -> None:
    """Each field of the private TLV is at its place."""
    value = Liveness(True, 0x01020304, 5, 6, 7, 8, 9, 10, 11, 12, 0x50D0E).pack()
    assert value[:8].hex() == "80010d0e01020304"
    assert [value[i] for i in (15, 19, 23, 27, 31, 35, 39, 43)] == [5, 6, 7, 8, 9, 10, 11, 12]
    assert (len(value), sum(value[8:])) == (44, 68)


@pytest.mark.parametrize(
    ("drain", "octet"),
    [(Drain(0), 0x80), (Drain.ASKED, 0xC0), (Drain.ASKED | Drain.OVERDUE, 0xE0)],
)
def test_planned_moves_stand_beside_the_h_bit(drain: Drain, octet: int) -> None:
    """D and O are the next two bits, and come back."""
    value = Liveness(True, 1, 5, 6, 7, 8, 9, 10, 11, 12, drain=drain).pack()
    assert value[0] == octet
    assert Liveness.parse(value).drain == drain


def test_counters_wrap_and_ages_do_not() -> None:
    """A counter is a serial number; an age beyond its field means never."""
    liveness = Liveness(False, 2**32 + 1, 0, 2**40, 2**32 + 2, 0, 0, 2**33 + 3, 0, 0)
    read = Liveness.parse(liveness.pack())
    assert (read.sequence, read.probes_sent, read.data_sent) == (1, 2, 3)
    assert read.heard_age_us == NEVER_HEARD


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"", Refusal.NO_LIVENESS),
        (Tlv(Type.LIVENESS, bytes(44)).pack() * 2, Refusal.NO_LIVENESS),
        (Tlv(Type.LIVENESS, bytes(43)).pack(), Refusal.TLV),
        (Tlv(Type.LIVENESS, bytes(44)).pack(), Refusal.VERSION),
        (b"\x80\xfc\x00", Refusal.TLV),
        (b"\x80\xfc\x00\x30" + bytes(47), Refusal.TLV),
    ],
)
def test_other_liveness_is_refused(data: bytes, refusal: Refusal) -> None:
    """Missing, doubled, cut and unknown liveness each have their reason."""
    with pytest.raises(Malformed) as caught:
        liveness_of(data)
    assert caught.value.refusal is refusal


@given(data=st.binary(max_size=200))
def test_hostile_tlvs_give_one_error(data: bytes) -> None:
    """Whatever the bytes are, reading them gives liveness or one error with a reason."""
    refusal = refusal_of(liveness_of, data)
    assert refusal in (None, Refusal.TLV, Refusal.NO_LIVENESS, Refusal.VERSION)


@given(tlvs=TLVS.filter(lambda t: all(x.type != Type.HMAC for x in t)), padding=st.integers(0, 9))
def test_sealed_tlvs_open_with_the_key(tlvs: list[Tlv], padding: int) -> None:
    """What an HMAC covers is given back; padding behind it is not."""
    data = packed(tlvs)
    behind = Tlv(Type.EXTRA_PADDING, bytes(padding)).pack()
    assert unseal(KEY, 7, seal(KEY, 7, data) + behind) == data


@given(at=st.integers(0, 75), bit=st.integers(0, 7))
def test_no_bit_of_sealed_tlvs_can_be_changed(at: int, bit: int) -> None:
    """Each bit of the covered TLVs and of the HMAC counts, but for the HMAC's own flags."""
    sealed = bytearray(seal(KEY, 7, Tlv(Type.LIVENESS, bytes(52)).pack()))
    assert len(sealed) == 76
    sealed[at] ^= 1 << bit
    if at == 56:
        assert unseal(KEY, 7, bytes(sealed))
    else:
        with pytest.raises(Malformed):
            unseal(KEY, 7, bytes(sealed))


def test_tlvs_belong_to_their_packet() -> None:
    """TLVs of another sequence number do not fit, nor do uncovered ones or what is behind."""
    data = Tlv(77, b"x").pack()
    for wrong in (seal(KEY, 6, data), data, seal(KEY, 7, data) + data, seal(b"other", 7, data)):
        with pytest.raises(Malformed) as caught:
            unseal(KEY, 7, wrong)
        assert caught.value.refusal in (Refusal.HMAC, Refusal.NO_HMAC)
    assert unseal(KEY, 7, Tlv(Type.EXTRA_PADDING, b"").pack()) == b""


def test_the_digest_is_that_of_rfc_4231() -> None:
    """Test case 2 of RFC 4231, cut to 16 octets."""
    expected = "5bdcc146bf60754e6a042426089575c7"
    assert digest(b"Jefe", b"what do ya want for nothing?").hex() == expected


def test_a_reflector_marks_what_it_does_not_know() -> None:
    """Known TLVs lose their U, unknown ones keep it, wrong lengths gain an M."""
    known, wrong = Tlv(Type.LIVENESS, b"ab"), Tlv(Type.LIVENESS, b"abc")
    data = packed([known, Tlv(77, b"x"), wrong]) + b"\x80\x4d\xff\xff??"

    back = reflect(data, lambda tlv: b"AB" if tlv.type == Type.LIVENESS else None)

    marked = [Tlv(Type.LIVENESS, b"AB", 0), Tlv(77, b"x", FLAG_U), wrong._replace(flags=FLAG_M)]
    assert back == packed(marked) + bytes((FLAG_M,)) + b"\x4d\xff\xff??"


@given(data=st.binary(max_size=120))
def test_a_reflection_is_as_long_as_its_probe(data: bytes) -> None:
    """No bytes make a reflector amplify."""
    assert len(reflect(data, lambda tlv: None)) == len(data)
