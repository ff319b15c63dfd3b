"""The identity key: is it there, may only we read it, and whose is it?"""

from base64 import b64decode, b64encode
from binascii import Error
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OTHERS: Final = 0o077
"""Permission bits of group and others."""

LARGEST: Final = 4096
"""No honest key file is longer."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What can be told of a key file."""

    public: str = ""
    """The public key, base64; "" where it could not be read."""
    there: bool = False
    trouble: str = ""
    """What is wrong with a file that is there, in words."""
    advice: str = ""


def look(path: str) -> Identity:
    """Return what a private key file says; one that is not there says nothing."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except FileNotFoundError:
        return Identity()
    except OSError as error:
        return Identity(there=True, trouble=f"cannot be read: {error.strerror}")
    if mode & OTHERS:
        trouble = f"others may use it (mode {mode & 0o777:o})"
        return Identity(there=True, trouble=trouble, advice=f"chmod 600 {path}")
    public = public_key(data)
    return Identity(public, there=True, trouble="" if public else "is no private Ed25519 key")


def public_key(data: bytes) -> str:
    """Return the public key of a private one in PEM (PKCS #8) or base64, "" if it is neither."""
    from cryptography.exceptions import UnsupportedAlgorithm  # only where there is a key
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            key = load_pem_private_key(data, password=None)
        else:
            key = Ed25519PrivateKey.from_private_bytes(b64decode(data.strip(), validate=True))
    except (Error, ValueError, TypeError, UnsupportedAlgorithm):
        return ""
    if not isinstance(key, Ed25519PrivateKey):
        return ""
    return b64encode(key.public_key().public_bytes_raw()).decode()
