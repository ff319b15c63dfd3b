"""The page says what happened, nothing more, and is one harmless file."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.expectation import parse
from patronus.sim.judgement import judge
from patronus.sim.report import render_run, render_runs
from patronus.sim.report.facts import Facts
from patronus.sim.run import Run
from tests.sim.report.example import JUDGEMENTS, crowd, example
from tests.sim.report.reader import Page
from tests.sim.synthetic import make_run

NOTHING: dict[str, Any] = {
    name: [] for name in ("failovers", "detections", "series", "decisions", "health", "faults")
}
LIMIT_BYTES = 3_000_000


def shown(run: Run, judgements: Iterable[Any] = ()) -> str:
    return Page(render_run(run, judgements)).text


def renamed(frame: pd.DataFrame, old: str, new: str) -> pd.DataFrame:
    texts = [c for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    return frame.assign(
        **{c: [v.replace(old, new) if isinstance(v, str) else v for v in frame[c]] for c in texts}
    )


def with_names(run: Run, old: str, new: str) -> Run:
    """Rename a site wherever it occurs."""
    plan = dict(run.topology)
    plan["sites"] = [{**s, "name": s["name"].replace(old, new)} for s in plan["sites"]]
    plan["failed"] = [n.replace(old, new) for n in plan["failed"]]
    frames = ("decisions", "detections", "failovers", "series", "health", "faults")
    changed: dict[str, Any] = {f: renamed(getattr(run, f), old, new) for f in frames}
    return replace(run, name=new, topology=plan, **changed)


def test_the_page_is_one_well_formed_file_that_loads_nothing() -> None:
    """Every element is closed in order, nothing is fetched, no script is needed or allowed."""
    page = Page(render_run(example(), JUDGEMENTS))
    assert not {"script", "img", "iframe", "object", "link", "base"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import", page.html)
    assert page.of("src") == []
    assert all(link.startswith("#") for link in page.of("href"))
    assert any("default-src 'none'" in content for content in page.of("content"))


def test_every_link_of_the_contents_leads_somewhere() -> None:
    """Each section is among the contents, and its anchor is on the page once."""
    page = Page(render_run(example(), JUDGEMENTS))
    anchors = page.of("id")
    assert [link.removeprefix("#") for link in page.of("href")] == anchors
    assert len(set(anchors)) == len(anchors)


def test_verdicts_come_before_figures_and_failures_before_successes() -> None:
    """Whoever reads only the beginning knows what failed, by how much, and the limit."""
    text = shown(example(), JUDGEMENTS)
    order = [
        "Traffic never came back for 2 exposures of 200; the others were back in 2.07 s",
        "Of 6 expectations, 1 is not met and 1 could not be decided.",
        "failover.p99 < 300ms", "failover.p95 < 1s @ 95%", "failover.p50 < 300ms",
        "What happened when", "How fast traffic came back", "What users felt",
        "The paths around each fault", "Where it failed", "Did the faults really happen?",
        "What the words mean", "How to get the same result again",
    ]  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_real_judgements_fit() -> None:
    """The verdicts of the simulator's own judge can be shown and read back from the summary."""
    run = make_run()
    judgements = judge([parse("failover.p99 < 100ms"), parse("loops == 0")], [run])
    text = shown(run, judgements)
    assert "failover.p99 < 100ms" in text
    assert "340 ms" in text
    kept = {**run.summary, "expectations": [j.record() for j in judgements]}
    assert shown(replace(run, summary=kept)) == text


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\"><img src=x onerror='x'>", "&lt;b"]
)
def test_names_are_text_wherever_they_appear(name: str) -> None:
    """A hostile site name is read as itself and never becomes an element."""
    run = with_names(make_run(), "berlin", name)
    page = Page(render_run(run, ()))
    assert not {"script", "img", "b"} & set(page.tags)
    assert page.text.count(name) > 5
    many = Page(render_runs([run], (), {"about": name, "command": name}))
    assert not {"script", "img", "b"} & set(many.tags)


def test_a_run_in_which_nothing_happened_says_so() -> None:
    """Without faults, traffic and expectations the page says that, and shows no empty figure."""
    text = shown(make_run(**NOTHING))
    assert "No fault was injected, so nothing had to fail over." in text
    assert "The scenario states no expectations" in text
    assert "How fast traffic came back" not in text
    assert "What users felt" not in text


def test_faults_that_harmed_nobody_are_told_apart_from_no_faults() -> None:
    """If no path was broken the page says so instead of claiming a fast failover."""
    text = shown(make_run(failovers=[]))
    assert "No fault broke a path that traffic was on." in text
    assert "no path was broken" in text


def test_an_interrupted_run_is_marked_at_the_top() -> None:
    """The warning stands before the verdict."""
    text = shown(make_run(summary={"interrupted": True}))
    assert text.index("This run was interrupted.") < text.index("Traffic came back")


def test_an_unsettled_network_is_a_reservation_about_everything() -> None:
    """A warm-up that did not converge is said before any figure."""
    text = shown(make_run(summary={"converged": False, "verdict": "fail"}))
    assert text.index("had not settled") < text.index("Fail") < text.index("Traffic came back")
    assert "had not settled" not in shown(make_run(summary={"converged": True}))


@pytest.mark.parametrize(("verdict", "stamped"), [("invalid", True), ("none", False)])
def test_the_verdict_of_the_run_is_the_one_that_is_stamped(verdict: str, stamped: bool) -> None:
    """An invalid run is stamped as such; where nothing was to be judged there is no stamp."""
    page = Page(render_run(make_run(summary={"verdict": verdict}), ()))
    assert any(c.startswith("stamp") for c in page.of("class")) is stamped
    assert ("Invalid" in page.text) is stamped


def test_traffic_without_any_other_path_is_mentioned() -> None:
    """A good headline does not hide traffic that could not be saved by anything."""
    text = shown(make_run(summary={"counts": {"sites": 3, "unavoidable": 1200}}))
    assert "1,200 more had no other path to take; they are not counted here." in text
    assert "no other path to take" not in shown(make_run())


def test_pairs_that_sent_nothing_are_told_apart() -> None:
    """What took long and carried nothing is neither the headline nor silently left out."""
    slow = {"destination": "nowhere", "class": "voice", "switch_ns": 90 * SECOND}
    quick = {"destination": "oslo", "class": "voice", "switch_ns": 300 * MS}
    run = make_run(failovers=[slow, quick], summary={"counts": {"unavoidable": 3}})
    text = shown(run)
    assert "Traffic came back in 300 ms at the worst." in text
    assert "with 1 exposure to them." in text
    assert "3 more had no other path to take and 1 more carried no traffic; they are not" in text
    assert "1 more without traffic are in failovers.parquet." in text
    assert "Traffic came back in 90 s at the worst." in shown(replace(run, series=run.series[:0]))


def test_checkers_are_told_with_their_bound() -> None:
    """What the checkers found is counted in words, and their bound is a sentence."""
    checks = {"loops": 0, "black_holes": 2, "bound_ns": 10 * SECOND, "odd_things": 1}
    text = shown(make_run(summary={"checks": checks}))
    assert "no forwarding loops" in text
    assert "2 black holes" in text
    assert "1 odd things" in text
    assert "still there 10 s after a change" in text


def test_the_axis_ends_where_the_run_did() -> None:
    """The warm-up does not lengthen the axis, and a stopped run is not drawn to its planned end."""
    assert Facts(make_run(summary={"simulated_s": 35, "duration_s": 30})).end_ns == 30 * SECOND
    assert Facts(make_run(summary={"simulated_s": 25, "duration_s": 60})).end_ns == 30 * SECOND
    assert Facts(make_run(**NOTHING, summary={"simulated_s": 12})).end_ns == 12 * SECOND


def test_frames_without_rows_need_no_types() -> None:
    """Tables that were made without rows, and so without types, are shown like typed ones."""
    run = make_run()
    frames = ("decisions", "detections", "failovers", "series", "health", "faults")
    blank = {f: pd.DataFrame([], columns=getattr(run, f).columns) for f in frames}
    empty: dict[str, Any] = {**blank, "summary": {}}
    assert "No fault was injected" in shown(replace(run, **empty))
    half: dict[str, Any] = {name: blank[name] for name in ("series", "health", "detections")}
    assert "no tunnel was touched" in shown(replace(run, **half)).lower()


def test_never_is_listed_and_drawn_at_the_edge() -> None:
    """What never came back is counted in the table and has its place in the figure."""
    run = make_run(failovers=[{}, {"switch_ns": NEVER, "failover_ns": NEVER, "moved_by": ""}])
    page = Page(render_run(run, ()))
    assert "Traffic never came back for 1 exposure of 2" in page.text
    assert "never-band" in page.of("class")
    assert "never-band" not in Page(render_run(make_run(), ())).of("class")
    gone = make_run(failovers=[{"switch_ns": NEVER, "failover_ns": NEVER, "moved_by": ""}])
    assert "Traffic never came back: none of 1 found a working path." in shown(gone)


def test_a_repair_is_not_credited_to_the_engine() -> None:
    """Traffic that came back because the fault ended counts as neither kernel's nor engine's."""
    text = shown(make_run(failovers=[{"moved_by": ""}, {"moved_by": "kernel"}]))
    assert "kernel 1, repair 1" in text
    assert "at the worst. 1 of 2 had to wait until the fault was over." in text


def test_what_was_not_measured_is_not_zero() -> None:
    """An unobserved effect and an unknown round trip read as missing, not as good values."""
    faults: list[dict[str, Any]] = [{"measured": -1, "verified": "unobserved"}]
    health = [
        {"t_ns": t * SECOND, "rtt_ns": -1, "loss_ppm": -1, "state": "Init"} for t in range(30)
    ]
    text = shown(make_run(faults=faults, health=health))
    assert "too few packets to say" in text
    assert "round trip not measured" in text
    assert "loss not measured" in text


def test_a_fault_that_did_not_act_stands_first() -> None:
    """The doubtful faults head the table of commanded against observed."""
    faults: list[dict[str, Any]] = [
        {"fault": "fine#0"},
        {"fault": "dud#0", "start_ns": 12 * SECOND, "verified": "no"},
    ]
    text = shown(make_run(faults=faults)).split("Did the faults really happen?")[1]
    assert text.index("dud") < text.index("fine")
    assert "no: it did not act as commanded" in text


def test_a_fault_is_not_blamed_for_the_next_one() -> None:
    """A tunnel that was disturbed only after another fault began is not shown around the first."""
    faults: list[dict[str, Any]] = [
        {"fault": "early#0", "start_ns": 5 * SECOND, "end_ns": 6 * SECOND},
        {"fault": "late#0", "start_ns": 10 * SECOND},
    ]
    text = shown(make_run(faults=faults, detections=[])).split("The paths around each fault")[1]
    around = text.split("Where it failed")[0]
    assert "late" in around
    assert "early" not in around


def test_repeated_faults_share_a_lane_and_keep_their_ordinals() -> None:
    """A fault that happens several times is one row of the timeline and several of the table."""
    faults = [
        {"fault": f"flap#{i}", "start_ns": (5 + i) * SECOND, "end_ns": (5 + i) * SECOND + 500 * MS}
        for i in range(3)
    ]
    page = Page(render_run(make_run(faults=faults, failovers=[{"fault": "flap#1"}]), ()))
    assert page.of("class").count("fault") == 3
    assert "Link down, 3 times" in page.text
    assert "flap#1" in page.text


def test_lists_are_cut_and_say_how_many_are_left_out() -> None:
    """Of many faults, tunnels and exposures some are shown and the others counted."""
    faults = [{"fault": f"f{i}#0", "start_ns": i * SECOND // 2} for i in range(40)]
    text = shown(make_run(faults=faults, failovers=[{"fault": "f3#0"}] * 30))
    assert "28 more faults not drawn" in text
    assert "20 faults that hurt less are left out" in text
    assert "20 exposures that were quicker are left out" in text
    assert "32 faults that hurt less are left out" in text


def test_the_command_the_seed_and_the_fingerprints_are_there() -> None:
    """The page says how to make the same run again, and how to tell that it is the same."""
    text = shown(example(7))
    assert "patronus run scenarios/dual-isp-blackout.patronus.yml --seed 7" in text
    assert "5f" * 32 in text
    assert "c4" * 32 in text
    assert "numpy 2.4.6" in text
    assert "patronus x --set a=1" in shown(make_run(summary={"command": "patronus x --set a=1"}))


def test_no_command_is_invented_for_a_scenario_without_a_file() -> None:
    """A run of a scenario that was built in code says that instead of naming a file."""
    text = shown(make_run(summary={"path": ""}))
    assert "The scenario was built in code." in text
    assert "patronus run" not in text


def test_a_thousand_sites_make_a_small_page() -> None:
    """The size of the page does not follow the number of exposures and tunnels."""
    page = render_run(crowd(1000, 5_000, 300), JUDGEMENTS)
    assert len(page.encode()) < LIMIT_BYTES / 6
    assert "more tunnels were touched" in page


def test_the_same_run_gives_the_same_page() -> None:
    """A report holds nothing but the run: no date, no random identifiers."""
    assert render_run(example(), JUDGEMENTS) == render_run(example(), JUDGEMENTS)


def test_the_page_over_all_seeds_ranks_the_seeds() -> None:
    """Over several seeds the slowest stands first and each leads to its own report."""
    slow = make_run(2, failovers=[{"switch_ns": 900 * MS}])
    page = Page(render_runs([make_run(1), slow], (), {"seeds": [1, 2], "path": "a b.yml"}))
    assert [link for link in page.of("href") if "seed" in link] == [
        "#seeds", "seed-2/report.html", "seed-1/report.html",
    ]  # fmt: skip
    assert "Traffic came back in 900 ms at the worst." in page.text
    assert "patronus run 'a b.yml' --seed 1 --repeat 2" in page.text


def test_over_all_seeds_traffic_counts() -> None:
    """The page over all seeds speaks of traffic too, and counts the other exposures."""
    idle = make_run(2, failovers=[{"destination": "nowhere", "switch_ns": 900 * MS}])
    page = Page(render_runs([make_run(1), idle], (), {"seeds": [1, 2]}))
    assert "4 exposures in all. 1 more carried no traffic; they are not counted" in page.text
    assert "900 ms" not in page.text


def test_a_page_needs_a_run() -> None:
    """A report over no runs is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least one run"):
        render_runs([], (), {})


def test_seeds_without_exposures_are_rows_like_others() -> None:
    """A seed in which nothing was exposed is listed, without figures."""
    page = Page(render_runs([make_run(1, **NOTHING)], (), {}))
    assert "seed-1/report.html" in page.of("href")
    assert "No fault was injected" in page.text
