"""The table of a run as it is printed, and the plain tables beneath it."""

from typing import Any

import click
import pytest

from patronus.control.outcome import conclusion, duration, outcome
from patronus.control.tables import counted, first_sentence, indented, stamp, table
from patronus.sim.expectation import parse
from patronus.sim.judgement import judge
from patronus.sim.summary import summarise
from tests.sim.synthetic import make_run

PRINTED = """\
synthetic: seed 1, 3 sites, 12 tunnels, 0.5 s for 30 s simulated
  warning: late

  PASS  switch.max < 1s     measured 300 ms  4 values of 1 seed
  FAIL  failover.max < 1ms  measured 340 ms  4 values of 1 seed

             n     p50     p95     p99     max
  detection  4  300 ms  300 ms  300 ms  300 ms
  switch     4  300 ms  300 ms  300 ms  300 ms
  failover   4  320 ms  340 ms  340 ms  340 ms
  outage     4  300 ms  300 ms  300 ms  300 ms
  degraded   4  320 ms  320 ms  320 ms  320 ms

  class  offered  lost  loss  longest outage
  bulk     6,000    60   1 %          300 ms
  voice    6,000    60   1 %          300 ms

  checks            0 loops, 0 black holes, 0 flaps, 0 SLA violations, 0 false alarms
  decisions         8
  decisions_sha256  aa
  journal_sha256    bb"""


def summary(**changed: Any) -> dict[str, Any]:
    """Return the summary of the story of ``make_run``, with figures and two expectations."""
    run = make_run()
    figures = summarise(failovers=run.failovers, detections=run.detections, series=run.series)
    prints = {"decisions_sha256": "aa", "journal_sha256": "bb"}
    lines = [parse("switch.max < 1s"), parse("failover.max < 1ms")]
    entries = [j.record() for j in judge(lines, [run])]
    return {
        **run.summary,
        **figures,
        **prints,
        "verdict": "fail",
        "expectations": entries,
        **changed,
    }


def test_the_table_of_a_run() -> None:
    """Verdicts, percentiles, loss by class, checks and fingerprints, as they are printed."""
    judgements = judge([parse("switch.max < 1s"), parse("failover.max < 1ms")], [make_run()])
    lines = outcome(summary(warnings=["late"]), judgements)
    assert click.unstyle("\n".join(lines)) == PRINTED


def test_what_was_never_reached_or_not_measured() -> None:
    """A percentile that was never reached is ``never``; of nothing there is a dash."""
    never = {"n": 4, "p50": 1500.0, "p95": None, "p99": None, "max": None, "never": 1}
    nothing = {"n": 0, "p50": None, "p95": None, "p99": None, "max": None, "never": 0}
    whole = summary()
    whole["carried"] |= {"switch_ms": never, "outage_ms": nothing}
    lines = outcome(whole, ())
    assert "  switch     4   1.5 s   never   never   never" in lines
    assert "  outage     0       -       -       -       -" in lines


def test_exposures_without_traffic_are_counted_apart() -> None:
    """Durations are those of traffic; how many other exposures there are stands beneath them."""
    whole = summary()
    whole["counts"] |= {"exposures": 10}
    lines = outcome(whole, ())
    assert lines.index("  (6 more exposures carried no traffic)") > lines.index(
        next(line for line in lines if line.startswith("  degraded"))
    )


def test_several_seeds() -> None:
    """Over several seeds the seeds are told, and no fingerprint."""
    whole = summary(seeds=[3, 4, 5])
    del whole["decisions_sha256"], whole["journal_sha256"]
    lines = outcome(whole, ())
    assert lines[0].startswith("synthetic: seeds 3 to 5, 3 sites")
    assert not any("sha256" in line for line in lines)
    assert outcome({**whole, "seeds": [3]}, ())[0].startswith("synthetic: seed 3, ")


def test_classes_without_traffic_are_left_out() -> None:
    """Where nothing was offered there is no table of classes."""
    classes = {"voice": {"offered": 0, "lost": 0, "outage_ms": {"n": 0}}}
    assert not any("offered" in line for line in outcome(summary(classes=classes), ()))


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "FAIL: 1 of 2 expectations is not met"),
        ({"verdict": "pass"}, "PASS: every expectation is met"),
        (
            {"verdict": "pass", "expectations": [{"verdict": "pass"}]},
            "PASS: the expectation is met",
        ),
        ({"verdict": "none", "expectations": []}, "NONE: no expectations, so nothing was judged"),
        ({"verdict": "invalid"}, "INVALID: interrupted, so nothing is concluded"),
        (
            {"converged": False},
            "FAIL: the overlay had not converged when the scenario began",
        ),
        (
            {"verdict": "undecided", "expectations": [{"verdict": "undecided"}] * 2},
            "UNDECIDED: 2 of 2 expectations cannot be decided",
        ),
    ],
)
def test_the_last_line(changed: dict[str, Any], line: str) -> None:
    """The verdict over all comes with its reason."""
    assert click.unstyle(conclusion(summary(**changed))) == line


def test_durations_have_about_four_digits() -> None:
    """Milliseconds below a second, seconds above."""
    assert [duration(ms) for ms in (0, 0.25, 212.456, 999.96, 1000, 61234.5)] == [
        "0 ms", "0.25 ms", "212.5 ms", "1000 ms", "1 s", "61.23 s",
    ]  # fmt: skip


def test_columns_stand_beneath_each_other() -> None:
    """Cells are padded to their column, colours have no width, nothing trails."""
    lines = table([("a", "1"), (stamp("pass"), "20"), ("b",)], right=[1])
    assert [click.unstyle(line) for line in lines] == ["a      1", "PASS  20", "b"]
    assert table([]) == []


def test_small_words() -> None:
    """Counts, indents and first sentences."""
    assert counted(1, "site") == "1 site"
    assert counted(2000, "site") == "2,000 sites"
    assert indented(["a"]) == ["  a"]
    assert first_sentence("One thing.\n Another. Third.") == "One thing."
    assert first_sentence("no stop") == "no stop"
