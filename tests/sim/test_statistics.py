"""Percentiles against a plain oracle, and bounds against experiments whose truth is known."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import comb
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.units import PPM
from patronus.sim import statistics
from patronus.sim.statistics import (
    F64,
    few_exceed,
    looks,
    median_interval,
    percentile_bounds,
    seed_percentile,
    seeds_needed,
    spending,
)
from tests.mutants.harness import caught, mutant
from tests.oracles import seeds as oracle
from tests.rules.tree import ROOT

ALPHA = 0.05
NOISE = 4 * math.sqrt(ALPHA * (1 - ALPHA) / 20_000)
"""Four standard deviations of a rate counted over 20,000 experiments."""

figures = st.integers(0, 50).map(float) | st.just(math.inf)
parts = st.integers(0, PPM) | st.sampled_from([0, 500_000, 990_000, 999_999, PPM])


ranked = st.tuples(st.lists(figures, min_size=1, max_size=40), parts)


def rank_holds(module: ModuleType, case: tuple[list[float], int]) -> None:
    values, ppm = case
    assert module.nearest_rank(np.sort(values), ppm) == oracle.percentile(values, ppm)


@given(ranked)
def test_nearest_rank_is_the_smallest_value_reached_by_the_share(
    case: tuple[list[float], int],
) -> None:
    """A percentile is a value that occurred, ties and infinite ones included."""
    rank_holds(statistics, case)


@given(
    rows=st.integers(1, 6).flatmap(
        lambda size: st.lists(st.lists(figures, min_size=size, max_size=size), min_size=1)
    ),
    ppm=st.integers(1, PPM),
)
def test_seeds_of_equal_size_weigh_as_their_values_do(rows: list[list[float]], ppm: int) -> None:
    """With as many values in each seed, the percentile by seed is the one over all values."""
    pooled = oracle.percentile([v for row in rows for v in row], ppm)
    assert seed_percentile([np.array(row) for row in rows], ppm) == pooled


def test_a_seed_with_many_values_weighs_no_more() -> None:
    """Nine seeds with one low value outweigh one seed with a thousand high ones."""
    clusters = [np.zeros(1)] * 9 + [np.ones(1000)]
    assert seed_percentile(clusters, 900_000) == 0
    assert seed_percentile(clusters, 900_001) == 1


shares = st.integers(1, 99).map(lambda n: Fraction(n, 100))
trials = st.integers(1, 20).flatmap(
    lambda n: st.tuples(st.just(n), shares, st.integers(0, n * 12).map(lambda x: Fraction(x, 12)))
)


def binomial_holds(module: ModuleType, case: tuple[int, Fraction, Fraction]) -> None:
    n, share, total = case
    expected = float(oracle.at_most(n, int(total), share))
    p = module.few_exceed(n, float(share), int(total), single=True)
    assert p == pytest.approx(expected, abs=1e-12)


def convex_holds(module: ModuleType, case: tuple[int, Fraction, Fraction]) -> None:
    n, share, total = case
    p = module.few_exceed(n, float(share), float(total), single=False)
    assert p == pytest.approx(float(oracle.convex_bound(n, share, total)), abs=1e-9)
    assert p >= float(oracle.at_most(n, int(total), share)) - 1e-9


@given(trials)
def test_the_single_test_is_the_binomial_one(case: tuple[int, Fraction, Fraction]) -> None:
    """With one value a seed, the p-value is the exact probability of so few exceedances."""
    binomial_holds(statistics, case)


@given(trials)
def test_the_clustered_test_is_the_convex_bound(case: tuple[int, Fraction, Fraction]) -> None:
    """With shares of exposures, the p-value is the smallest convex bound, never below binomial."""
    convex_holds(statistics, case)


@given(n=st.integers(1, 60), share=shares, single=st.booleans(), data=st.data())
def test_more_exceedances_never_look_better(
    n: int, share: Fraction, single: bool, data: st.DataObject
) -> None:
    """The p-value grows with the exceedances and shrinks with more seeds: bounds are monotone."""
    worse = data.draw(st.integers(0, n))
    better = data.draw(st.integers(0, worse))
    p = few_exceed(n, float(share), worse, single=single)
    assert few_exceed(n, float(share), better, single=single) <= p + 1e-12
    assert few_exceed(n + 1, float(share), worse, single=single) <= p + 1e-12


@pytest.mark.parametrize(
    ("ppm", "confidence", "seeds"),
    [
        (990_000, 95, 299),
        (950_000, 95, 59),
        (990_000, 99, 459),
        (900_000, 95, 29),
        (500_000, 95, 5),
    ],
)
def test_seeds_needed_with_no_exceedance(ppm: int, confidence: int, seeds: int) -> None:
    """The textbook numbers, for one value a seed and for many, and one seed fewer is too few."""
    share, risk = (PPM - ppm) / PPM, (100 - confidence) / 100
    for single in (True, False):
        assert seeds_needed(share, risk, single=single) == seeds
        assert few_exceed(seeds - 1, share, 0, single=single) > risk


@given(share=shares, total=st.integers(0, 4), single=st.booleans())
def test_seeds_needed_is_the_smallest_number(share: Fraction, total: int, single: bool) -> None:
    """The number suffices and one seed fewer does not, whatever has exceeded already."""
    needed = seeds_needed(float(share), ALPHA, total=total, single=single)
    assert needed is not None
    assert few_exceed(needed, float(share), total, single=single) <= ALPHA
    assert needed == 1 or few_exceed(needed - 1, float(share), total, single=single) > ALPHA


def test_a_million_seeds_are_not_enough_for_everything() -> None:
    """Where more than a million seeds were needed, no number is named."""
    assert seeds_needed(1e-7, ALPHA, single=True) is None


singles = st.tuples(
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=80),
    st.integers(1, 99).map(lambda percent: percent * 10_000),
)


def order_holds(module: ModuleType, case: tuple[list[float], int]) -> None:
    values, ppm = case
    bounds = module.percentile_bounds([np.array([v]) for v in values], ppm, ALPHA)
    upper = oracle.upper_order_statistic(values, ppm, Fraction(5, 100))
    lower = oracle.upper_order_statistic([-v for v in values], PPM - ppm, Fraction(5, 100))
    assert bounds.lower == (-math.inf if lower is None else -lower)
    assert bounds.upper == (math.inf if upper is None else upper)


@given(singles)
def test_single_bounds_are_order_statistics(case: tuple[list[float], int]) -> None:
    """With one value a seed, both bounds are the order statistics of the binomial law."""
    order_holds(statistics, case)


@pytest.mark.parametrize(
    ("old", "new", "strategy", "holds"),
    [
        ("-(-ppm * len(ordered) // PPM)", "ppm * len(ordered) // PPM", ranked, rank_holds),
        ("max(1, -(", "max(0, -(", ranked, rank_holds),
        ("below[whole]", "below[max(0, whole - 1)]", trials, binomial_holds),
        ("(t - total)", "(t - whole)", trials, convex_holds),
        ("np.cumsum(below)[whole:seeds]", "below[whole:seeds]", trials, convex_holds),
        (
            "few_exceed(len(clusters), share,",
            "few_exceed(len(values) + 1, share,",
            singles,
            order_holds,
        ),
        ("above[first[1:]]", "above[first[:-1]]", singles, order_holds),
        ("np.append(above[first[1:]], 0.0)", "above[first]", singles, order_holds),
    ],
)
def test_broken_statistics_are_caught(
    old: str,
    new: str,
    strategy: st.SearchStrategy[Any],
    holds: Callable[[ModuleType, Any], None],
) -> None:
    """Each property notices when the arithmetic that it is about is off by one."""
    broken = mutant(statistics, old, new)
    assert caught(strategy, lambda case: holds(broken, case))


def _critical(n: int, share: float, *, single: bool, alpha: float = ALPHA) -> float:
    # The largest total that is still called few; the p-value grows with the total.
    low, high = -1.0, float(n)
    for _ in range(40):
        middle = (low + high) / 2
        total = float(math.floor(middle)) if single else middle
        few = total >= 0 and few_exceed(n, share, total, single=single) <= alpha
        low, high = (middle, high) if few or middle < 0 else (low, middle)
    return low


LAWS: dict[str, Callable[[np.random.Generator, tuple[int, int], float], F64]] = {
    "all or nothing": lambda g, shape, m: (g.random(shape) < m).astype(float),
    "a third at most": lambda g, shape, m: (g.random(shape) < 3 * m) / 3.0,
    "always a little": lambda g, shape, m: 2 * m * g.random(shape),
    "mostly a little, rarely all": lambda g, shape, m: np.where(
        g.random(shape) < m / 2, 1.0, m / 2 / (1 - m / 2)
    ),
    "two levels": lambda g, shape, m: np.where(g.random(shape) < m, 0.75, 0.25 * m / (1 - m)),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "share"), [(40, 0.2), (100, 0.05)])
def test_a_limit_that_does_not_hold_passes_rarely(law: str, n: int, share: float) -> None:
    """At the worst false truth, however exposures cluster, at most 5 % of experiments pass."""
    draws = LAWS[law](np.random.default_rng(1), (20_000, n), share)
    assert draws.mean() == pytest.approx(share, rel=0.02)
    assert (draws.sum(axis=1) <= _critical(n, share, single=False)).mean() <= ALPHA + NOISE


@pytest.mark.parametrize("single", [True, False])
def test_the_tests_waste_little(single: bool) -> None:
    """The risk that is allowed is nearly used up where a seed is all or nothing."""
    totals = LAWS["all or nothing"](np.random.default_rng(1), (20_000, 100), 0.05).sum(axis=1)
    rate = (totals <= _critical(100, 0.05, single=single)).mean()
    assert 0.03 < rate <= ALPHA + NOISE


def _experiment(generator: np.random.Generator, seeds: int, exposures: int) -> list[F64]:
    # One seed in ten is a bad day: all its exposures lie between 1 and 2, else below 1.
    # Over seeds, P(value <= x) is 0.9 x up to 1 and 0.9 + 0.1 (x - 1) from there.
    bad = generator.random(seeds) < 0.1
    return list(generator.random((seeds, exposures)) + bad[:, None])


def _covered(trials: int, exposures: int, *, pooled: bool) -> tuple[float, float]:
    generator = np.random.default_rng(2)
    below = above = 0
    for _ in range(trials):
        clusters = _experiment(generator, 80, exposures)
        if pooled:
            clusters = list(np.concatenate(clusters)[:, None])
        bounds = percentile_bounds(clusters, 950_000, ALPHA)
        below += bounds.lower <= 1.5
        above += bounds.upper >= 1.5
    return below / trials, above / trials


@pytest.mark.parametrize("exposures", [1, 2, 20])
def test_bounds_cover_the_truth(exposures: int) -> None:
    """Each bound of p95 holds in at least 95 % of experiments, with one exposure a seed or many."""
    low, high = _covered(250, exposures, pooled=False)
    assert low >= 0.95 - 0.035
    assert high >= 0.95 - 0.035


def test_tunnels_are_not_independent() -> None:
    """Taking every exposure for independent evidence breaks the promise: hence the seed."""
    low, high = _covered(60, 20, pooled=True)
    assert min(low, high) < 0.8


def test_bounds_claim_nothing_beyond_what_was_seen() -> None:
    """Too few seeds give no bound, however many exposures each has."""
    clusters = list(np.random.default_rng(3).random((58, 1000)))
    assert percentile_bounds(clusters, 950_000, ALPHA).upper == math.inf
    clusters.append(np.zeros(1000))
    assert percentile_bounds(clusters, 950_000, ALPHA).upper < 1


@pytest.mark.parametrize("maximum", [1, 7, 8, 15, 16, 299, 1000])
def test_looks_double_up_to_the_maximum(maximum: int) -> None:
    """Looks are fixed beforehand, about double, end at the maximum and spend all."""
    sizes = looks(maximum)
    assert sizes[-1] == maximum
    assert all(a < b <= 2 * a + 1 for a, b in pairwise(sizes))
    assert sum(spending(sizes)) == pytest.approx(1)


def test_no_looks_without_seeds() -> None:
    """A maximum of no seeds is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        looks(0)


def test_looking_often_does_not_pass_more_often() -> None:
    """With the risk spread over the looks at most 5 % pass falsely; looking unpunished, more do."""
    n, share = 240, 0.1
    exceeded = np.cumsum(np.random.default_rng(4).random((20_000, n)) < share, axis=1)
    sizes = looks(n)

    def passed(risks: list[float]) -> float:
        limits = [
            _critical(k, share, single=True, alpha=r) for k, r in zip(sizes, risks, strict=True)
        ]
        ever = [exceeded[:, k - 1] <= limit for k, limit in zip(sizes, limits, strict=True)]
        return float(np.any(ever, axis=0).mean())

    assert passed([ALPHA * part for part in spending(sizes)]) <= ALPHA + NOISE
    assert passed([ALPHA] * len(sizes)) > ALPHA + NOISE


@pytest.mark.parametrize("n", [6, 7, 20, 51])
def test_the_median_interval_covers_exactly(n: int) -> None:
    """The coverage follows from coin tosses alone: at least 95 %, and a narrower one is below."""
    interval = median_interval(np.arange(float(n)), ALPHA)
    assert interval is not None
    rank = int(interval.lower) + 1
    assert interval.upper == n - rank

    def misses(r: int) -> float:
        return sum(comb(n, k) for k in range(r)) / (1 << (n - 1))

    assert misses(rank) <= ALPHA < misses(rank + 1)


def test_five_values_have_no_median_interval() -> None:
    """Five differences of the same sign are too little at 95 %: 2 / 32 is more than 5 %."""
    assert median_interval(np.arange(5.0), ALPHA) is None


def test_the_documented_numbers_of_seeds() -> None:
    """The table of seeds with no exceedance, and the price of looking often, are as computed."""
    text = (ROOT / "docs/expectations.md").read_text()
    for percent in (90, 95, 99):
        share = (100 - percent) / 100
        row = [seeds_needed(share, risk, single=True) for risk in (0.1, 0.05, 0.01)]
        assert f"| p{percent} | {' | '.join(map(str, row))} |" in text
    late = [
        seeds_needed(share, ALPHA * spending(looks(400))[-1], single=True) for share in (0.01, 0.05)
    ]
    assert "p99\nneeds {} seeds instead of 299, p95 {} instead of 59".format(*late) in text
    assert f"| {' | '.join(map(str, looks(400)))} |" in text
    one = [seeds_needed(0.01, ALPHA, total=1, single=single) for single in (False, True)]
    assert "takes {} seeds against {}".format(*one) in text
