"""What each metric reads off a run, and how rows become one number."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.units import MS, NEVER
from patronus.sim.expectation import ExpectationError, parse
from patronus.sim.metrics import CATALOGUE, Sample, aggregate, matches, observe, per_run
from patronus.sim.run import Run
from tests.oracles import seeds as oracle
from tests.rules.tree import ROOT
from tests.sim.synthetic import make_run


def measure(text: str, *runs: Run) -> float | None:
    """Return the left side of an expectation."""
    for limit in ("0ms", "0%", "0"):  # whichever unit it takes
        with suppress(ExpectationError):
            query = parse(f"{text} >= {limit}").query
            return aggregate(query, [observe(query, run) for run in runs])
    raise AssertionError(text)


def exposed(column: str, values: Sequence[int], **more: Any) -> Run:
    """Return a run with one exposure for each value."""
    return make_run(failovers=[{column: v, **more} for v in values])


@pytest.mark.parametrize("name", ["detection", "switch", "failover", "outage", "degraded"])
def test_durations_are_those_of_the_exposures(name: str) -> None:
    """Each duration metric reads its own column, one row an exposure."""
    run = exposed(f"{name}_ns", [30 * MS, 10 * MS, 20 * MS, 40 * MS])
    assert measure(f"{name}.p50", run) == 20 * MS
    assert measure(f"{name}.max", run) == 40 * MS
    assert measure(f"{name}.min", run) == 10 * MS
    assert measure(f"{name}.mean", run) == 25 * MS
    assert measure(f"{name}.count", run) == 4
    assert measure(f"class.voice.{name}.p100", run) == 40 * MS
    assert measure(f"class.bulk.{name}.p100", run) is None


def test_what_never_came_is_infinite_and_named() -> None:
    """An exposure that never failed over counts as infinite in every aggregate, by name."""
    run = exposed("failover_ns", [10 * MS] * 98 + [NEVER] * 2)
    query = parse("failover.p98 < 1s").query
    sample = observe(query, run)
    assert (sample.never, sample.missing) == (2, 0)
    assert sample.never_names == ("cut#0 berlin>rome voice",) * 2
    assert measure("failover.p98", run) == 10 * MS
    assert measure("failover.p99", run) == math.inf
    assert measure("failover.mean", run) == math.inf


def test_examples_of_never_are_bounded() -> None:
    """A run that never recovers names some of its exposures and counts all."""
    sample = observe(parse("failover.max < 1s").query, exposed("failover_ns", [NEVER] * 500))
    assert sample.never == 500
    assert len(sample.never_names) == 20


def test_what_was_not_measured_is_counted_and_left_out() -> None:
    """A negative duration means unknown: no value, neither good nor bad."""
    run = exposed("degraded_ns", [-1, 5 * MS, -1])
    sample = observe(parse("degraded.max < 1s").query, run)
    assert (len(sample.values), sample.missing) == (1, 2)
    assert measure("degraded.max", run) == 5 * MS
    assert measure("degraded.max", exposed("degraded_ns", [-1])) is None


SECONDS: list[Mapping[str, Any]] = [
    {"destination": "oslo", "offered": 100, "lost": 10, "mos_milli": 3000, "in_sla": 0},
    {"destination": "oslo", "offered": 300, "lost": 0, "mos_milli": 4000, "in_sla": 1},
    {"destination": "rome", "offered": 100, "lost": 5, "mos_milli": 2000, "in_sla": 1},
    {"destination": "rome", "offered": 0, "lost": 0, "mos_milli": -1, "in_sla": -1},
    {"destination": "rome", "class": "bulk", "offered": 500, "lost": 500, "mos_milli": 1000},
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("class.voice.loss", 15 / 500),
        ("class.voice.loss.worst_pair", 5 / 100),
        ("class.voice.loss.max", 0.1),
        ("class.voice.loss.mean", (0.1 + 0 + 0.05) / 3),
        ("class.bulk.loss", 1),
        ("class.video.loss", None),
        ("class.voice.mos", (300 + 4 * 300 + 200) / 500),
        ("class.voice.mos.worst_pair", 2.0),
        ("class.voice.mos.p05", 2.0),
        ("class.voice.mos.p50", 3.0),
        ("class.voice.mos.mean", 3.0),
        ("class.voice.in_sla", 2 / 3),
        ("class.voice.in_sla.worst_pair", 1 / 2),
    ],
)
def test_ratios_are_of_sums(text: str, value: float | None) -> None:
    """Plain ratios add up before they divide; other aggregates must be asked for by name."""
    measured = measure(text, make_run(series=SECONDS))
    assert measured == (None if value is None else pytest.approx(value, rel=1e-15))


def test_ratios_over_runs_are_of_sums_too() -> None:
    """A run with little traffic does not weigh as much as one with much."""
    one = make_run(1, series=[{"offered": 10, "lost": 10}])
    two = make_run(2, series=[{"offered": 990, "lost": 0}])
    assert measure("class.voice.loss", one, two) == 0.01
    silent = make_run(3, series=[])
    assert measure("class.voice.loss", one, two, silent) == 0.01
    assert measure("class.voice.loss", silent) is None


def test_a_second_without_arrivals_has_no_finite_delay() -> None:
    """Nothing arrived: infinite delay. Nothing was offered: no delay at all."""
    dead = {"offered": 100, "delivered": 0, "delay_ns": -1, "jitter_ns": -1, "t_ns": 7 * 10**9}
    idle = {"offered": 0, "delivered": 0, "delay_ns": -1, "jitter_ns": -1}
    run = make_run(series=[{"delay_ns": 20 * MS, "jitter_ns": 2 * MS}] * 3 + [dead, idle])
    sample = observe(parse("class.voice.delay.p99 < 1s").query, run)
    assert (len(sample.values), sample.never, sample.missing) == (4, 1, 0)
    assert sample.never_names == ("7 s berlin>rome voice",)
    assert measure("class.voice.delay.p75", run) == 20 * MS
    assert measure("class.voice.delay.p76", run) == math.inf
    assert measure("class.voice.jitter.p75", run) == 2 * MS


def test_an_unknown_jitter_of_a_live_second_is_missing() -> None:
    """A second in which packets arrived but jitter is unknown is left out and counted."""
    run = make_run(series=[{"jitter_ns": -1}, {"jitter_ns": 3 * MS}])
    sample = observe(parse("class.voice.jitter.max < 1s").query, run)
    assert (list(sample.values), sample.missing) == ([3 * MS], 1)


def test_counts_come_from_the_checkers_and_the_frames() -> None:
    """Checks are read from the summary, the other counts from the frames."""
    checks = {"loops": 1, "black_holes": 2, "flaps": 3, "sla_misses": 4}
    run = make_run(
        summary={"checks": checks},
        detections=[{}, {"fault": "", "detection_ns": -1}],
        decisions=[{}, {}, {}],
        series=[{"duplicated": 5}, {"duplicated": 6}],
    )
    for name, number in {**checks, "false_alarms": 1, "decisions": 3, "duplicates": 11}.items():
        assert measure(name, run) == number


def test_a_check_that_did_not_run_is_not_zero() -> None:
    """Without the checker's count there is no count, and it is said to be missing."""
    run = make_run(summary={"checks": {"flaps": 0}})
    assert measure("loops", run) is None
    assert observe(parse("loops == 0").query, run).missing == 1
    assert measure("loops", make_run(summary={"checks": {}})) is None


@pytest.mark.parametrize(
    ("condition", "number"),
    [
        ("site=spoke*", 2),
        ("site=hub", 1),
        ("site=spoke1,hub", 2),
        ("destination=oslo", 1),
        ("class=bulk", 1),
        ("fault=cut", 2),
        ("fault=cut#1", 1),
        ("fault=storm*", 1),
        ("kind=loss", 1),
        ("site=spoke* class=bulk", 1),
        ("site=hub class=bulk", 0),
        ('site="[odd]"', 1),
        ("site=nowhere", 0),
    ],
)
def test_selections(condition: str, number: int) -> None:
    """Patterns of one key are alternatives, keys add up, a fault means its occurrences."""
    run = make_run(
        failovers=[
            {"site": "spoke1", "fault": "cut#0", "class": "bulk"},
            {"site": "spoke2", "fault": "cut#1", "destination": "oslo"},
            {"site": "hub", "fault": "storm#0", "kind": "loss"},
            {"site": "[odd]", "fault": "x"},
        ]
    )
    query = parse(f"failover.count >= 0 for {condition}").query
    assert aggregate(query, [observe(query, run)]) == number


def test_counts_can_be_narrowed_where_rows_have_names() -> None:
    """Decisions, duplicates and false alarms take selections of their own."""
    run = make_run(
        decisions=[{"site": "a"}, {"site": "b", "reason": "sla"}],
        detections=[{"fault": "", "transport": "lte"}, {"fault": "", "peer": "oslo"}],
        series=[{"class": "bulk", "duplicated": 1}, {"duplicated": 2}],
    )
    for text, number in {
        "decisions >= 0 for site=a": 1,
        "decisions >= 0 for reason=sla": 1,
        "false_alarms >= 0 for transport=lte": 1,
        "false_alarms >= 0 for peer=oslo": 1,
        "duplicates >= 0 for class=bulk": 1,
    }.items():
        query = parse(text).query
        assert aggregate(query, [observe(query, run)]) == number, text


def test_a_name_that_looks_like_a_pattern_matches_itself() -> None:
    """Brackets in a name are a name first, a set of characters second."""
    assert matches("site", "[odd]", ("[odd]",))
    assert matches("site", "o", ("[odd]",))
    assert not matches("site", "cut", ("cut#0",))
    assert matches("fault", "cut#12", ("c?t",))
    assert not matches("site", "cut#12", ("c?t",))


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_metric_survives_an_empty_run(name: str) -> None:
    """With empty frames every metric is either a count or not measured, never an error."""
    empty = make_run(failovers=[], detections=[], series=[], decisions=[], summary={"checks": {}})
    metric = CATALOGUE[name]
    text = f"class.voice.{name}" if metric.scoped == (True,) else name
    options = [text] if metric.plain else []
    options += [f"{text}.{'p99' if a == 'p' else a}" for a in metric.aggregates if a != "count"]
    frames = ("decisions", "duplicates", "false_alarms")
    for option in options:
        assert measure(option, empty) == (0 if name in frames else None)


def test_what_stands_for_each_run() -> None:
    """Counts are not added up over repetitions, everything else is taken together."""
    for text, each in {
        "loops == 0": True,
        "failover.count > 3": True,
        "outage.max < 1s": False,
    }.items():
        assert per_run(parse(text).query) is each


durations = st.integers(0, 10**10) | st.just(NEVER) | st.just(-1)


@settings(max_examples=40)
@given(st.lists(st.lists(durations, max_size=6), min_size=1, max_size=3), st.integers(0, 100))
def test_percentiles_over_runs_are_those_of_all_exposures(
    runs: list[list[int]], percent: int
) -> None:
    """The percentile over several runs is the plain one over all exposures that were measured."""
    query = parse(f"failover.p{percent} < 1s").query
    samples = [observe(query, exposed("failover_ns", values)) for values in runs]
    pooled = [math.inf if v == NEVER else v for values in runs for v in values if v >= 0]
    expected = oracle.percentile(pooled, percent * 10_000) if pooled else None
    assert aggregate(query, samples) == expected


def test_nothing_at_all_is_not_measured() -> None:
    """No samples give no number."""
    assert aggregate(parse("failover.max < 1s").query, []) is None
    assert aggregate(parse("flaps < 1").query, [Sample(1, np.empty(0), np.empty(0))]) is None


def test_every_metric_is_documented() -> None:
    """The documentation defines each metric of the catalogue and names each key of `for`."""
    text = (ROOT / "docs/metrics.md").read_text() + (ROOT / "docs/expectations.md").read_text()
    for metric in CATALOGUE.values():
        assert f"| `{metric.name}` |" in text
        assert all(key in text for key in metric.keys)
