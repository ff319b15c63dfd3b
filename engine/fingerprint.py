"""A 64-bit mixing function: ties and luck are decided by names, never by order.

``mix`` is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014; constants of Stafford's variant
13). It is a bijection of 64-bit words, so different keys stay different.
Everything is ``uint64`` with wrap-around, hence equal on every machine.
"""

from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio, the increment of SplitMix64."""

_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


def mix(words: U64) -> U64:
    """Return a new array of well mixed words (vector form)."""
    z = words ^ (words >> _S30)
    z *= _M1
    z ^= z >> _S27
    z *= _M2
    z ^= z >> _S31
    return z


def name_key(*parts: str) -> int:
    """Return the 64-bit key of a name made of parts; parts cannot run together."""
    text = "\x1f".join(parts).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def combine(left: U64, right: U64) -> U64:
    """Return one key from two, in which the order of the two matters."""
    return mix(mix(left) + right * GOLDEN)
