"""A site's Ed25519 identity (RFC 8032), and the public keys of others."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from patronus.control.members.secretfile import SecretError, keep, reveal

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
SIGNATURE_BYTES: Final = 64

_FILE_BYTES_MAX: Final = 4096

_SIGN_BIT: Final = 1 << 255
_PRIME: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _PRIME - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
"""The y coordinates of the points whose order divides 8."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Whom a signature can be checked against."""

    raw: bytes
    id: bytes = field(init=False, compare=False)
    """Names the key in datagrams; what is believed is the key itself."""
    _key: Ed25519PublicKey = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ValueError(f"a public key has {KEY_BYTES} bytes, not {len(self.raw)}")
        y = int.from_bytes(self.raw, "little") & ~_SIGN_BIT
        # Anybody can sign for such a key, and an empty place in a configuration is one.
        if y % _PRIME in _SMALL_ORDER:
            raise ValueError("that public key is a weak one: everybody could sign for it")
        object.__setattr__(self, "id", hashlib.sha256(self.raw).digest()[:KEY_ID_BYTES])
        object.__setattr__(self, "_key", Ed25519PublicKey.from_public_bytes(self.raw))

    @property
    def text(self) -> str:
        """How a configuration writes it: 44 characters of base64."""
        return base64.b64encode(self.raw).decode()

    @property
    def fingerprint(self) -> str:
        """What two people compare over the telephone."""
        digest = hashlib.sha256(self.raw).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Return whether the owner of this key signed the data."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def public_key(text: str) -> PublicKey:
    """Read a public key as a configuration writes it.

    Raises:
        ValueError: it is none.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a public key is written as 44 characters of base64") from None
    return PublicKey(raw)


class Identity:
    """A private key, and what is done with it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return a signature of 64 bytes."""
        return self._key.sign(data)

    def pem(self) -> bytes:
        """Return the private key as it is kept (PKCS #8, RFC 5958); it is for nobody else."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def make() -> Identity:
    """Return a new identity."""
    return Identity(Ed25519PrivateKey.generate())


def load(path: Path) -> Identity:
    """Read an identity.

    Raises:
        FileNotFoundError: there is none.
        SecretError: it cannot be read, others can read it too, or it is damaged. It is never
            replaced by a new one: the others would not believe that.
    """
    data = reveal(path, bytes_max=_FILE_BYTES_MAX)
    try:
        key = _private(data)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretError(f"{path} holds no Ed25519 key; restore it, or remove it and enrol anew")
    return Identity(key)


def _private(data: bytes) -> object:
    """Return the key in a file: PEM as we write it, or its 32 bytes in base64."""
    if data.lstrip().startswith(b"-----BEGIN"):
        return serialization.load_pem_private_key(data, password=None)
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(data.strip(), validate=True))


def load_or_make(path: Path) -> Identity:
    """Read an identity, or make one where there is none.

    Raises:
        SecretError: as :func:`load`, or it cannot be kept.
    """
    try:
        return load(path)
    except FileNotFoundError:
        fresh = make()
    try:
        keep(path, fresh.pem(), replace=False)
    except FileExistsError:  # somebody else has made one meanwhile
        return load(path)
    return fresh
