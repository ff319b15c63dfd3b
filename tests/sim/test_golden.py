"""Goldens: short, readable, exact, and clear about what changed."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.journal import Decision, DecisionJournal, Reason
from patronus.engine.units import MS, SECOND
from patronus.sim.golden import (
    LINES_MOST,
    Golden,
    GoldenError,
    compare,
    golden_of,
    golden_path,
    line_of,
    read_golden,
    render,
    write_golden,
)
from patronus.sim.run import Run
from patronus.sim.summary import summarise
from tests.sim.synthetic import make_run


def decision(number: int, rtt_ns: int = 20 * MS, to_path: str = "lte>rome") -> Decision:
    """Return one decision of many, a millisecond after the other."""
    return Decision(
        t_ns=10 * SECOND + number * MS,
        site="berlin",
        destination="rome",
        traffic_class="voice",
        from_path="mpls>rome",
        to_path=to_path,
        reason=Reason.LIVENESS_DOWN,
        numbers=(("from_rtt_ns", rtt_ns),),
    )


@cache
def story() -> tuple[Run, dict[str, Any]]:
    """Return a run with its figures."""
    run = make_run()
    return run, summarise(failovers=run.failovers, detections=run.detections, series=run.series)


def a_run(decisions: list[Decision], classes: int = 2) -> Run:
    """Return a run with this journal and everything a golden is made of."""
    lines: list[bytes] = []
    journal = DecisionJournal(lines.append)
    for each in decisions:
        journal.append(each)
    run, figures = story()
    more = {f"class-{i}": {"offered": i, "lost": 0} for i in range(classes)}
    summary = {
        **run.summary, **figures, "classes": more,
        "decisions_sha256": journal.decisions_sha256, "journal_sha256": journal.journal_sha256,
    }  # fmt: skip
    return replace(run, journal=tuple(lines), summary=summary)


def golden(count: int = 3, **changed: Decision) -> Golden:
    """Return the golden of a run of so many decisions, some of them changed."""
    decisions = [changed.get(f"d{i}", decision(i)) for i in range(count)]
    return golden_of(a_run(decisions))


def test_it_lies_beside_the_scenario() -> None:
    """The golden has the scenario's name and folder."""
    assert golden_path("a/cut.patronus.yml") == Path("a/cut.golden.json")
    assert golden_path("cut.yml") == Path("cut.golden.json")


def test_a_line_can_be_read() -> None:
    """A decision is a line that a reviewer understands, with a digest of its numbers."""
    text, _, digest = line_of(decision(0)).rpartition(" #")
    assert text == "10.000000000 s  berlin to rome, voice: mpls>rome -> lte>rome, liveness_down"
    assert len(digest) == 4
    assert "no path -> lte>rome" in line_of(replace(decision(0), from_path=""))


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 121, 5000])
def test_a_golden_comes_back_as_it_was_written(tmp_path: Path, count: int) -> None:
    """Whatever the number of decisions, the file is short and reads back equal."""
    wanted = golden_of(a_run([decision(i) for i in range(count)], classes=60))
    write_golden(wanted, tmp_path / "g.json")
    assert read_golden(tmp_path / "g.json") == wanted
    assert len((tmp_path / "g.json").read_text().splitlines()) <= LINES_MOST
    assert wanted.decisions == count
    assert not compare(wanted, wanted)


def test_no_golden_is_none(tmp_path: Path) -> None:
    """A scenario that nobody has agreed to yet has no golden."""
    assert read_golden(tmp_path / "g.json") is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", "\x00", '{"version": 1}'])
def test_what_is_no_golden_is_refused(tmp_path: Path, text: str) -> None:
    """A damaged golden is an error that names the file, never an agreement."""
    path = tmp_path / "g.json"
    path.write_text(text)
    with pytest.raises(GoldenError, match=str(path)):
        read_golden(path)


def test_a_golden_of_another_version_is_refused(tmp_path: Path) -> None:
    """A golden that a later program wrote is not guessed at."""
    path = tmp_path / "g.json"
    path.write_text(render(replace(golden(), version=2)))
    with pytest.raises(GoldenError, match="of version 2, not 1"):
        read_golden(path)


def test_a_golden_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder in its place is an error that names it."""
    with pytest.raises(GoldenError, match=f"cannot write {tmp_path}"):
        write_golden(golden(), tmp_path)


@given(st.integers(1, 99), st.data())
def test_the_first_difference_is_found(count: int, data: st.DataObject) -> None:
    """Of several changed decisions among those kept in full, the first is named."""
    changed = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    now = golden(count, **{f"d{i}": decision(i, to_path="sat>rome") for i in changed})
    found = compare(golden(count), now)
    assert found.where[0] == f"the first difference is in decision {min(changed) + 1}"
    assert "lte>rome" in found.where[1]
    assert "sat>rome" in found.where[2]


def test_decisions_come_before_numbers() -> None:
    """A decision that differs later is told rather than numbers that differ before."""
    now = golden(9, d1=decision(1, rtt_ns=1), d5=decision(5, to_path="sat>rome"))
    assert compare(golden(9), now).where[0] == "the first difference is in decision 6"
    now = golden(9, d1=decision(1, rtt_ns=1))
    assert compare(golden(9), now).where[0] == "the first difference is in numbers of decision 2"


def test_one_more_decision_is_a_difference() -> None:
    """A journal that goes on, or ends early, differs at its end."""
    longer, shorter = golden(4), golden(3)
    assert compare(shorter, longer).where[1] == "  was: no further decision"
    assert compare(longer, shorter).where[2] == "  is:  no further decision"


@pytest.mark.parametrize("place", [100, 180, 499])
def test_a_difference_beyond_is_placed(place: int) -> None:
    """Of a decision that is not kept in full, the stretch that holds it is named."""
    now = golden(500, **{f"d{place}": decision(place, to_path="sat>rome")})
    (line,) = compare(golden(500), now).where
    stretch = line.split("the decisions ")[1].split(",")[0]
    first, last = map(int, stretch.split("-"))
    assert first <= place + 1 <= last
    assert last - first < 20


def test_other_numbers_of_decisions_beyond() -> None:
    """Where only the number of decisions beyond changed, both numbers are told."""
    (line,) = compare(golden(150), golden(151)).where
    assert line == "the first 100 decisions are equal; 150 decisions were made, now 151"


def test_every_figure_that_changed_is_told() -> None:
    """Percentiles, packets and checks are compared one by one; equal ones are left out."""
    then = golden()
    now = replace(
        then,
        percentiles={
            **then.percentiles,
            "switch_ms": {**then.percentiles["switch_ms"], "p95": None},
        },
        classes={**then.classes, "class-1": {"offered": 1, "lost": 1}},
        checks={**then.checks, "loops": 2},
    )
    found = compare(then, now)
    assert found.where == ()
    assert found.figures == (
        ("switch p95", "300 ms", "never"),
        ("class-1 lost", "0", "1"),
        ("loops", "0", "2"),
    )
    assert found


def test_another_seed_is_told_first() -> None:
    """A golden of another seed says so before anything else."""
    now = replace(golden(d0=decision(0, rtt_ns=1)), seed=2)
    assert compare(golden(), now).where[0] == "the seed was 1 and is 2"
