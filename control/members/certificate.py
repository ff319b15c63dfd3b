"""What the operator signs of a site: that this key may speak under this name.

The form is canonical, little-endian:

    magic "PC", format u8, serial u64, not_after_s u64, public key 32 bytes
    name                        string: u8 length, UTF-8
    signature 64 bytes          of a fixed prefix and all of the above
"""

from dataclasses import dataclass
from typing import Final, Self

from patronus.control.members.identity import KEY_BYTES, SIGNATURE_BYTES, Identity, PublicKey
from patronus.control.members.reader import Reader, number, text
from patronus.control.members.reason import Reason, Refused

MAGIC: Final = b"PC"
FORMAT: Final = 1

_PREFIX: Final = b"Patronus certificate\0"
"""A signature of anything else, such as a datagram, is none of a certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One enrolment of a site."""

    name: str
    public: PublicKey
    serial: int
    """Grows with each certificate of a name; a higher one replaces the key of the lower."""
    not_after_s: int
    """Seconds since 1970: it says nothing afterwards."""
    signature: bytes

    @classmethod
    def issue(
        cls, operator: Identity, name: str, public: PublicKey, *, serial: int, not_after_s: int
    ) -> Self:
        """Sign an enrolment.

        Raises:
            ValueError: a value has no place in a certificate.
        """
        if not name or not 0 <= serial < 2**64 or not 0 <= not_after_s < 2**64:
            raise ValueError("a certificate needs a name and two numbers of 64 bits")
        what = _content(name, public, serial, not_after_s)
        return cls(name, public, serial, not_after_s, operator.sign(_PREFIX + what))

    def signed_by(self, operator: PublicKey) -> bool:
        """Return whether the operator has signed it."""
        return operator.signed(self.signature, _PREFIX + self._content())

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return self._content() + self.signature

    def _content(self) -> bytes:
        return _content(self.name, self.public, self.serial, self.not_after_s)


def _content(name: str, public: PublicKey, serial: int, not_after_s: int) -> bytes:
    head = MAGIC + bytes([FORMAT]) + number(serial, 8) + number(not_after_s, 8)
    return head + public.raw + text(name)


def read(reader: Reader) -> Certificate:
    """Read a certificate; whether anybody signed it is another question.

    Raises:
        Refused: the bytes are none.
    """
    if reader.take(len(MAGIC)) != MAGIC or reader.number(1) != FORMAT:
        raise Refused(Reason.CERTIFICATE)
    serial, not_after_s, raw = reader.number(8), reader.number(8), reader.take(KEY_BYTES)
    try:
        public = PublicKey(raw)
    except ValueError:
        raise Refused(Reason.CERTIFICATE) from None
    return Certificate(reader.name(), public, serial, not_after_s, reader.take(SIGNATURE_BYTES))


def decode(data: bytes) -> Certificate:
    """Read the bytes of one certificate.

    Raises:
        Refused: they are anything else.
    """
    reader = Reader(data)
    found = read(reader)
    reader.end()
    return found
