"""SHA1 authentication: the digest, the keys, the windows of 6.7.4."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.bfd.authentication import Authentication, Authenticator, AuthType
from patronus.dataplane.bfd.machine import State
from patronus.dataplane.bfd.packet import Discard, Discarded, Packet, decode
from tests.dataplane.bfd.test_packet import PACKET

KEYED, METICULOUS = AuthType


def agreed(auth_type: AuthType = KEYED, key: bytes = b"secret", key_id: int = 7) -> Authentication:
    return Authentication(auth_type, {key_id: key}, key_id)


def refusal(receiver: Authenticator, packet: Packet) -> Discard | None:
    try:
        receiver.verify(packet)
    except Discarded as refused:
        return refused.reason
    return None


def numbered(auth_type: AuthType, sequence: int, packet: Packet = PACKET) -> Packet:
    """Return a packet, rightly signed, with a sequence number of one's choice."""
    return decode(Authenticator(agreed(auth_type), sequence).sign(packet))


@given(
    st.sampled_from(AuthType),
    st.binary(min_size=1, max_size=20),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
def test_the_section_is_what_the_rfc_draws(
    auth_type: AuthType, key: bytes, key_id: int, sequence: int
) -> None:
    """Type, length 28, key id, zero, number, and SHA1 over the packet with the key in its place."""
    data = Authenticator(agreed(auth_type, key, key_id), sequence).sign(PACKET)
    assert len(data) == data[3] == 52
    assert data[24:28] == bytes([auth_type, 28, key_id, 0])
    assert data[28:32] == sequence.to_bytes(4, "big")
    padded = key + b"\0" * (20 - len(key))
    assert data[32:] == hashlib.sha1(data[:32] + padded).digest()


@given(st.sampled_from(AuthType), st.integers(0, 51), st.integers(1, 255))
def test_any_changed_octet_is_noticed(auth_type: AuthType, at: int, flip: int) -> None:
    """A packet that was changed anywhere on the way is refused, by one rule or another."""
    data = bytearray(Authenticator(agreed(auth_type), 5).sign(PACKET))
    data[at] ^= flip
    receiver = Authenticator(agreed(auth_type), 0)
    try:
        packet = decode(bytes(data))
    except Discarded:
        return
    if packet.auth:  # else the session says that authentication is missing
        assert refusal(receiver, packet) is not None


def test_each_rule_refuses_in_order() -> None:
    """Type, key id, length, number and digest are looked at in this order."""
    good = numbered(KEYED, 100)
    section = bytearray(good.auth)
    order: list[tuple[Discard, int, int]] = [
        (Discard.AUTH_DIGEST, 8, section[8] ^ 1),
        (Discard.AUTH_SEQUENCE, 4, 0xFF),
        (Discard.AUTH_LENGTH, 1, 27),
        (Discard.AUTH_KEY_ID, 2, 8),
        (Discard.AUTH_TYPE, 0, 2),
    ]
    receiver = Authenticator(agreed(KEYED), 0)
    receiver.verify(good)
    for reason, at, octet in order:
        section[at] = octet
        assert refusal(receiver, replace(good, auth=bytes(section))) is reason
    assert refusal(receiver, good) is None


@given(st.binary(min_size=2, max_size=231), st.sampled_from(AuthType))
def test_rubbish_sections_are_refused(section: bytes, auth_type: AuthType) -> None:
    """No section without the key is accepted, and none raises anything else."""
    receiver = Authenticator(agreed(auth_type), 0)
    assert refusal(receiver, replace(PACKET, auth=section)) is not None
    headed = bytes([auth_type, 28, 7]) + section
    assert refusal(receiver, replace(PACKET, auth=headed[:231])) is not None


def test_a_section_longer_than_its_length_is_covered_by_the_digest() -> None:
    """Octets behind the section, within Length, cannot be added by somebody on the way."""
    good = numbered(KEYED, 1)
    longer = replace(good, auth=good.auth + b"\0")
    assert refusal(Authenticator(agreed(KEYED), 0), longer) is Discard.AUTH_DIGEST


@pytest.mark.parametrize("auth_type", AuthType)
@given(received=st.integers(0, 2**32 - 1), ahead=st.integers(-20, 20))
def test_the_window(auth_type: AuthType, received: int, ahead: int) -> None:
    """Numbers are taken from the last one (the meticulous: one more) to 3 × Detect Mult ahead."""
    receiver = Authenticator(agreed(auth_type), 0)
    receiver.verify(numbered(auth_type, received))
    found = refusal(receiver, numbered(auth_type, (received + ahead) % 2**32))
    inside = (0 if auth_type is KEYED else 1) <= ahead <= 9
    assert found is (None if inside else Discard.AUTH_SEQUENCE)


def test_a_forged_number_does_not_move_the_window() -> None:
    """A packet with a wrong digest leaves the window where it is."""
    receiver = Authenticator(agreed(KEYED), 0)
    receiver.verify(numbered(KEYED, 10))
    forged = numbered(KEYED, 19)
    forged = replace(forged, auth=forged.auth[:-1] + b"\0")
    assert refusal(receiver, forged) is Discard.AUTH_DIGEST
    assert refusal(receiver, numbered(KEYED, 10)) is None


def test_the_first_forged_number_is_not_believed() -> None:
    """Before the first right packet, a wrong one does not fix the number."""
    receiver = Authenticator(agreed(KEYED), 0)
    forged = numbered(KEYED, 2**31)
    forged = replace(forged, auth=forged.auth[:-1] + b"\0")
    assert refusal(receiver, forged) is Discard.AUTH_DIGEST
    assert refusal(receiver, numbered(KEYED, 10)) is None


def test_a_peer_that_began_anew_is_taken_after_forgetting() -> None:
    """Once the number is forgotten, any is taken."""
    receiver = Authenticator(agreed(METICULOUS), 0)
    receiver.verify(numbered(METICULOUS, 10))
    assert refusal(receiver, numbered(METICULOUS, 5)) is Discard.AUTH_SEQUENCE
    receiver.forget()
    assert refusal(receiver, numbered(METICULOUS, 5)) is None


def test_when_the_number_grows() -> None:
    """The meticulous kind counts every packet, the other only what is new; both wrap around."""
    other = replace(PACKET, state=State.DOWN)
    numbers = {}
    for auth_type in AuthType:
        sender = Authenticator(agreed(auth_type), 2**32 - 1)
        data = [sender.sign(packet) for packet in (PACKET, PACKET, other, PACKET)]
        numbers[auth_type] = [int.from_bytes(octets[28:32], "big") for octets in data]
    assert numbers == {KEYED: [2**32 - 1, 2**32 - 1, 0, 1], METICULOUS: [2**32 - 1, 0, 1, 2]}


def test_keys_can_be_changed_without_a_gap() -> None:
    """With old and new key known to both, either may be sent with."""
    keys = {1: b"old", 2: b"new"}
    receiver = Authenticator(Authentication(KEYED, keys, 1), 0)
    for sends_with in (1, 2, 1):
        data = Authenticator(Authentication(KEYED, keys, sends_with), 3).sign(PACKET)
        assert refusal(receiver, decode(data)) is None


@pytest.mark.parametrize(
    ("keys", "sends_with", "message"),
    [
        ({256: b"k"}, 256, "key id 256 is not between 0 and 255"),
        ({1: b""}, 1, "key 1 has 0 octets; 1 to 20 are possible"),
        ({1: b"k" * 21}, 1, "key 1 has 21 octets; 1 to 20 are possible"),
        ({1: b"k"}, 2, "send with key 2, which is not given"),
    ],
)
def test_unusable_keys_are_named(keys: dict[int, bytes], sends_with: int, message: str) -> None:
    """A key that cannot be used is refused with a message that does not hold it."""
    with pytest.raises(ValueError, match=message):
        Authentication(KEYED, keys, sends_with)


def test_keys_are_not_shown() -> None:
    """A log line with the configuration in it does not give the key away."""
    assert "secret" not in repr(agreed())
