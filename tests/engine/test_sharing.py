"""Sharing: waiting times against real logarithms, shares against their weights, and who moves."""

from math import log2, sqrt
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import sharing as kernel
from patronus.engine.fingerprint import U64, name_key
from patronus.engine.selection import Bools
from patronus.engine.sharing import FRACTION_BITS, draw, waiting
from tests.mutants.harness import caught, mutant
from tests.oracles.fingerprint import WORD, combine, key_of

LANES = ("mpls", "lte", "sat")
LANE_KEYS: U64 = np.array([name_key("transport", lane) for lane in LANES], dtype=np.uint64)
ONE = 1 << FRACTION_BITS + 20

WORDS = st.lists(
    st.integers(0, WORD - 1)
    | st.integers(0, 63).flatmap(lambda n: st.sampled_from([2**n, 2**n - 1, 2**n + 1]))
    | st.just(WORD - 1),
    min_size=1,
    max_size=8,
)


def waits(module: ModuleType, words: list[int]) -> None:
    """Compare with the real logarithm, to the precision that is promised."""
    got = module.waiting(np.array(words, dtype=np.uint64)).tolist()
    for word, wait in zip(words, got, strict=True):
        real = 64 - log2(max(word, 1))
        assert abs(wait / ONE - real) <= 2**-FRACTION_BITS + 1e-12
        assert wait % 2**20 == 0


@given(WORDS)
def test_a_waiting_time_is_a_logarithm(words: list[int]) -> None:
    """To a millionth, at every power of two and beside it; the smallest words wait longest."""
    waits(kernel, words)


@given(st.integers(0, WORD - 1), st.integers(0, WORD - 1))
def test_a_greater_word_never_waits_longer(one: int, other: int) -> None:
    """Rounding keeps the order."""
    low, high = waiting(np.array(sorted([one, other]), dtype=np.uint64)).tolist()
    assert low >= high


CASES = st.tuples(
    st.lists(st.integers(0, WORD - 1), min_size=1, max_size=6),
    st.lists(st.integers(0, 4), min_size=3, max_size=3),
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=6, max_size=6),
)
Case = tuple[list[int], list[int], list[list[bool]]]


def drawn(module: ModuleType, case: Case) -> None:
    keys, weights, is_open = case
    got = module.draw(
        np.array(keys, dtype=np.uint64),
        LANE_KEYS,
        np.array(weights, dtype=np.int64),
        np.array(is_open[: len(keys)], dtype=np.bool_),
    )
    for key, doors, lane in zip(keys, is_open, got.tolist(), strict=False):
        times = {
            n: (64 - log2(max(1, combine(key, key_of("transport", LANES[n]))))) / weights[n]
            for n in range(3)
            if doors[n] and weights[n]
        }
        assert lane == min(times, key=times.__getitem__, default=-1)


@given(CASES)
def test_the_first_waiting_time_to_end_wins(case: Case) -> None:
    """Among open transports of some weight, whatever stands closed beside them."""
    drawn(kernel, case)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("may = is_open & (weights > 0)", "may = is_open"),
        ("may = is_open & (weights > 0)", "may = np.ones_like(is_open) & (weights > 0)"),
        ("// np.maximum(weights, 1)", "// 1"),
        ("waits == waits.min(", "waits == waits.max("),
        ("combine(pairs[:, None], lanes[None, :])", "combine(lanes[None, :], pairs[:, None])"),
        ("np.where(may.any(axis=1), ", "np.where(may.all(axis=1), "),
    ],
)
def test_the_draw_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the draw is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(CASES, lambda case: drawn(broken, case))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(32, 16, 8, 4, 2, 1)", "(32, 16, 8, 4, 2)"),
        ("top = np.where(one, square >> _S32, square >> _S31)", "top = square >> _S32"),
        ("(whole + 1)", "whole"),
        ("- log) << 20", "- log) << 19"),
    ],
)
def test_the_logarithm_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the logarithm is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(WORDS | st.just([0, 1, 3]), lambda words: waits(broken, words))


# ------------------------------------------------------------ over many pairs

PAIRS: U64 = np.array([name_key("site", f"s{n}") for n in range(20_000)], dtype=np.uint64)
OPEN: Bools = np.ones((len(PAIRS), 3), dtype=np.bool_)
WEIGHTS = np.array([1, 2, 5], dtype=np.int64)


def test_shares_are_those_of_the_weights() -> None:
    """20,000 pairs: each share is within four standard deviations of what was asked."""
    lanes = draw(PAIRS, LANE_KEYS, WEIGHTS, OPEN)
    for lane, weight in enumerate(WEIGHTS.tolist()):
        share = weight / 8
        spread = sqrt(share * (1 - share) / len(PAIRS))
        assert abs(float((lanes == lane).mean()) - share) < 4 * spread


def test_only_the_pairs_of_a_closed_transport_move() -> None:
    """When one transport closes its pairs go to the others by their weights, and nobody else."""
    before = draw(PAIRS, LANE_KEYS, WEIGHTS, OPEN)
    fewer = OPEN.copy()
    fewer[:, 2] = False
    after = draw(PAIRS, LANE_KEYS, WEIGHTS, fewer)
    stayed = before != 2
    assert np.array_equal(before[stayed], after[stayed])
    moved = after[~stayed]
    spread = sqrt(2 / 9 / len(moved))
    assert abs(float((moved == 1).mean()) - 2 / 3) < 4 * spread


def test_a_greater_weight_only_draws_pairs_to_itself() -> None:
    """Nobody moves between two transports because a third has grown."""
    before = draw(PAIRS, LANE_KEYS, WEIGHTS, OPEN)
    after = draw(PAIRS, LANE_KEYS, WEIGHTS + np.array([3, 0, 0]), OPEN)
    assert set(after[before != after].tolist()) == {0}
