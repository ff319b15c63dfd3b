"""Weighted sharing: which transport carries a pair, drawn from names.

Each open transport of a pair gets an exponential waiting time whose rate is its weight,
and the first one wins (weighted rendezvous hashing: Thaler and Ravishankar, 1998; with
weights Schindelhauer and Schomaker, 2005). Over many pairs the transports get their
weights' shares. The times depend on the pair and the transport alone: when a transport
goes, its pairs move and no others; when it comes back, so do they.
"""

from typing import Final

import numpy as np

from patronus.engine.fingerprint import U64, combine
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER

FRACTION_BITS: Final = 20
"""Of the binary logarithm: a millionth, far below what a share over 10^6 pairs shows."""

_HALF: Final = np.uint64(2**63)
_S1, _S31, _S32 = np.uint64(1), np.uint64(31), np.uint64(32)


def draw(pairs: U64, lanes: U64, weights: I64, is_open: Bools) -> I64:
    """Return the transport drawn for each pair, -1 where none is open.

    Args:
        pairs: a key of each pair.
        lanes: a key of each transport.
        weights: of each transport, 0 or more.
        is_open: shape (pairs, transports).
    """
    word = combine(pairs[:, None], lanes[None, :])
    may = is_open & (weights > 0)
    waits = np.where(may, waiting(word) // np.maximum(weights, 1), NEVER)
    # Equal waits are a millionth of a chance; names decide then too.
    first = may & (waits == waits.min(axis=1, keepdims=True, initial=NEVER))
    last = np.where(first, word, np.uint64(0)).max(axis=1, keepdims=True, initial=np.uint64(0))
    return np.where(may.any(axis=1), (first & (word == last)).argmax(axis=1), -1)


def waiting(words: U64) -> I64:
    """Return ``-log2(word / 2^64)``, exponential for a uniform word; 0 counts as 1.

    It has ``FRACTION_BITS`` fractional bits and 20 more that are zero, so that it can be
    divided by a weight. The logarithm comes bit by bit from squaring.
    """
    whole = np.zeros(words.shape, dtype=np.int64)
    mantissa = np.maximum(words, np.uint64(1))
    for step in (32, 16, 8, 4, 2, 1):
        small = mantissa < np.uint64(1 << (64 - step))
        whole += np.where(small, step, 0)
        mantissa = np.where(small, mantissa << np.uint64(step), mantissa)
    top = mantissa >> _S32
    log = np.zeros(words.shape, dtype=np.int64)
    for _ in range(FRACTION_BITS):
        square = top * top
        one = square >= _HALF
        top = np.where(one, square >> _S32, square >> _S31)
        log = (log << 1) | one
    return (((whole + 1) << FRACTION_BITS) - log) << 20
