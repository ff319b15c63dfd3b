"""Keyed draws: published vectors, the laws they follow, and what must not move them."""

from decimal import Decimal
from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.fingerprint import U64, name_key
from patronus.engine.units import PPM
from patronus.sim import luck, luck_generate, luck_table

U64_MAX = 2**64 - 1


def names(count: int, prefix: str = "object") -> U64:
    """Return keys of numbered names."""
    return np.array([name_key(f"{prefix}{i}") for i in range(count)], dtype=np.uint64)


def many(count: int, ordinal: int = 0, seed: int = 1) -> U64:
    """Return words of one object at consecutive ordinals."""
    key = np.full(count, luck.object_keys(seed, "test", names(1))[0])
    return luck.words(key, np.arange(ordinal, ordinal + count))


def splitmix(state: int) -> int:
    """SplitMix64's output function on Python integers, from the paper."""
    z = state & U64_MAX
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & U64_MAX
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & U64_MAX
    return z ^ (z >> 31)


# ---------------------------------------------------------------- vectors


def test_splitmix_published_sequence() -> None:
    """Words of key 1234567 are the published output of SplitMix64 with that seed."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    key = np.array([1234567], dtype=np.uint64)
    assert [int(luck.words(key, i)[0]) for i in (1, 2, 3)] == expected


def test_vectors() -> None:
    """Keys and words keep these values for ever; goldens hang on them."""
    keys = luck.object_keys(7, "probe", names(2))
    assert int(luck.stream_key(7, "probe")) == STREAM
    assert keys.tolist() == KEYS
    assert luck.words(keys, 0).tolist() == [splitmix(k) for k in KEYS]
    assert luck.words(keys, -5).tolist() == WORDS_MINUS_5
    assert luck.word(7, "fault", "cut", 3) == WORD_CUT


STREAM = 15286012730622493649
KEYS = [16846126679650802439, 2849772677088021123]
WORDS_MINUS_5 = [14942997603810309687, 9098933431450853203]
WORD_CUT = 12755261426169174324


def test_table_is_what_the_generator_writes() -> None:
    """The committed quantile tables are the generator's output, byte for byte."""
    committed = Path(luck_table.__file__).read_text(encoding="ascii")
    assert committed == luck_generate.source()


# ---------------------------------------------------------------- words


def test_words_in_place_are_the_same() -> None:
    """Working in given arrays, even over the keys themselves, changes no word."""
    keys, ordinals = luck.object_keys(3, "probe", names(64)), np.arange(-32, 32)
    expected = luck.words(keys, ordinals)
    out, scratch = np.empty_like(keys), np.empty_like(keys)
    assert luck.words(keys, ordinals, out=out, scratch=scratch) is out
    assert np.array_equal(out, expected)
    assert np.array_equal(luck.words(keys, ordinals, out=keys, scratch=scratch), expected)


@given(st.integers(0, U64_MAX), st.integers(-(2**40), 2**40))
def test_words_match_plain_splitmix(key: int, ordinal: int) -> None:
    """A word is SplitMix64 of its key at its ordinal, as plain Python integers say."""
    word = luck.words(np.array([key], dtype=np.uint64), ordinal)
    assert int(word[0]) == splitmix(key + ordinal * 0x9E3779B97F4A7C15)
    assert luck.words(np.array([key], dtype=np.uint64), np.array([ordinal])) == word


def test_other_objects_do_not_move_a_draw() -> None:
    """Adding sites before and after, or drawing in another order, leaves a site's words equal."""
    few, more = names(3, "site"), names(9, "site")
    alone = luck.words(luck.object_keys(1, "probe", few), 5)
    assert np.array_equal(alone, luck.words(luck.object_keys(1, "probe", more), 5)[:3])
    shuffled = luck.words(luck.object_keys(1, "probe", more[::-1].copy()), 5)
    assert np.array_equal(alone, shuffled[::-1][:3])


def test_probing_more_often_keeps_the_luck_of_an_instant() -> None:
    """Keyed by send time in ms, a 100 ms prober and a 50 ms prober agree where both send."""
    key = luck.object_keys(1, "probe", names(1))
    slow, fast = np.arange(-500, 2000, 100), np.arange(-500, 2000, 50)
    word_slow = luck.words(np.repeat(key, len(slow)), slow)
    word_fast = luck.words(np.repeat(key, len(fast)), fast)
    assert np.array_equal(word_slow, word_fast[::2])


@pytest.mark.parametrize("other", [(2, "probe"), (1, "burst"), (-1, "probe"), (2**64, "probe")])
def test_seeds_and_streams_are_apart(other: tuple[int, str]) -> None:
    """Another seed or another stream shares no word with the first."""
    keys = names(200)
    mine = set(luck.words(luck.object_keys(1, "probe", keys), 0).tolist())
    assert not mine & set(luck.words(luck.object_keys(*other, keys), 0).tolist())


# ---------------------------------------------------------------- fields


@given(st.integers(0, U64_MAX))
def test_fields_cover_the_word_once(word: int) -> None:
    """The four fields are the word's 64 bits, each used once."""
    one = np.array([word], dtype=np.uint64)
    out, back = int(luck.loss_out(one)[0]), int(luck.loss_back(one)[0])
    there, here = int(luck.noise_out(one)[0]), int(luck.noise_back(one)[0])
    assert out << 44 | back << 24 | there << 12 | here == word


def test_fields_into_given_arrays() -> None:
    """Each field can be cut into a given array."""
    word, out = many(100), np.empty(100, dtype=np.uint64)
    assert np.array_equal(luck.loss_out(word, out=out), luck.loss_out(word))
    assert np.array_equal(luck.loss_back(word, out=out), luck.loss_back(word))
    assert np.array_equal(luck.noise_out(word, out=out), luck.noise_out(word))
    assert np.array_equal(luck.noise_back(word, out=out), luck.noise_back(word))


def test_fields_are_uniform_and_independent() -> None:
    """Chi-square over 16 x 16 cells of every pair of fields stays below the 1e-6 point."""
    word = many(100_000)
    parts = [
        (luck.loss_out(word) >> np.uint64(16)).view(np.int64),
        (luck.loss_back(word) >> np.uint64(16)).view(np.int64),
        luck.noise_out(word) >> 8,
        luck.noise_back(word) >> 8,
    ]
    pairs = [(a, b) for i, a in enumerate(parts) for b in parts[i + 1 :]]
    # The next draw of the same object must be independent as well.
    pairs += [(a[:-1], a[1:]) for a in parts]
    for a, b in pairs:
        seen = np.bincount(16 * a + b, minlength=256)
        expected = len(a) / 256
        assert ((seen - expected) ** 2 / expected).sum() < 371  # 255 degrees of freedom


# ---------------------------------------------------------------- laws


@given(st.integers(0, PPM))
def test_threshold_is_the_probability(loss_ppm: int) -> None:
    """A threshold is the loss in 2^-20 to half a step; nothing is rounded to impossible."""
    limit = int(luck.threshold(np.array([loss_ppm]))[0])
    exact = Fraction(loss_ppm * 2**20, PPM)
    assert abs(limit - exact) <= Fraction(1, 2) or (limit == 1 and 0 < exact < 1)
    assert (limit == 0) == (loss_ppm == 0)
    assert (limit == 2**20) == (loss_ppm == PPM)


def test_hit_at_the_ends() -> None:
    """No field is hit at loss 0, every one at loss 1, and half of all at one half."""
    field = np.arange(2**20, dtype=np.uint64)
    never, half, always = (luck.threshold(np.array([p])) for p in (0, PPM // 2, PPM))
    assert not luck.hit(field, never).any()
    assert luck.hit(field, half).sum() == 2**19
    assert luck.hit(field, always).all()


def test_hits_come_at_the_asked_rate() -> None:
    """30,000 ppm over 400,000 draws lies within five deviations."""
    lost = int(luck.hit(luck.loss_out(many(400_000)), luck.threshold(np.array([30_000]))).sum())
    assert abs(lost - 12_000) < 5 * 108


def test_noise_law() -> None:
    """The noise table rises from 0, never reaches its bound, and has the documented figures."""
    noise = luck.noise_ns(np.arange(4096), 1_000_000)
    assert noise[0] == 0
    assert noise[-1] < 1_000_000
    assert (np.diff(noise) >= 0).all()
    mean, (median, p95, p99) = noise.mean() / 1e6, np.percentile(noise, [50, 95, 99]) / 1e6
    assert (round(mean, 3), round(median, 3), round(p95, 2), round(p99, 2)) == (
        (0.113, 0.064, 0.40, 0.70)
    )
    rank = 2 * np.arange(4096) - 4095
    assert round(2 * float((rank * noise).mean()) / 4096 / 1e6, 3) == 0.128


@given(st.integers(0, 4095), st.integers(0, 2**47))
def test_noise_stays_within_any_bound(cell: int, bound_ns: int) -> None:
    """Noise lies in [0, bound], and a bound of its own per row is obeyed alike."""
    noise = int(luck.noise_ns(np.array([cell]), bound_ns)[0])
    assert 0 <= noise <= bound_ns
    assert luck.noise_ns(np.array([cell]), np.array([bound_ns])) == [noise]


@given(st.integers(0, U64_MAX), st.integers(0, 2**56))
def test_exponential_is_the_logarithm(word: int, mean_ns: int) -> None:
    """The time is -ln(u) x mean to 2e-7 means, in the far tail as well."""
    time = int(luck.exponential_ns(np.array([word], dtype=np.uint64), mean_ns)[0])
    exact = -(Decimal(word | 1) / 2**64).ln()
    assert abs(time - exact * mean_ns) <= Decimal("2.1e-7") * mean_ns + 2
    assert 0 <= time <= 45 * mean_ns


@given(st.integers(0, U64_MAX - 1), st.integers(0, U64_MAX - 1))
def test_exponential_never_rises_with_its_word(one: int, other: int) -> None:
    """A larger word never gives a longer time (the inverse of a survival function)."""
    low, high = sorted((one, other))
    times = luck.exponential_ns(np.array([low, high], dtype=np.uint64), 2**50)
    assert times[0] >= times[1]


def test_exponential_mean_and_tail() -> None:
    """200,000 draws have the mean, and the share beyond 5 means, of the law."""
    times = luck.exponential_ns(many(200_000), 1_000_000)
    assert abs(times.mean() - 1_000_000) < 5 * 2_240
    assert abs(int((times > 5_000_000).sum()) - 1_348) < 5 * 37


# ---------------------------------------------------------------- counted packets


def exact_cdf(n: int, p_ppm: int) -> list[Fraction]:
    """Return P(X <= k) for every k, in rationals."""
    p, total, rows = Fraction(p_ppm, PPM), Fraction(0), []
    for k in range(n + 1):
        total += comb(n, k) * p**k * (1 - p) ** (n - k)
        rows.append(total)
    return rows


@pytest.mark.parametrize(("n", "p_ppm"), [(1, 1), (5, 400_000), (50, 10_000), (50, 940_000)])
def test_binomial_is_the_inverse_of_the_exact_cdf(n: int, p_ppm: int) -> None:
    """Just below and above each step of the exact distribution the count changes by one."""
    flip = p_ppm > PPM // 2
    cdf = exact_cdf(n, PPM - p_ppm if flip else p_ppm)
    for k, level in enumerate(cdf[:-1]):
        for offset, count in ((-(2**28), k), (2**28, k + 1)):
            place = int(level * 2**64) + offset
            if (cdf[k - 1] if k else 0) * 2**64 < place - 2**28 < cdf[k + 1] * 2**64 - 2**29:
                word = np.array([place], dtype=np.uint64)
                got = int(luck.binomial(word, np.array([n]), np.array([p_ppm]))[0])
                assert got == (n - count if flip else count)


@pytest.mark.parametrize(
    ("n", "p_ppm"), [(50, 30_000), (500, 30_000), (4096, 500_000), (4096, 2_000), (300, 900_000)]
)
def test_binomial_mean_and_variance(n: int, p_ppm: int) -> None:
    """Counts have the binomial mean and variance, also where rows are halved."""
    draws, p = 4_000, p_ppm / PPM
    word = many(draws)
    count = luck.binomial(word, np.full(draws, n), np.full(draws, p_ppm))
    variance = n * p * (1 - p)
    assert abs(count.mean() - n * p) < 5 * (variance / draws) ** 0.5
    assert abs(count.var() / variance - 1) < 5 * (2 / draws) ** 0.5 + 0.02
    assert count.min() >= 0
    assert count.max() <= n


@settings(max_examples=40)
@given(
    st.integers(0, U64_MAX),
    st.sampled_from([0, 1, 2, 16, 17, 4095, 4096]),
    st.sampled_from([0, 1, 8, 499_999, 500_000, 500_001, 999_999, PPM]),
)
def test_binomial_stays_in_range(word: int, n: int, p_ppm: int) -> None:
    """Counts lie in 0..n, certain ones are certain, whatever stands in the other rows."""
    words = np.array([word, 5, U64_MAX], dtype=np.uint64)
    sizes, odds = np.array([n, 40, 1]), np.array([p_ppm, 400_000, 3])
    count = int(luck.binomial(words, sizes, odds)[0])
    assert 0 <= count <= n
    assert count == {0: 0, PPM: n}.get(p_ppm, count)
    assert count == luck.binomial(words[:1], sizes[:1], odds[:1])[0]
