"""What two sites know together without having met: a secret, and sessions drawn from it.

Each pair of sites shares a secret by X25519 (RFC 7748) over their Ed25519 identities, whose
points are mapped as RFC 7748 section 4.1 says. HKDF (RFC 5869) makes of it a key for each
purpose, so that no key serves two. A session number says of a packet that its sender knows the
secret or has seen such a packet: plain tunnels hide nothing, and the agent says so.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from patronus.control.members.identity import Identity, PublicKey

PRIME: Final = 2**255 - 19
_SIGN: Final = 1 << 255
_LABEL: Final = b"patronus pair 1"


@dataclass(frozen=True, slots=True)
class Pairing:
    """What we share with one peer."""

    own: str
    peer: str
    secret: bytes

    def key(self, purpose: str) -> bytes:
        """Return a key of 32 bytes, the same at both ends."""
        info = b"\0".join([_LABEL, purpose.encode()])
        return HKDF(SHA256(), 32, salt=None, info=info).derive(self.secret)

    def session_in(self, transport: str) -> int:
        """Return what the peer must show on a transport: 64 bits, never 0."""
        return self._session(transport, self.peer)

    def session_out(self, transport: str) -> int:
        """Return what we show there."""
        return self._session(transport, self.own)

    def _session(self, transport: str, sender: str) -> int:
        drawn = self.key(f"session\0{transport}\0{sender}")
        return int.from_bytes(drawn[:8], "big") or 1


def pairing(name: str, identity: Identity, peer: str, public: PublicKey) -> Pairing:
    """Return what two sites share.

    Raises:
        ValueError: the peer's key is of a kind that shares nothing secret.
    """
    private = X25519PrivateKey.from_private_bytes(_scalar(identity))
    secret = private.exchange(X25519PublicKey.from_public_bytes(montgomery(public.raw)))
    return Pairing(name, peer, secret)


def _scalar(identity: Identity) -> bytes:
    """Return the private scalar: X25519 clamps it as RFC 8032 section 5.1.5 does."""
    key = load_pem_private_key(identity.pem(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return hashlib.sha512(key.private_bytes_raw()).digest()[:32]


def montgomery(raw: bytes) -> bytes:
    """Return the u coordinate of an Ed25519 point: (1 + y) / (1 - y)."""
    y = int.from_bytes(raw, "little") & ~_SIGN
    u = (1 + y) * pow(1 - y, -1, PRIME) % PRIME
    return u.to_bytes(32, "little")
