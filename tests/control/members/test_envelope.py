"""Envelopes: one canonical form, and a signature that nothing gets past."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.control.members import envelope
from patronus.control.members.envelope import (
    BODY_BYTES_MAX,
    DATAGRAM_BYTES_MAX,
    Envelope,
    Kind,
    decode,
    seal,
)
from patronus.control.members.reason import Reason, Refused
from tests.control.members.fleet import identity
from tests.mutants.harness import caught, mutant
from tests.oracles.envelope import PREFIX, signed_part

ME = identity("me")
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.sampled_from(
    ["a", "é", "\U0001f600", "z" * 255]
)
WORD = st.integers(0, 2**64 - 1)
PARTS = st.tuples(
    st.sampled_from([1, 2, 3, 4, 5]), NAME, st.tuples(WORD, WORD, WORD),
    st.binary(max_size=40) | st.just(bytes(BODY_BYTES_MAX)),
)  # fmt: skip

Parts = tuple[int, str, tuple[int, int, int], bytes]


def holds(module: ModuleType, parts: Parts) -> None:
    kind, origin, numbers, body = parts
    counter, session, echo = numbers
    made = module.Envelope(
        module.Kind(kind), origin, ME.public.id, counter, session, echo=echo, body=body
    )
    data = module.seal(made, ME)
    expected = signed_part(kind, origin, ME.public.id, numbers, body)
    assert data[:-64] == expected
    assert ME.public.signed(data[-64:], PREFIX + expected)
    told = module.decode(data)
    assert told == made
    assert told.authentic(ME.public)
    assert not told.authentic(identity("another").public)
    assert len(data) <= DATAGRAM_BYTES_MAX


@given(PARTS)
def test_bytes_are_as_documented_and_read_back(parts: Parts) -> None:
    """Sealing equals bytes put together by hand, and decoding gives all of it again."""
    holds(envelope, parts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("signed + identity.sign(_PREFIX + signed)", "signed + identity.sign(signed)"),
        ("return public.signed(self.signature, _PREFIX + self.signed)", "return True"),
        ("number(e.session, 8) + number(e.echo, 8)", "number(e.echo, 8) + number(e.session, 8)"),
        ("body, signed = reader.take(length), data[: reader.at]",
         "signed, body = data[: reader.at], reader.take(length)"),
        ("number(len(e.body), 2)", "number(len(e.body), 4)"),
    ],
)  # fmt: skip
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Another order, width or signed part is noticed."""
    broken = mutant(envelope, old, new)
    assert caught(PARTS, lambda parts: holds(broken, parts))


def believed(data: bytes) -> Envelope | None:
    """Return an envelope that decodes and is authentic."""
    try:
        told = decode(data)
    except Refused:
        return None
    return told if told.authentic(ME.public) else None


GOOD = seal(Envelope(Kind.ACK, "site", ME.public.id, 7, 8, echo=9, body=b"body"), ME)


def test_every_flipped_bit_is_noticed() -> None:
    """No bit of a datagram can be changed, in whatever field it stands."""
    assert believed(GOOD) is not None
    for bit in range(8 * len(GOOD)):
        broken = bytearray(GOOD)
        broken[bit // 8] ^= 1 << bit % 8
        assert believed(bytes(broken)) is None, f"bit {bit}"


@given(st.binary(max_size=400), st.booleans())
def test_random_bytes_never_crash(data: bytes, headed: bool) -> None:
    """Bytes from nowhere are refused for a reason."""
    assert believed((b"PM\x01\x02" if headed else b"") + data) is None


@given(PARTS, st.data())
def test_damaged_datagrams_are_refused(parts: Parts, data: st.DataObject) -> None:
    """Changed, missing, added and doubled bytes never pass."""
    kind, origin, (counter, session, echo), body = parts
    made = Envelope(Kind(kind), origin, ME.public.id, counter, session, echo=echo, body=body)
    good = bytearray(seal(made, ME))
    at = data.draw(st.integers(0, len(good) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "double"])):
        case "flip":
            good[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del good[at:]
        case "insert":
            good.insert(at, data.draw(st.integers(0, 255)))
        case _:
            good *= 2
    assert believed(bytes(good)) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (GOOD[:-1], Reason.TRUNCATED),
        (GOOD + b"\0", Reason.TRAILING),
        (b"PA" + GOOD[2:], Reason.NOT_OURS),
        (GOOD[:2] + b"\2" + GOOD[3:], Reason.VERSION),
        (GOOD[:3] + b"\0" + GOOD[4:], Reason.KIND),
        (GOOD[:3] + b"\6" + GOOD[4:], Reason.KIND),
        (GOOD.replace(b"\4site", b"\0site"), Reason.NAME),
        (GOOD.replace(b"\4site", b"\4s\xffte"), Reason.NAME),
        (GOOD.replace(b"\4\0body", b"\xff\xffbody"), Reason.BODY),
        (bytes(DATAGRAM_BYTES_MAX + 1), Reason.OVERSIZED),
    ],
)
def test_each_kind_of_damage_has_its_reason(data: bytes, reason: Reason) -> None:
    """The reason tells an operator what arrives on the port."""
    with pytest.raises(Refused) as refused:
        decode(data)
    assert refused.value.reason is reason


@pytest.mark.parametrize("change", [{"body": bytes(BODY_BYTES_MAX + 1)}, {"origin": "z" * 256}])
def test_what_is_too_long_is_not_sealed(change: dict[str, bytes | str]) -> None:
    """The bounds hold for the sender too."""
    fields = {"origin": "a", "body": b""} | change
    with pytest.raises(ValueError, match=r"body|longer"):
        seal(
            Envelope(
                Kind.ACK, str(fields["origin"]), ME.public.id, 1, 1, echo=0,
                body=fields["body"] if isinstance(fields["body"], bytes) else b"",
            ),
            ME,
        )  # fmt: skip


def test_a_signature_of_something_else_is_none() -> None:
    """What was signed as another thing, without the prefix of datagrams, does not count."""
    bare = GOOD[:-64] + ME.sign(GOOD[:-64])
    assert believed(bare) is None
