"""What two sites share: the same at both ends, another for everything else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from patronus.control.agent.pairing import montgomery, pairing
from patronus.control.members.identity import Identity


def identity(seed: int) -> Identity:
    return Identity(Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big")))


A, B, C = (identity(n) for n in (1, 2, 3))


def test_both_ends_share_the_same_secret() -> None:
    """Each side's incoming session is the other's outgoing one; keys are equal by purpose."""
    here, there = pairing("a", A, "b", B.public), pairing("b", B, "a", A.public)
    assert here.session_in("lte") == there.session_out("lte")
    assert here.session_out("lte") == there.session_in("lte")
    assert here.key("meeting") == there.key("meeting")
    assert here.key("meeting") != here.key("other")


def test_sessions_differ_by_transport_direction_and_peer() -> None:
    """No two sessions of a site are equal, so none can stand for another."""
    pairs = [pairing("a", A, "b", B.public), pairing("a", A, "c", C.public)]
    drawn = [f(t) for p in pairs for t in ("lte", "mpls") for f in (p.session_in, p.session_out)]
    assert len(set(drawn)) == len(drawn) == 8


@given(st.integers(1, 2**200))
def test_the_map_of_points_is_that_of_the_curve(seed: int) -> None:
    """The u coordinate of a public key is that of its private scalar by X25519 itself."""
    import hashlib

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    raw = seed.to_bytes(32, "big")
    scalar = hashlib.sha512(raw).digest()[:32]
    expected = X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw()
    assert montgomery(identity(seed).public.raw) == expected


@pytest.mark.parametrize("name", ["a", "ä"])
def test_names_of_any_letters_serve(name: str) -> None:
    """A site's name is a text, and sessions are 64 bits above 0."""
    assert 0 < pairing(name, A, "b", B.public).session_out("lte") < 2**64
