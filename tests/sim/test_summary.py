"""The measured part of a run's summary."""

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from patronus.engine.units import MS, NEVER
from patronus.sim.run import Run
from patronus.sim.summary import DURATIONS, spread_ms, summarise
from tests.sim.synthetic import make_run


def summary(run: Run) -> dict[str, Any]:
    """Return the summary of a run's frames."""
    return summarise(failovers=run.failovers, detections=run.detections, series=run.series)


def test_percentiles_in_milliseconds() -> None:
    """Nearest-rank percentiles over a hundred exposures of 1 to 100 ms."""
    figures = spread_ms(pd.Series([i * MS for i in range(100, 0, -1)]))
    assert figures == {"n": 100, "p50": 50, "p95": 95, "p99": 99, "max": 100, "never": 0}


def test_never_is_null_and_counted() -> None:
    """A percentile that was never reached is null; those below it stay."""
    figures = spread_ms(pd.Series([1 * MS] * 95 + [NEVER] * 5))
    assert figures == {"n": 100, "p50": 1, "p95": 1, "p99": None, "max": None, "never": 5}


def test_nothing_measured_is_no_zero() -> None:
    """Without values, or with unknown ones alone, every figure is null and n is 0."""
    nothing = {"n": 0, "p50": None, "p95": None, "p99": None, "max": None, "never": 0}
    assert spread_ms(make_run(failovers=[]).failovers["outage_ns"]) == nothing
    assert spread_ms(pd.Series([-1, -1])) == nothing


def test_the_whole_summary() -> None:
    """Every duration has its spread, every class its packets and outage, alarms are counted."""
    run = make_run(
        failovers=[{"outage_ns": 300 * MS}, {"class": "bulk", "outage_ns": NEVER}],
        detections=[{}, {"fault": "", "detection_ns": -1}],
        series=[{"lost": 3}, {"lost": 1, "duplicated": 2}, {"class": "video"}],
    )
    figures = summary(run)
    assert {f"{d}_ms" for d in DURATIONS} < set(figures)
    assert figures["outage_ms"] == {
        "n": 2, "p50": 300, "p95": None, "p99": None, "max": None, "never": 1,
    }  # fmt: skip
    assert figures["false_alarms"] == 1
    classes = figures["classes"]
    assert isinstance(classes, dict)
    assert list(classes) == ["bulk", "video", "voice"]
    packets = {name: classes["voice"][name] for name in ("offered", "lost", "duplicated")}
    assert packets == {"offered": 200, "lost": 4, "duplicated": 2}
    assert classes["bulk"]["outage_ms"]["never"] == 1
    assert classes["video"]["outage_ms"]["n"] == 0


def test_what_traffic_was_on_is_told_apart() -> None:
    """Exposures of pairs that sent nothing count among all, not among those of traffic."""
    run = make_run(
        failovers=[
            {"switch_ns": 300 * MS},
            {"switch_ns": NEVER, "destination": "nowhere"},
            {"switch_ns": NEVER, "class": "video"},
        ],
        series=[{}, {"class": "video", "offered": 0}],
    )
    figures = summary(run)
    assert figures["switch_ms"]["never"] == 2
    assert figures["carried"]["exposures"] == 1
    assert figures["carried"]["switch_ms"]["max"] == 300
    without = summary(replace(run, series=run.series[:0]))
    assert without["carried"]["exposures"] == 3


@pytest.mark.parametrize("empty", [True, False])
def test_summaries_are_plain_json(empty: bool) -> None:
    """Nothing of NumPy or infinity is left in it, also for a run without any rows."""
    run = make_run(failovers=[], detections=[], series=[]) if empty else make_run()
    figures = summary(run)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
