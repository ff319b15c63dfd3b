"""Ranking against one standing a tunnel and class: worse at once, better when it has held."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import ranking as kernel
from patronus.engine.configured import Configured
from patronus.engine.policy import Features, Policy, SlaClass, TrafficClass
from patronus.engine.ranking import NUMBERS, Ranking, join_figures, terms
from patronus.engine.units import MS, PPM, SECOND
from patronus.engine.verdict import (
    COMPLIANT,
    OUTAGE,
    UNKNOWN,
    UNKNOWN_BADNESS_NS,
    VIOLATING,
    Figures,
)
from tests.mutants.harness import caught, mutant
from tests.oracles.overlays import Plan
from tests.oracles.ranking import Standing, band_ns
from tests.oracles.verdict import judge

CODES = {"compliant": COMPLIANT, "unknown": UNKNOWN, "violating": VIOLATING, "outage": OUTAGE}

OVERLAY = Plan(2, 2, ((0, 1, 0), (0, 1, 1)), shared=(), transit=()).build()
"""Rows 0 and 1 are the first site's, 2 and 3 the second's."""

LIMITS = SlaClass(latency_ns=100 * MS, loss_ppm=10_000, mtu=1400)
COMMON = Policy(
    classes=(TrafficClass("voice", sla=LIMITS), TrafficClass("rest")),
    margin_ns=2 * MS,
    margin_ppm=100_000,
    evaluation_ns=SECOND,
)
STRICT = replace(COMMON, classes=(TrafficClass("voice", sla=SlaClass(latency_ns=20 * MS)),) * 2)
POLICIES = (
    COMMON,
    replace(STRICT, classes=(*STRICT.classes[:1], COMMON.classes[1])),
    replace(COMMON, features=Features(sla=False)),
    replace(COMMON, features=Features(hysteresis=False)),
    replace(COMMON, margin_ns=0, margin_ppm=10_000),
)
"""The second site may run any of them."""

FIGURES = st.tuples(
    st.sampled_from([-1, 0, 20 * MS, 21 * MS, 22 * MS, 24 * MS, 100 * MS, 101 * MS, 3 * SECOND]),
    st.sampled_from([-1, 0, 0, 0, MS, 2**40]),
    st.sampled_from([-1, 0, 0, 0, 10_000, 10_001, 500_000, PPM]),
)
FOUR = st.lists(FIGURES, min_size=4, max_size=4)
ROWS = st.sampled_from([(0, 1, 2, 3), (0, 1, 2, 3), (1,), (0, 3), (2, 3)])
HOLDS = st.sampled_from([0, SECOND - 1, SECOND, 2 * SECOND - 1, 2 * SECOND, 3 * SECOND])
STEP = st.one_of(
    *[st.tuples(st.just("evaluate"), ROWS, FOUR, HOLDS)] * 5,
    st.tuples(st.just("condemn"), ROWS, FOUR),
    st.tuples(st.just("rejudge"), ROWS, FOUR),
    st.tuples(st.just("forget"), ROWS),
    st.tuples(st.just("carry"), ROWS, st.sampled_from([0, 1399, 1400])),
    st.tuples(st.just("configure"), st.integers(0, len(POLICIES) - 1)),
)
LIVES = st.lists(STEP, max_size=12)

Life = list[tuple[Any, ...]]
Row = tuple[int, int, int]


def figures_of(rows: tuple[int, ...], four: list[Row]) -> Figures:
    return Figures(*(np.array([four[r][i] for r in rows], dtype=np.int64) for i in range(3)))


def badness(figures: Row) -> int:
    rtt, jitter, loss = figures
    if min(figures) < 0:
        return UNKNOWN_BADNESS_NS
    return min(rtt + 4 * jitter + 10_000 * loss, UNKNOWN_BADNESS_NS - 1)


class Ranks:
    """Four rows in the kernel, and a standing for each class of each."""

    def __init__(self, module: ModuleType) -> None:
        self.configured = Configured(COMMON, 2)
        self.ranking = module.Ranking(OVERLAY, COMMON, self.configured)
        self.standing = [[Standing(SECOND) for _ in range(2)] for _ in range(4)]
        self.mtu = [0] * 4

    def policy(self, row: int) -> Policy:
        return self.configured.of(row // 2)

    def raw(self, row: int, number: int, figures: Row) -> int:
        policy = self.policy(row)
        if not policy.features.sla:
            return COMPLIANT
        sla = policy.classes[number].sla
        code = CODES[judge(*figures, -1, sla)]
        return max(code, VIOLATING) if sla.mtu and 0 < self.mtu[row] < sla.mtu else code

    def evaluate(self, rows: tuple[int, ...], four: list[Row], hold: int) -> None:
        hold_ns = np.full(len(rows), hold)
        found = self.ranking.evaluate(np.array(rows), figures_of(rows, four), hold_ns)
        expected = []
        for row in rows:
            both = self.standing[row]
            policy, figures = self.policy(row), four[row]
            judged = [s.judge(self.raw(row, n, figures), hold) for n, s in enumerate(both)]
            moved = []
            for standing in both:
                band = band_ns(
                    policy.margin_ns, policy.margin_ppm, standing.published,
                    hysteresis=policy.features.hysteresis,
                )  # fmt: skip
                moved.append(standing.measure(figures, badness(figures), band))
            changed, fell, rose = (any(flags) for flags in zip(*judged, strict=True))
            expected.append((changed, moved[0], fell, rose))
        assert list(zip(*(f.tolist() for f in found), strict=True)) == expected

    def condemn(self, rows: tuple[int, ...], four: list[Row]) -> None:
        fell = self.ranking.condemn(np.array(rows), figures_of(rows, four))
        for place, row in enumerate(rows):
            for number, standing in enumerate(self.standing[row]):
                assert fell[number, place] == standing.condemn(self.raw(row, number, four[row]))

    def rejudge(self, rows: tuple[int, ...], four: list[Row]) -> None:
        self.ranking.rejudge(np.array(rows), figures_of(rows, four))
        for row in rows:
            for number, standing in enumerate(self.standing[row]):
                standing.take(self.raw(row, number, four[row]))

    def forget(self, rows: tuple[int, ...]) -> None:
        self.ranking.forget(np.array(rows))
        for row in rows:
            for standing in self.standing[row]:
                standing.forget()

    def carry(self, rows: tuple[int, ...], mtu: int) -> None:
        for row in rows:
            self.mtu[row] = self.ranking.mtu[row] = mtu

    def configure(self, number: int) -> None:
        self.configured.set([1], POLICIES[number])

    def agree(self) -> None:
        ranking = self.ranking
        for row, both in enumerate(self.standing):
            assert ranking.verdict[:, row].tolist() == [s.verdict for s in both]
            assert int(ranking.metric_now[row]) == both[0].now
            assert int(ranking.metric_smooth[row]) == both[0].smooth
            assert int(ranking.metric_published[row]) == both[0].published
            told = ranking.told_figures(np.array([row]))
            assert tuple(int(f[0]) for f in told) == both[0].told
            columns = ranking.numbers(np.array([row]), np.array([1]))
            numbers = {name: one for name, (one,) in zip(NUMBERS, columns, strict=True)}
            assert numbers["verdict"] == both[1].verdict
            assert numbers["metric_ns"] == both[1].published
            assert numbers["rtt_ns"] == both[1].told[0]


def live(module: ModuleType, life: Life) -> None:
    ranks = Ranks(module)
    for what, *details in life:
        getattr(ranks, what)(*details)
        ranks.agree()


EVERY = (0, 1, 2, 3)


def unsteady(policy: int, figures: list[Row], again: str) -> Life:
    """Return evaluations of one kind, then of another, broken off once by something else."""
    turns: Life = [("evaluate", EVERY, [f] * 4, 3 * SECOND) for f in figures]
    return [("configure", policy), *turns, (again, EVERY, [figures[0]] * 4), *turns[1:], *turns]


LIFE = LIVES | st.builds(
    unsteady,
    st.integers(0, len(POLICIES) - 1),
    st.lists(FIGURES, min_size=2, max_size=3),
    st.sampled_from(["condemn", "rejudge"]),
)


@given(LIFE)
def test_a_tunnel_stands_where_its_evaluations_put_it(life: Life) -> None:
    """Verdicts, metrics and what is news are those of a record kept evaluation by evaluation."""
    live(kernel, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GAIN_SHIFT: Final = 2", "GAIN_SHIFT: Final = 3"),
        ("worse = raw > before", "worse = raw >= before"),
        ("(raw < before) & ((before < VIOLATING) | (raw != UNKNOWN))", "raw < before"),
        ("(runs >= runs_needed) | (before < VIOLATING)", "runs >= runs_needed"),
        ("(runs >= runs_needed) | (before < VIOLATING)", "runs >= 1"),
        ("np.where(better, self._better_runs[number, rows] + 1, 0)",
         "self._better_runs[number, rows] + better"),
        ("worse & (raw >= VIOLATING)", "worse"),
        ("proven & (before >= VIOLATING)", "proven"),
        ("turned[:, some] |= ", "turned[:, some] = "),
        ("(raw >= VIOLATING) & (raw > self.verdict[number, rows])", "raw >= VIOLATING"),
        ("self._better_runs[number, rows] = 0\n\n    def forget", "pass\n\n    def forget"),
        ("self.told[:, rows] = -1", "pass"),
        (" | (now == UNKNOWN_BADNESS_NS)", ""),
        ("fresh = (smooth == UNKNOWN_BADNESS_NS) | ", "fresh = "),
        ("> self._band_ns(rows, published)", ">= self._band_ns(rows, published)"),
        ("moved |= (smooth == UNKNOWN_BADNESS_NS) != (published == UNKNOWN_BADNESS_NS)", "pass"),
        ("np.maximum(policy.margin_ns, share) // 2", "np.maximum(policy.margin_ns, share)"),
        ("np.maximum(policy.margin_ns, share) // 2", "policy.margin_ns // 2"),
        ("if policy.features.hysteresis:", "if True:"),
        ("if policy.features.sla:", "if True:"),
        ("(mtu > 0) & (mtu < sla.mtu)", "mtu < sla.mtu"),
        ("(mtu > 0) & (mtu < sla.mtu)", "(mtu > 0) & (mtu <= sla.mtu)"),
        ("np.maximum(raw[at], np.int8(VIOLATING))", "np.int8(VIOLATING)"),
        ("self.told[:, rows[moved]] = np.stack(figures)[:, moved]",
         "self.told[:, rows] = np.stack(figures)"),
        ("hold_ns // self._policy.evaluation_ns, 1,", "hold_ns // self._policy.evaluation_ns, 2,"),
    ],
)  # fmt: skip
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIFE, lambda life: live(broken, life), examples=1000)


# ------------------------------------------------------------ by hand, and worse figures


def test_a_long_hold_is_counted_to_its_end() -> None:
    """A hold of more evaluations than are counted (here: five) ends after those that are."""
    few = mutant(kernel, "_RUNS_MAX: Final = 32_000", "_RUNS_MAX: Final = 5")
    ranking = few.Ranking(OVERLAY, COMMON, Configured(COMMON, 2))
    row, hold = np.array([0]), np.array([100_000 * SECOND])
    bad, good = (figures_of((0,), [(rtt, 0, 0)]) for rtt in (200 * MS, 10 * MS))
    ranking.evaluate(row, bad, hold)
    changes = [bool(ranking.evaluate(row, good, hold).changed[0]) for _ in range(7)]
    assert changes == [False] * 4 + [True] + [False] * 2


def test_the_smoothed_metric_by_hand() -> None:
    """From 100 ms to 20 ms it goes by quarters: 80, 65, 53.75 … and is published in steps."""
    ranking = Ranking(OVERLAY, COMMON, Configured(COMMON, 2))
    row, hold = np.array([0]), np.array([0])
    seen = []
    for rtt_ms in (100, 20, 20, 20):
        ranking.evaluate(row, figures_of((0,), [(rtt_ms * MS, 0, 0)]), hold)
        seen.append(int(ranking.metric_smooth[0]))
    assert seen == [100 * MS, 80 * MS, 65 * MS, 53_750_000]
    assert int(ranking.metric_published[0]) == 53_750_000


WORSE = st.tuples(*[st.sampled_from([0, 1, MS, 10_001])] * 3)


@given(st.lists(FOUR, min_size=1, max_size=6), st.integers(0, 5), WORSE, HOLDS)
def test_worse_figures_never_make_a_better_standing(
    history: list[list[Row]], when: int, worse: Row, hold: int
) -> None:
    """A tunnel measured worse at one evaluation has no better verdict or metric then or later."""
    ranking = Ranking(OVERLAY, COMMON, Configured(COMMON, 2))
    rows = np.array([0, 1])
    for turn, four in enumerate(history):
        known = tuple(max(f, 0) for f in four[0])
        harmed = tuple(f + m * (turn == when) for f, m in zip(known, worse, strict=True))
        pair = [(known[0], known[1], known[2]), (harmed[0], harmed[1], harmed[2])]
        ranking.evaluate(rows, figures_of((0, 1), pair), np.array([hold] * 2))
        assert (ranking.verdict[:, 1] >= ranking.verdict[:, 0]).all()
        assert ranking.metric_smooth[1] >= ranking.metric_smooth[0]


@given(FOUR)
def test_two_tunnels_in_a_row_are_never_better_than_one(four: list[Row]) -> None:
    """Delays add, losses combine, and what is unknown of either is unknown of both."""
    first, second = figures_of((0, 1), four), figures_of((2, 3), four)
    whole = join_figures(first, second)
    for one, other, both in zip(first, second, whole, strict=True):
        for a, b, sum_of in zip(one.tolist(), other.tolist(), both.tolist(), strict=True):
            assert sum_of == -1 if min(a, b) < 0 else sum_of >= max(a, b)
    kept = [
        (PPM - a) * (PPM - b) for a, b in zip(*(f.loss_ppm for f in (first, second)), strict=True)
    ]
    for loss, share, a, b in zip(
        whole.loss_ppm, kept, first.loss_ppm, second.loss_ppm, strict=True
    ):
        assert min(a, b) < 0 or 0 <= int(loss) - (PPM - int(share) / PPM) <= 1


def test_terms_say_what_a_policy_asks() -> None:
    """Limits that are not asked for are -1; without SLAs or brownouts, or with an MTU: no terms."""
    sla = SlaClass(latency_ns=150 * MS, mos_milli=4_000)
    policy = Policy(classes=(TrafficClass("voice", sla=sla), TrafficClass("bulk")), liveness={})
    found = terms(policy)
    assert found is not None
    assert found.limits[:, :4].tolist() == [[150 * MS, -1, -1, 4_000], [-1, -1, -1, -1]]
    assert (found.margin_ns, found.margin_ppm) == (policy.margin_ns, policy.margin_ppm)
    free = terms(replace(policy, features=Features(hysteresis=False)))
    assert free is not None
    assert (free.margin_ns, free.margin_ppm) == (-1, -1)
    assert terms(replace(policy, features=Features(sla=False))) is None
    assert terms(replace(policy, features=Features(brownout=False))) is None
    asks = replace(policy, classes=(TrafficClass("large", sla=SlaClass(mtu=1400)),))
    assert terms(asks) is None
