"""Certificates: what the operator signed, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.control.members.certificate import Certificate, decode
from patronus.control.members.envelope import Envelope, Kind, seal
from patronus.control.members.reason import Refused
from tests.control.members.fleet import identity, key

OPERATOR = identity("operator")
GOOD = Certificate.issue(OPERATOR, "berlin", key("berlin"), serial=3, not_after_s=1_900_000_000)


def test_it_is_read_back_and_verified() -> None:
    """A certificate survives its encoding, and only the operator's key fits."""
    told = decode(GOOD.encode())
    assert told == GOOD
    assert told.signed_by(OPERATOR.public)
    assert not told.signed_by(key("somebody"))


def test_every_flipped_bit_is_noticed() -> None:
    """Neither name, key, serial nor date can be changed."""
    good = GOOD.encode()
    for bit in range(8 * len(good)):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        try:
            told = decode(bytes(broken))
        except Refused:
            continue
        assert not told.signed_by(OPERATOR.public), f"bit {bit}"


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_crash(data: bytes, headed: bool) -> None:
    """Bytes from nowhere are refused for a reason."""
    try:
        told = decode((b"PC\x01" if headed else b"") + data)
    except Refused:
        return
    assert not told.signed_by(OPERATOR.public)


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "z" * 256}, {"serial": -1}, {"not_after_s": 2**64}]
)
def test_what_has_no_place_is_not_signed(change: dict[str, object]) -> None:
    """The operator's tool gets an error, not a certificate that nobody can read."""
    name = str(change.get("name", "a"))
    serial, until = int(str(change.get("serial", 1))), int(str(change.get("not_after_s", 1)))
    with pytest.raises(ValueError, match=r"needs|longer"):
        Certificate.issue(OPERATOR, name, key("a"), serial=serial, not_after_s=until)


def test_a_datagram_of_the_operator_is_no_certificate() -> None:
    """The operator may run a site with that key: its datagrams certify nobody."""
    body = GOOD.encode()[:-64]
    sealed = seal(Envelope(Kind.ACK, "op", OPERATOR.public.id, 1, 1, echo=0, body=body), OPERATOR)
    forged = decode(body + sealed[-64:])
    assert not forged.signed_by(OPERATOR.public)
