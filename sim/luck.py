"""Luck keyed by names: a draw is a function of (seed, stream, name, ordinal).

No generator has a state, so no draw depends on what was drawn before it: adding
a site, removing a fault or probing more often leaves all other luck bit-equal.

    stream key   one per (seed, purpose)                    stream_key
    object key   stream key x the object's name key         object_keys
    word         mix(object key + ordinal x GOLDEN)         words

A stream of words is SplitMix64 started at the object key, read at any place.
One word serves one probe; it is cut into four fields that are independent:

    bit 63 .. 44    43 .. 24     23 .. 12     11 .. 0
    loss, out       loss, back   noise, out   noise, back

A field of 20 bits resolves a little less than 1 ppm of loss; a field of 12 bits
picks one of the 4096 cells of the noise table. Everything is integer, hence the
same on every machine.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.engine.arrays import hits
from patronus.engine.fingerprint import GOLDEN, U64, combine, mix, name_key
from patronus.engine.overlay import I64
from patronus.engine.units import PPM
from patronus.sim import luck_table

Bools = npt.NDArray[np.bool_]

LOSS_BITS: Final = 20
NOISE_BITS: Final = 12

_LOSS_OUT: Final = np.uint64(44)
_LOSS_BACK: Final = np.uint64(24)
_NOISE_OUT: Final = np.uint64(12)
_LOSS_MASK: Final = np.uint64((1 << LOSS_BITS) - 1)
_NOISE_MASK: Final = np.uint64((1 << NOISE_BITS) - 1)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)

NOISE: Final[I64] = np.frombuffer(luck_table.NOISE, dtype=">u2").astype(np.int64)
"""Quantiles of the delay noise times 2^16, ascending; see ``luck_generate``."""

_LOG: Final[I64] = np.frombuffer(luck_table.LOG, dtype=">u4").astype(np.int64)
_LN2: Final = 762_123_384_786
"""ln 2 times 2^40: taken up to 63 times, it needs more digits than the table."""


# ---------------------------------------------------------------- keys and words


def stream_key(seed: int, stream: str) -> np.uint64:
    """Return the key of one purpose (``probe``, ``burst``, ``fault`` ...) in one run."""
    start = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
    name = np.array([name_key("stream", stream)], dtype=np.uint64)
    return np.uint64(combine(start, name)[0])


def object_keys(seed: int, stream: str, keys: U64) -> U64:
    """Return the keys of named objects (``name_key``, ``Overlay.key``) in one stream."""
    return combine(np.full(len(keys), stream_key(seed, stream)), keys)


def words(
    keys: U64, ordinal: int | I64, *, out: U64 | None = None, scratch: U64 | None = None
) -> U64:
    """Return one well mixed word an object.

    Args:
        keys: object keys.
        ordinal: which draw: one for all or one an object; may be negative.
        out: where to put the words (may be ``keys`` itself).
        scratch: an array of the same shape to work in; with it and ``out`` nothing is
            allocated, which in blocks of 32 k is five times as fast.
    """
    if isinstance(ordinal, int):
        step: U64 | np.uint64 = ordinal_step(ordinal)
    else:
        step = np.multiply(ordinal.view(np.uint64), GOLDEN, out=scratch)
    z = np.add(keys, step, out=out)
    s = np.right_shift(z, _S30, out=scratch)
    z ^= s
    z *= _M1
    np.right_shift(z, _S27, out=s)
    z ^= s
    z *= _M2
    np.right_shift(z, _S31, out=s)
    z ^= s
    return z


def ordinal_step(ordinal: int) -> np.uint64:
    """Return what an ordinal adds to a key."""
    return np.uint64(ordinal * int(GOLDEN) & 0xFFFFFFFFFFFFFFFF)


def word(seed: int, stream: str, name: str, ordinal: int = 0) -> int:
    """Return one word for one object by name; for what is drawn once, not in rows."""
    keys = np.array([name_key(name)], dtype=np.uint64)
    return int(words(object_keys(seed, stream, keys), ordinal)[0])


# ---------------------------------------------------------------- the four fields


def loss_out(word: U64, *, out: U64 | None = None) -> U64:
    """Return the 20-bit field that decides the loss of the packet sent."""
    return np.right_shift(word, _LOSS_OUT, out=out)


def loss_back(word: U64, *, out: U64 | None = None) -> U64:
    """Return the 20-bit field that decides the loss of its reflection."""
    z: U64 = np.right_shift(word, _LOSS_BACK, out=out)
    z &= _LOSS_MASK
    return z


def noise_out(word: U64, *, out: U64 | None = None) -> I64:
    """Return the cell of the noise table for the packet sent."""
    z: U64 = np.right_shift(word, _NOISE_OUT, out=out)
    z &= _NOISE_MASK
    return z.view(np.int64)


def noise_back(word: U64, *, out: U64 | None = None) -> I64:
    """Return the cell of the noise table for its reflection."""
    return np.bitwise_and(word, _NOISE_MASK, out=out).view(np.int64)


# ---------------------------------------------------------------- laws


def threshold(loss_ppm: I64) -> U64:
    """Return what a 20-bit field must be below to be hit with this probability.

    0 is never hit and 1,000,000 always; anything between is rounded to the nearest
    2^-20, at least one step.
    """
    steps = ((loss_ppm << LOSS_BITS) + PPM // 2) // PPM
    limit: I64 = np.maximum(steps, loss_ppm > 0)
    return limit.view(np.uint64)


def hit(field: U64, limit: U64) -> Bools:
    """Return which 20-bit fields fall below their threshold."""
    return np.less(field, limit)


def noise_ns(cell: I64, bound_ns: int | I64) -> I64:
    """Return delay noise in [0, bound): a Lomax law of shape 3, cut at its bound.

    In parts of the bound: mean 0.113, median 0.064, p95 0.40, p99 0.70; the mean
    difference of two draws (what RFC 3550 jitter settles at) is 0.128. Bounds up to
    2^47 ns do not overflow.
    """
    noise: I64 = NOISE.take(cell)
    noise *= bound_ns
    noise >>= 16
    return noise


def exponential_ns(word: U64, mean_ns: int | I64) -> I64:
    """Return exponential times of the given means (up to 2^56 ns), from whole words.

    ``-ln(word / 2^64)`` is the leading zeros times ln 2 plus the logarithm of the rest,
    from a table of 1024 cells with linear interpolation: right to 2 parts in 10^7, tail
    included, and never above 45 means.
    """
    log, mean = _minus_log(word), np.asarray(mean_ns, dtype=np.int64)
    # 30 bits of logarithm times 56 bits of mean: in two halves to stay below 2^63.
    time: I64 = log * (mean >> 24) + (log * (mean & 0xFFFFFF) >> 24)
    return time


def _minus_log(word: U64) -> I64:
    # -ln((word + 1/2) / 2^64), times 2^24.
    rest, zeros = word | np.uint64(1), np.zeros(len(word), dtype=np.int64)
    for bits in (32, 16, 8, 4, 2, 1):
        small = rest < np.uint64(1 << (64 - bits))
        rest = np.where(small, rest << np.uint64(bits), rest)
        zeros += small * np.int64(bits)
    cell = (rest >> np.uint64(53)).view(np.int64) - 1024
    part = (rest >> np.uint64(33)).view(np.int64) & 0xFFFFF
    low, high = _LOG[cell], _LOG[cell + 1]
    return (zeros * _LN2 >> 16) + low - ((low - high) * part >> 20)


# ---------------------------------------------------------------- counted packets

_MEAN_LIMIT: Final = 8 * PPM
_ONE: Final = np.uint64(1 << 40)


def binomial(word: U64, n: I64, p_ppm: I64) -> I64:
    """Return how many of ``n`` packets (at most 4096) are hit, by inverse CDF.

    The distribution function is summed in steps of 2^-40. Rows that expect more than 8
    hits are halved into two independent draws, so that the first term never underflows.
    """
    flip = p_ppm > PPM // 2
    count = _draw(word, n, np.where(flip, PPM - p_ppm, p_ppm))
    return np.where(flip, n - count, count)


def _draw(word: U64, n: I64, p_ppm: I64) -> I64:
    count = np.zeros(len(n), dtype=np.int64)
    wide = n * p_ppm > _MEAN_LIMIT
    few = hits(~wide & (p_ppm > 0))
    count[few] = _search(word[few], n[few], p_ppm[few])
    many = hits(wide)
    if len(many):
        half, p = n[many] // 2, p_ppm[many]
        count[many] = _draw(mix(word[many] + GOLDEN), half, p)
        count[many] += _draw(mix(word[many] - GOLDEN), n[many] - half, p)
    return count


def _search(word: U64, n: I64, p_ppm: I64) -> I64:
    # Term k + 1 is term k times (n - k) p / ((k + 1) q). The factor (n - k) p stays below
    # 2^23 ppm, so 40-bit terms do not overflow 64 bits.
    target, count = word >> np.uint64(24), np.zeros(len(n), dtype=np.int64)
    size, p = n.view(np.uint64), p_ppm.view(np.uint64)
    q = np.uint64(PPM) - p
    term = _power(q, size)
    total, row = term.copy(), np.arange(len(n))
    for k in range(4096):
        going = hits((target >= total) & (size > np.uint64(k)) & (term > 0))
        if not len(going):
            break
        target, total, term, row = target[going], total[going], term[going], row[going]
        size, p, q = size[going], p[going], q[going]
        count[row] += 1
        term = term * ((size - np.uint64(k)) * p) // (np.uint64(k + 1) * q)
        total = total + term
    return count


def _power(q_ppm: U64, n: U64) -> U64:
    # (q / 10^6)^n as 40-bit fixed point, by squaring in 64-bit fixed point.
    million = np.uint64(PPM)
    high, rest = np.divmod(q_ppm << np.uint64(44), million)
    base = (high << np.uint64(20)) + (rest << np.uint64(20)) // million
    power = np.full(len(n), 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)
    for bit in range(int(n.max(initial=0)).bit_length()):
        odd = (n >> np.uint64(bit)) & np.uint64(1) == np.uint64(1)
        power = np.where(odd, _high(power, base), power)
        base = _high(base, base)
    return power >> np.uint64(24)


def _high(a: U64, b: U64) -> U64:
    # The upper 64 bits of a 128-bit product (at most 2 too small).
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    ah, al, bh, bl = a >> half, a & low, b >> half, b & low
    product: U64 = ah * bh + (ah * bl >> half) + (al * bh >> half)
    return product
