"""The 64-bit mixing function, on plain integers."""

from hashlib import blake2b

WORD = 2**64


def mix(z: int) -> int:
    """Return the finaliser of SplitMix64."""
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB % WORD
    return z ^ z >> 31


def combine(left: int, right: int) -> int:
    """Return one key from two."""
    return mix((mix(left) + right * 0x9E3779B97F4A7C15) % WORD)


def key_of(*parts: str) -> int:
    """Return the key of a name."""
    return int.from_bytes(blake2b("\x1f".join(parts).encode(), digest_size=8).digest(), "little")
