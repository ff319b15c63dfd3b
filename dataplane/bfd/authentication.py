"""Keyed SHA1 and Meticulous Keyed SHA1 authentication of BFD packets (RFC 5880, 4.4 and 6.7.4).

A digest over the packet and a shared key proves where it comes from; a sequence number
in it, checked against a window, keeps old packets from being played again. Keyed SHA1 may send
a number twice (so a packet can be replayed while nothing changes), the meticulous kind never.

The other types of the RFC (simple password, MD5) are weaker and not offered.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import sha1
from typing import Final

from patronus.dataplane.bfd.packet import MANDATORY, Discard, Discarded, Packet, encode

SECTION: Final = 28
"""Auth Len of both types."""
KEY: Final = 20
"""Octets of the Auth Key/Hash field; shorter keys are filled up with zeros."""
_HASH_AT: Final = 8
"""Octet of the section at which that field begins."""
_CIRCLE: Final = 2**32


class AuthType(IntEnum):
    """The types of authentication that we speak (RFC 5880, 4.1)."""

    KEYED_SHA1 = 4
    METICULOUS_KEYED_SHA1 = 5


@dataclass(frozen=True, slots=True)
class Authentication:
    """What both ends must have agreed on.

    Raises:
        ValueError: a key or an id cannot be used.
    """

    auth_type: AuthType
    keys: Mapping[int, bytes] = field(repr=False)
    """Every key that we accept, by its id."""
    transmit_key_id: int
    """The one that we send with."""

    def __post_init__(self) -> None:
        for key_id, key in self.keys.items():
            if not 0 <= key_id <= 255:
                raise ValueError(f"BFD key id {key_id} is not between 0 and 255")
            if not 1 <= len(key) <= KEY:
                raise ValueError(f"BFD key {key_id} has {len(key)} octets; 1 to {KEY} are possible")
        if self.transmit_key_id not in self.keys:
            raise ValueError(f"BFD is to send with key {self.transmit_key_id}, which is not given")


class Authenticator:
    """Signs what one session sends and verifies what it receives."""

    __slots__ = ("_agreed", "_next", "_received", "_signed")

    def __init__(self, agreed: Authentication, first_sequence: int) -> None:
        """Prepare a session; its first number should be one that nobody can guess (6.8.1)."""
        self._agreed = agreed
        self._next = first_sequence % _CIRCLE
        """bfd.XmitAuthSeq"""
        self._received: int | None = None
        """bfd.RcvAuthSeq, or None while bfd.AuthSeqKnown is 0."""
        self._signed: Packet | None = None

    def sign(self, packet: Packet) -> bytes:
        """Return the octets of a packet with its Authentication Section."""
        meticulous = self._agreed.auth_type is AuthType.METICULOUS_KEYED_SHA1
        if self._signed is not None and (meticulous or packet != self._signed):
            self._next = (self._next + 1) % _CIRCLE
        self._signed = packet
        key_id = self._agreed.transmit_key_id
        head = bytes([self._agreed.auth_type, SECTION, key_id, 0]) + self._next.to_bytes(4)
        hashed = encode(replace(packet, auth=head + _filled(self._agreed.keys[key_id])))
        return hashed[: MANDATORY + _HASH_AT] + sha1(hashed).digest()

    def verify(self, packet: Packet) -> None:
        """Accept a packet that has an Authentication Section, in the order of 6.7.4.

        The number is remembered only once the digest is known to be right; otherwise
        anybody could move the window.

        Raises:
            Discarded: it is not from somebody who has the key, or has been here before.
        """
        section = packet.auth
        if section[0] != self._agreed.auth_type:
            raise Discarded(Discard.AUTH_TYPE)
        key = self._agreed.keys.get(section[2]) if len(section) > 2 else b""
        if key is None:
            raise Discarded(Discard.AUTH_KEY_ID)
        if section[1] != SECTION or len(section) < SECTION:
            raise Discarded(Discard.AUTH_LENGTH)
        sequence = int.from_bytes(section[4:_HASH_AT])
        if not self._in_window(sequence, packet.detect_mult):
            raise Discarded(Discard.AUTH_SEQUENCE)
        hashed = section[:_HASH_AT] + _filled(key) + section[SECTION:]
        digest = sha1(encode(replace(packet, auth=hashed))).digest()
        if not hmac.compare_digest(digest, section[_HASH_AT:SECTION]):
            raise Discarded(Discard.AUTH_DIGEST)
        self._received = sequence

    def forget(self) -> None:
        """Take any number next: bfd.AuthSeqKnown becomes 0 after a long silence (6.8.1)."""
        self._received = None

    def _in_window(self, sequence: int, detect_mult: int) -> bool:
        if self._received is None:
            return True
        ahead = (sequence - self._received) % _CIRCLE
        least = 1 if self._agreed.auth_type is AuthType.METICULOUS_KEYED_SHA1 else 0
        return least <= ahead <= 3 * detect_mult


def _filled(key: bytes) -> bytes:
    return key.ljust(KEY, b"\0")
