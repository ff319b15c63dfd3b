"""What common luck is worth: factors of known truth, and what means nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.narrowing import narrowing
from patronus.sim.statistics import F64, Bounds, median_interval

ALPHA = 0.05


def sides(seed: int, seeds: int, *, common: float, own: float, gain: float) -> tuple[F64, F64]:
    """Return figures of two policies: luck that both share, luck of each, and a true gain."""
    dice = np.random.default_rng(seed)
    luck = dice.normal(1000, common, seeds)
    return luck + dice.normal(0, own, seeds), luck - gain + dice.normal(0, own, seeds)


def test_the_factor_of_variance_is_that_of_the_construction() -> None:
    """Var (b - a) is 2 own²; without common luck it would be 2 (common² + own²): 26 times."""
    a, b = sides(1, 2000, common=50, own=10, gain=30)
    found = narrowing(a, b, ALPHA)
    assert found.variance == pytest.approx(26, rel=0.1)
    # Both intervals shrink alike with their number, so widths differ by the root of it.
    assert found.interval == pytest.approx(math.sqrt(26), rel=0.2)
    assert found.simulated is False


def test_without_common_luck_nothing_is_narrowed() -> None:
    """Where the two share nothing, both factors are about one: none is invented."""
    a, b = sides(2, 2000, common=0, own=10, gain=3)
    found = narrowing(a, b, ALPHA)
    assert found.variance == pytest.approx(1, rel=0.1)
    assert found.interval == pytest.approx(1, rel=0.2)


def test_luck_that_works_against_each_other_is_told() -> None:
    """Pairing can widen: where one gains what the other loses, the factor is below one."""
    a, _ = sides(3, 500, common=50, own=1, gain=0)
    found = narrowing(a, 2000 - a, ALPHA)
    assert found.variance == pytest.approx(0.5)


def test_simulated_and_computed_factors_agree() -> None:
    """Runs of B under seeds of its own say what re-paired ones say."""
    a, b = sides(4, 2000, common=50, own=10, gain=30)
    _, alone = sides(5, 2000, common=50, own=10, gain=30)
    computed, simulated = narrowing(a, b, ALPHA), narrowing(a, b, ALPHA, alone=alone)
    assert simulated.simulated
    assert simulated.variance == pytest.approx(computed.variance, rel=0.15)
    assert simulated.interval == pytest.approx(computed.interval, rel=0.25)


def test_paired_intervals_hold_the_known_difference() -> None:
    """Of 400 experiments with a true difference of -30 at most 5 % miss it, as stated."""
    missed = unpaired_missed = 0
    for seed in range(400):
        a, b = sides(seed, 20, common=50, own=10, gain=30)
        bounds, apart = median_interval(b - a, ALPHA), narrowing(a, b, ALPHA).unpaired
        assert bounds is not None
        assert apart is not None
        missed += not bounds.lower <= -30 <= bounds.upper
        unpaired_missed += not apart.lower <= -30 <= apart.upper
    # 20 misses are expected at most; 33 have a probability below 0.3 %.
    assert missed <= 33
    assert unpaired_missed <= 33


def test_a_constant_difference_is_narrowed_without_end() -> None:
    """Under common luck the same gain in every seed: certain, whatever the seeds do."""
    a = np.array([5.0, 9.0, 7.0, 30.0, 2.0, 11.0])
    found = narrowing(a, a - 2, ALPHA)
    assert (found.variance, found.interval) == (math.inf, math.inf)
    assert narrowing(np.ones(6), np.ones(6), ALPHA).variance is None


def test_too_few_seeds_give_no_interval() -> None:
    """Five seeds have a variance; of an interval nothing is said."""
    a, b = sides(6, 5, common=50, own=10, gain=30)
    found = narrowing(a, b, ALPHA)
    assert (found.interval, found.unpaired) == (None, None)
    assert found.variance is not None
    assert narrowing(a[:1], b[:1], ALPHA).variance is None
    assert narrowing(a[:0], b[:0], ALPHA).unpaired is None


def test_never_has_no_variance() -> None:
    """An infinite figure leaves the widths, where these are finite, and no variance."""
    a, b = sides(7, 20, common=50, own=10, gain=30)
    a[3] = b[3] = math.inf
    found = narrowing(a, b, ALPHA)
    assert found.variance is None
    assert found.interval is not None
    assert found.interval > 1
    every = narrowing(np.full(20, math.inf), b, ALPHA)
    assert every.interval is None


FIGURES = st.lists(
    st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), min_size=2, max_size=30
)


@given(FIGURES, st.integers(-(10**12), 10**12))
def test_a_shift_of_one_side_changes_no_factor(figures: list[tuple[int, int]], by: int) -> None:
    """What pairing is worth is a matter of spread, not of how much better one side is."""
    a, b = np.array(figures, dtype=np.float64).T
    plain, shifted = narrowing(a, b, ALPHA), narrowing(a, b + by, ALPHA)
    assert shifted.variance == (
        None if plain.variance is None else pytest.approx(plain.variance, rel=1e-6)
    )
    assert (plain.unpaired is None) == (shifted.unpaired is None)
    if plain.unpaired is not None:
        moved = Bounds(plain.unpaired.lower + by, plain.unpaired.upper + by)
        assert shifted.unpaired == pytest.approx(moved)
