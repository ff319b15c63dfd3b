"""What is said of outcomes: rank, verdicts, counts, JSON, the page, and memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from patronus.control.failures import lines
from patronus.engine.units import NEVER, SECOND
from patronus.sim.footprint import RoomError
from patronus.sim.language import load
from patronus.sim.whatif import memory
from patronus.sim.whatif.failures import Failure, FailureKind
from patronus.sim.whatif.findings import About, Findings
from patronus.sim.whatif.outcome import ClassHarm, Died, Judged, Outcome, Place, Result
from patronus.sim.whatif.page import page
from tests.sim.report.reader import Page
from tests.sim.whatif.nurseries import scenario

CALM = ClassHarm(4, 0, 0, 0, 0, 0, 0, (0, 0), ())


def outcome(name: str, **voice: object) -> Outcome:
    """Return an outcome with one class."""
    harm = replace(CALM, **voice)  # type: ignore[arg-type]  # passed on
    sites = {"berlin": harm.longest_s} if harm.out else {}
    return Outcome(
        id=name, until_ns=2 * SECOND, settled=True, classes={"voice": harm}, sites=sites,
        exposures=0, carried=0, switch_ns=-1, failover_ns=-1, unavoidable=0, checks={},
        verified=("yes",), judged=(), wall_s=0.0, cpu_s=0.0,
    )  # fmt: skip


PLACE = Place("berlin", "<script>", 2, still=True)
STILL = outcome("still", out=1, still=1, longest_s=2, flow_s=2, by_second=(1, 1), places=(PLACE,))
LONG = outcome("long", out=2, longest_s=3, flow_s=4, by_second=(2, 2))
SHORT = outcome("short", out=2, longest_s=1, flow_s=2, by_second=(2, 0))
QUIET = outcome("quiet")
DEAD = Died("dead", "its process was ended by SIGKILL")
ALL: tuple[Result, ...] = (QUIET, SHORT, STILL, DEAD, LONG)


def findings(*results: Result, **more: object) -> Findings:
    """Return what came of some failures."""
    about = About("t", "", "t.yml", 1, "patronus whatif t.yml", 10 * SECOND, False, 3, 6, 4,
                  ("voice",))  # fmt: skip
    failures = [Failure(r.id, FailureKind.LINK, f"{r.id} & co", ()) for r in ALL]
    asked: dict[str, Any] = {"limits": {}, **more}
    return Findings(about, failures, results, **asked)


def test_the_worst_come_first() -> None:
    """What died, then what stays out, then the most seconds; what harms nothing is last."""
    assert [r.id for r in findings(*ALL).ranked] == ["dead", "still", "long", "short", "quiet"]
    assert [o.id for o in findings(*ALL).harmful] == ["still", "long", "short"]
    broken = replace(QUIET, judged=(Judged("loops == 0", "fail", "1"),))
    assert [o.id for o in findings(broken, SHORT).telling] == ["short", "quiet"]
    told = lines(findings(broken, SHORT), None, 5)
    assert any(" quiet " in line for line in told)
    assert any("FAIL loops == 0: 1" in click.unstyle(line) for line in told)


def test_every_failure_is_counted_once() -> None:
    """However it ended, and also if it was not simulated."""
    counts = findings(*ALL[1:]).count()
    assert counts == {
        "failures": 5, "harmless": 0, "for_a_time": 2, "still": 1, "died": 1, "not_simulated": 1,
    }  # fmt: skip
    assert sum(counts.values()) == 2 * counts["failures"]
    assert findings(*ALL).count(FailureKind.SITE)["failures"] == 0


@pytest.mark.parametrize(
    ("results", "limits", "verdict"),
    [
        ((QUIET, SHORT), {}, "none"),
        ((QUIET, SHORT), {"": SECOND}, "pass"),
        ((QUIET, LONG), {"": SECOND}, "fail"),
        ((QUIET, LONG), {"": SECOND, "voice": 3 * SECOND}, "pass"),
        ((QUIET, LONG), {"data": SECOND}, "pass"),
        ((STILL,), {"voice": 100 * SECOND}, "fail"),
        ((STILL, DEAD), {"voice": SECOND}, "invalid"),
        ((replace(QUIET, judged=(Judged("loops == 0", "fail", "1"),)),), {}, "fail"),
        ((replace(QUIET, judged=(Judged("loops == 0", "pass", "0"),)),), {}, "pass"),
    ],
)
def test_verdicts(results: tuple[Result, ...], limits: dict[str, int], verdict: str) -> None:
    """Limits by class and for all, what stays out, expectations, and what died."""
    assert findings(*results, limits=limits).verdict == verdict


def test_an_interrupted_study_concludes_nothing() -> None:
    """Whatever was found until then."""
    stopped = findings(STILL, limits={"": 0}, interrupted=True)
    assert stopped.verdict == "invalid"
    record = stopped.record()
    assert record["not_simulated"] == ["quiet", "short", "dead", "long"]
    assert record["failures"][0]["broken"] == ["1 voice flows are still out"]


def test_the_record_has_no_infinity() -> None:
    """A switch that never came is said, not counted."""
    (entry,) = findings(replace(SHORT, switch_ns=NEVER, failover_ns=5)).record()["failures"]
    assert (entry["switch_max_ms"], entry["never"], entry["failover_max_ms"]) == (None, True, 5e-6)


def test_the_page_tells_all_of_it() -> None:
    """Every failure that harms has its row and cells; names are text, whatever they hold."""
    shown = Page(page(findings(*ALL, limits={"": SECOND})))
    for words in (
        "Of 4 failures 1 harm nothing, 2 put flows out for a time, 1 until the end.",
        "still & co", "berlin → <script>", "its process was ended by SIGKILL",
        "voice is out for 3 s",
    ):  # fmt: skip
        assert words in shown.text
    cells = [c for c in shown.of("class") if c in ("h0", "h1", "h2", "h3", "h4", "h5")]
    assert cells == ["h2", "h2", "h3", "h3", "h3", "h0"]
    assert "script" not in shown.tags


def test_a_page_without_harm() -> None:
    """Nothing to show is said."""
    text = Page(page(findings(QUIET))).text
    assert "None of 1 failure puts a flow out of its SLA." in text
    assert "no flow was ever out" in text


def test_memory_is_estimated_before(tmp_path: Path) -> None:
    """More sites and more jobs take more; a machine with too little is told of both."""
    given = load(scenario(tmp_path))
    one, two = (memory.needed(given, jobs) for jobs in (1, 2))
    assert 100e6 < one < two < 200e6
    memory.check(given, 2, two)
    with pytest.raises(RoomError, match="GB with 2 at a time, and"):
        memory.check(given, 2, two - 10**8)
