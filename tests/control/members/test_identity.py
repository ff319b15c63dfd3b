"""Identities: made once, kept safely, and never replaced behind the operator's back."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from patronus.control.members import identity as module
from patronus.control.members.identity import PublicKey, load, load_or_make, make, public_key
from patronus.control.members.secretfile import SecretError, keep

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def doubled(point: tuple[int, int]) -> tuple[int, int]:
    """Add a point of the curve to itself (RFC 8032 section 5.1.4, in affine form)."""
    x, y = point
    t = D * x * x * y * y % P
    return 2 * x * y * pow(1 + t, -1, P) % P, (y * y + x * x) * pow(1 - t, -1, P) % P


def x_of(y: int) -> int:
    """Return an x of the curve, whose sign does not matter here."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    assert root * root % P == square
    return root


@pytest.mark.parametrize("y", sorted(module._SMALL_ORDER))
def test_weak_keys_are_points_of_small_order(y: int) -> None:
    """Each coordinate that is refused is one of a point that eight times itself is nothing."""
    point = x_of(y), y
    for _ in range(3):
        point = doubled(point)
    assert point == (0, 1)


def test_all_weak_keys_are_known() -> None:
    """The eight points of small order have five y coordinates; there are no others."""
    order_8 = [y for y in module._SMALL_ORDER if y not in (0, 1, P - 1)]
    assert len(module._SMALL_ORDER) == 5
    assert (order_8[0] + order_8[1]) % P == 0


@pytest.mark.parametrize(
    "y", [*module._SMALL_ORDER, *(s + P for s in module._SMALL_ORDER if s + P < 2**255)]
)
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_a_weak_key_is_refused(y: int, sign: int) -> None:
    """In each of its forms: thirty-two zero bytes in a configuration are no key."""
    with pytest.raises(ValueError, match="everybody could sign"):
        PublicKey((y | sign).to_bytes(32, "little"))


def test_it_is_made_once(tmp_path: Path) -> None:
    """The second start reads what the first has made."""
    first = load_or_make(tmp_path / "keys" / "identity.pem")
    again = load_or_make(tmp_path / "keys" / "identity.pem")
    assert first.public == again.public
    assert again.public.signed(first.sign(b"x"), b"x")
    assert not again.public.signed(first.sign(b"x"), b"y")
    assert (tmp_path / "keys" / "identity.pem").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_is_not_replaced(tmp_path: Path) -> None:
    """The others would not believe a new key, so the operator has to know."""
    path = tmp_path / "identity.pem"
    good = make().pem()
    for bad in (b"", b"rubbish", good[:-40], good.replace(b"MC4", b"MC5")):
        keep(path, bad)
        with pytest.raises(SecretError, match="holds no Ed25519 key; restore it"):
            load_or_make(path)
        assert path.read_bytes() == bad


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """The key of a tunnel in the place of the identity is noticed."""
    other = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    keep(tmp_path / "identity.pem", other)
    with pytest.raises(SecretError, match="no Ed25519 key"):
        load(tmp_path / "identity.pem")


def test_public_keys_are_written_and_read() -> None:
    """What ``text`` writes ``public_key`` reads; the fingerprint is the one of SSH's kind."""
    one = make().public
    assert public_key(one.text) == one
    assert len(one.text) == 44
    assert one.fingerprint.startswith("SHA256:")
    assert len(one.fingerprint) == 50
    assert one.id != make().public.id


@pytest.mark.parametrize(
    "text", ["", "x", "AAAA", "ä" * 44, make().public.text[:-1], "A" * 43 + "="]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """A mistyped key in a configuration gives a message, not a site that believes nobody."""
    with pytest.raises(ValueError, match="public key"):
        public_key(text)
