"""Verdicts: what passes, what fails, and what stays open."""

import json
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from patronus.engine.units import MS, NEVER
from patronus.sim.expectation import parse
from patronus.sim.judgement import (
    EXIT_CODES,
    Judgement,
    Observation,
    Sequential,
    Verdict,
    judge,
    overall,
    show,
    watch,
)
from patronus.sim.metrics import Dimension, Sample
from patronus.sim.run import Run
from tests.sim.synthetic import make_run

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED


def exposed(seed: int, *failovers_ms: int) -> Run:
    """Return a run with exposures of these failover times; -1 stands for never."""
    rows = [{"failover_ns": NEVER if ms < 0 else ms * MS} for ms in failovers_ms]
    return make_run(seed, failovers=rows)


def seen(seed: int, *values: float) -> Observation:
    """Return what one expectation sees of a run, without the run."""
    return Observation(seed, (Sample(seed, np.array(values, dtype=float), np.ones(len(values))),))


def verdict(text: str, runs: Iterable[Run | Observation]) -> Verdict:
    """Judge one line."""
    return judge([parse(text)], runs)[0].verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("failover.p50 < 200ms", PASS),
        ("failover.p50 <= 100ms", PASS),
        ("failover.p50 < 100ms", FAIL),
        ("failover.p51 < 200ms", FAIL),
        ("failover.max < 1h", FAIL),
        ("failover.count == 4", PASS),
        ("failover.count == 5", FAIL),
        ("failover.p99 < 1s for site=nowhere", OPEN),
        ("failover.count == 0 for site=nowhere", PASS),
        ("class.video.loss < 1%", OPEN),
    ],
)
def test_a_statement_about_one_run(text: str, expected: Verdict) -> None:
    """Nearest-rank percentiles over every exposure; undecided only with nothing measured."""
    assert verdict(text, [exposed(1, 100, 50, -1, 200)]) is expected


def test_exposures_of_all_runs_count_together() -> None:
    """Without confidence, several runs are one heap of exposures."""
    runs = [exposed(1, 100, 100, 100), exposed(2, 900), make_run(3, failovers=[])]
    judgement = judge([parse("failover.p75 < 200ms")], runs)[0]
    assert (judgement.verdict, judgement.measured, judgement.count) == (PASS, 100 * MS, 4)
    assert (judgement.seeds, judgement.silent) == ((1, 2), 1)
    assert judgement.note == "4 values of 2 seeds; nothing was measured in 1 more"
    assert verdict("failover.p76 < 200ms", runs) is FAIL


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("flaps <= 2", FAIL, 3),
        ("flaps <= 3", PASS, 3),
        ("flaps >= 1", FAIL, 0),
        ("flaps > 0", FAIL, 0),
        ("flaps == 0", FAIL, 3),
        ("flaps != 7", PASS, 3),
        ("flaps != 3", FAIL, 3),
        ("flaps != 2", PASS, 3),
    ],
)
def test_counts_are_limits_for_each_run(text: str, expected: Verdict, shown: float) -> None:
    """Two runs with flaps of 0 and 3: each must meet the limit, and the telling one is shown."""
    runs = [make_run(i, summary={"checks": {"flaps": n}}) for i, n in enumerate((0, 3))]
    judgement = judge([parse(text)], runs)[0]
    assert (judgement.verdict, judgement.measured) == (expected, shown)
    assert judgement.note == "each of 2 seeds"


def test_never_is_listed() -> None:
    """Exposures that never recovered are counted and named with their seed, and shown as never."""
    judgement = judge([parse("failover.max < 1s")], [exposed(1, 10), exposed(7, -1, 20, -1)])[0]
    assert (judgement.verdict, judgement.measured) == (FAIL, math.inf)
    assert judgement.measured_text == "never"
    assert judgement.never_names == ("seed 7: cut#0 berlin>rome voice",) * 2
    assert "2 never reached, first seed 7: cut#0 berlin>rome voice" in judgement.note


def test_what_is_missing_is_said() -> None:
    """Values that were not measured are mentioned, and alone they decide nothing."""
    run = make_run(failovers=[{"degraded_ns": -1}, {"degraded_ns": 5 * MS}])
    judgement = judge([parse("degraded.max < 1s")], [run])[0]
    assert judgement.verdict is PASS
    assert judgement.note == "1 seed; 1 not measured and left out"
    unchecked = judge([parse("loops == 0")], [make_run(summary={"checks": {}})])[0]
    assert (unchecked.verdict, unchecked.measured_text) == (OPEN, "not measured")
    assert unchecked.note == "nothing was measured; 1 not measured and left out"


def test_a_seed_counts_once() -> None:
    """The same seed twice is not two pieces of evidence."""
    with pytest.raises(ValueError, match="seed 4 occurs twice"):
        judge([parse("flaps == 0")], [make_run(4), make_run(5), make_run(4)])


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("failover.p99 < 300ms @ 95%", 299),
        ("failover.p95 < 300ms @ 95%", 59),
        ("failover.p1 > 10ms @ 95%", 299),
        ("failover.max < 300ms @ 95%", 59),
        ("failover.p100 < 300ms @ 95%", 59),
        ("failover.p0 > 10ms @ 95%", 59),
        ("failover.mean < 300ms @ 99%", 459),
        ("failover.max == 50ms @ 95%", 59),
        ("failover.max != 60ms @ 95%", 59),
    ],
)
@pytest.mark.parametrize("exposures", [1, 3])
def test_as_many_seeds_as_it_takes(text: str, seeds: int, exposures: int) -> None:
    """With no exceedance one seed fewer is undecided and names the number that passes."""
    values = [50.0 * MS] * exposures
    runs = [seen(i, *values) for i in range(seeds)]
    judgement = judge([parse(text)], runs[:-1])[0]
    assert (judgement.verdict, judgement.needed) == (OPEN, seeds)
    assert f"{seeds} seeds are needed if no further one exceeds the limit" in judgement.note
    assert verdict(text, runs) is PASS


def test_one_exceedance_asks_for_more_seeds() -> None:
    """The seeds still needed grow with what has exceeded: 93 for p95 after one, as tables say."""
    runs = [seen(i, 50.0 * MS) for i in range(58)] + [seen(58, 400.0 * MS)]
    judgement = judge([parse("failover.p95 < 300ms @ 95%")], runs)[0]
    assert (judgement.verdict, judgement.needed) == (OPEN, 93)
    runs += [seen(i, 50.0 * MS) for i in range(59, 93)]
    assert verdict("failover.p95 < 300ms @ 95%", runs) is PASS


def test_no_number_is_named_beyond_a_million() -> None:
    """Where more than a million seeds were needed, the note says just that."""
    judgement = judge([parse("failover.max < 1s @ 99.9999%")], [exposed(1, 10), exposed(2, 10)])[0]
    assert (judgement.verdict, judgement.needed) == (OPEN, None)
    assert "more than a million seeds are needed" in judgement.note


@pytest.mark.parametrize("text", ["failover.p99 < 300ms @ 95%", "failover.max < 300ms @ 95%"])
def test_what_fails_often_fails_soon(text: str) -> None:
    """A handful of seeds proves that a limit is missed much too often; one seed does not."""
    runs = [seen(i, 400.0 * MS, math.inf) for i in range(3)]
    assert verdict(text, runs) is FAIL
    assert verdict("failover.p50 < 300ms @ 95%", runs[:1]) is OPEN


def test_the_bounds_decide() -> None:
    """Pass and fail follow from the printed bounds, strictly or not as the relation says."""
    runs = [seen(i, float(i % 10) * MS) for i in range(200)]
    judgement = judge([parse("failover.p50 < 1s @ 95%")], runs)[0]
    assert judgement.bounds == (4 * MS, 5 * MS)
    assert judgement.bounds_text == ("4 ms", "5 ms")
    for text, expected in {
        "failover.p50 < 5ms @ 95%": OPEN,
        "failover.p50 <= 5ms @ 95%": PASS,
        "failover.p50 <= 4ms @ 95%": OPEN,
        "failover.p50 < 4ms @ 95%": FAIL,
        "failover.p50 <= 3ms @ 95%": FAIL,
        "failover.p50 > 4ms @ 95%": OPEN,
        "failover.p50 >= 4ms @ 95%": PASS,
        "failover.p50 > 3ms @ 95%": PASS,
        "failover.p50 >= 6ms @ 95%": FAIL,
        "failover.p50 > 5ms @ 95%": FAIL,
    }.items():
        assert verdict(text, runs) is expected, text


def test_a_thousand_tunnels_of_one_cut_are_one_event() -> None:
    """A thousand exposures in each of ten seeds prove no more than ten seeds do."""
    generator = np.random.default_rng(5)
    runs = [seen(i, *(generator.random(1000) * MS)) for i in range(10)]
    judgement = judge([parse("failover.p99 < 300ms @ 95%")], runs)[0]
    assert (judgement.verdict, judgement.needed) == (OPEN, 299)
    assert judgement.bounds_text[1] == "unknown"


def test_violations_where_no_side_is_better() -> None:
    """`==` with confidence asks how many seeds violate it: few enough, too many, or open."""

    def runs(bad: int, of: int) -> Sequence[Observation]:
        return [seen(i, float(i < bad)) for i in range(of)]

    assert verdict("loops == 0 @ 90%", runs(0, 22)) is PASS
    assert verdict("loops == 0 @ 90%", runs(0, 21)) is OPEN
    assert verdict("loops == 0 @ 90%", runs(1, 22)) is OPEN
    assert verdict("loops == 0 @ 90%", runs(8, 22)) is FAIL
    judgement = judge([parse("loops == 0 @ 90%")], runs(1, 22))[0]
    assert (judgement.measured, judgement.bounds) == (1, None)


def test_false_verdicts_are_rare() -> None:
    """With a tenth of exposures at the limit, p90 stands on it: at most 5 % pass, 5 % fail."""
    generator = np.random.default_rng(6)
    found = {PASS: 0, FAIL: 0, OPEN: 0}
    for _ in range(300):
        # A bad seed exceeds with a part of its exposures only.
        bad = generator.random(60) < 0.2
        runs = [seen(i, 50.0 * MS, (200.0 if b else 60.0) * MS) for i, b in enumerate(bad)]
        found[verdict("failover.p90 < 100ms @ 95%", runs)] += 1
    assert found[PASS] <= 0.05 * 300 + 12
    assert found[FAIL] <= 0.05 * 300 + 12
    assert found[OPEN] > 200


def drive(sequential: Sequential, source: Sequence[Observation]) -> list[Judgement]:
    """Run as the command line does: until no more seeds are wanted."""
    judgements: list[Judgement] = []
    while wanted := sequential.wanted:
        judgements = sequential.judge(source[:wanted])
    return judgements


def test_a_growing_experiment_stops_when_all_is_decided() -> None:
    """Clear cases stop early: failure at the first look, success at the first that suffices."""
    text = [parse("failover.p95 < 300ms @ 95%")]
    bad = drive(Sequential(text, 400), [seen(i, math.inf) for i in range(400)])
    assert (bad[0].verdict, len(bad[0].seeds)) == (FAIL, 12)
    good = drive(Sequential(text, 400), [seen(i, 50.0 * MS) for i in range(400)])
    assert (good[0].verdict, len(good[0].seeds)) == (PASS, 100)


def test_a_growing_experiment_pays_for_its_looks() -> None:
    """A fixed experiment passes p95 with 59 seeds, a growing one with at most 59 does not."""
    text = [parse("failover.p95 < 300ms @ 95%")]
    source = [seen(i, 50.0 * MS) for i in range(72)]
    short = drive(Sequential(text, 59), source)[0]
    assert (short.verdict, short.needed) == (OPEN, 72)
    assert drive(Sequential(text, 72), source)[0].verdict is PASS


def test_what_a_look_decided_stays_decided() -> None:
    """Later seeds neither overturn a verdict nor change the figures that it rests on."""
    texts = [parse("failover.p50 < 300ms @ 95%"), parse("failover.p99 < 300ms @ 95%")]

    def both(i: int, value: float) -> Observation:
        return Observation(i, seen(i, value).samples * 2)

    source = [both(i, 50.0 * MS if i < 40 else math.inf) for i in range(80)]
    sequential = Sequential(texts, 80)
    first, second = drive(sequential, source)
    assert (first.verdict, len(first.seeds)) == (PASS, 10)
    assert (second.verdict, len(second.seeds)) == (FAIL, 80)
    assert sequential.wanted == 0


def test_statements_about_the_runs_ask_for_no_more() -> None:
    """Without `@` the first look is the last, and later looks judge all runs afresh."""
    plain = [parse("failover.max < 300ms")]
    assert len(drive(Sequential(plain, 400), [seen(i, 1.0) for i in range(400)])[0].seeds) == 12
    mixed = [*plain, parse("failover.p95 < 300ms @ 95%")]
    source = [Observation(i, seen(i, 1.0 if i < 50 else math.inf).samples * 2) for i in range(100)]
    first, _ = drive(Sequential(mixed, 100), source)
    assert (first.verdict, len(first.seeds)) == (FAIL, 100)


def test_looks_are_not_chosen_by_hand() -> None:
    """A look at another number of seeds than announced is refused, and so is one too many."""
    sequential = Sequential([parse("flaps == 0 @ 95%")], 5)
    with pytest.raises(ValueError, match="next look is at 5 seeds, not at 4"):
        sequential.judge([seen(i, 0.0) for i in range(4)])
    sequential.judge([seen(i, 0.0) for i in range(5)])
    with pytest.raises(ValueError, match="next look is at 0 seeds"):
        sequential.judge([])


def test_the_worst_verdict_is_the_overall_one() -> None:
    """One failure fails, else one doubt is a doubt; no expectations pass. Exit codes follow."""
    runs = [exposed(1, 100)]
    lines = {"failover.max < 1s": 0, "failover.p95 < 1s @ 95%": 3, "failover.max < 1ms": 1}
    judgements: list[Judgement] = []
    assert overall(judgements) is PASS
    for text, code in lines.items():
        judgements += judge([parse(text)], runs)
        assert EXIT_CODES[overall(judgements)] == code


def test_runs_and_their_observations_judge_alike() -> None:
    """What a worker sends instead of a run leads to the same judgements."""
    texts = [parse(t) for t in ("failover.p99 < 1s", "class.voice.loss < 2% @ 90%", "flaps == 0")]
    runs = [exposed(i, 100, 200 + i) for i in range(30)]
    assert judge(texts, runs) == judge(texts, [watch(texts, run) for run in runs])


@pytest.mark.parametrize(
    "text", ["failover.max < 1s", "failover.p90 < 1s @ 90%", "loops == 0 @ 80%"]
)
def test_records_are_plain_json(text: str) -> None:
    """The record of a judgement has no infinities, and its texts say what the numbers cannot."""
    record = judge([parse(text)], [exposed(1, 100, -1), exposed(2, 100)])[0].record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["text"] == text
    assert record["seeds"] == [1, 2]
    never = judge([parse("failover.max < 1s")], [exposed(1, 100, -1)])[0].record()
    assert (never["measured"], never["measured_text"], never["never"]) == (None, "never", 1)


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (None, Dimension.COUNT, "not measured"),
        (math.inf, Dimension.DURATION, "never"),
        (math.inf, Dimension.SHARE, "unbounded"),
        (0.0, Dimension.DURATION, "0 ms"),
        (310.25 * MS, Dimension.DURATION, "310.2 ms"),
        (1250.0 * MS, Dimension.DURATION, "1.25 s"),
        (0.00123, Dimension.SHARE, "0.123 %"),
        (4.1234, Dimension.SCORE, "4.123"),
        (12.0, Dimension.COUNT, "12"),
    ],
)
def test_figures_have_units(value: float | None, dimension: Dimension, text: str) -> None:
    """A figure is printed with its unit, a missing one as missing."""
    assert show(value, dimension) == text
