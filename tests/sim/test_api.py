"""The Python API: its names, its verbs, and what a run says of itself."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import patronus.sim
from patronus.engine.units import SECOND
from patronus.sim import Run, ScenarioError, load, run, run_many
from patronus.sim.api import (
    INVALID,
    UNJUDGED,
    expectations,
    left_open,
    make_world,
    plan,
    verdict_of,
)
from patronus.sim.judgement import Verdict, judge
from patronus.sim.scenario import ExpectationSpec, FaultKind, Scenario, Selector
from tests.control.command import SCENARIO, failing
from tests.sim.handmade import make_fault, make_scenario
from tests.sim.synthetic import make_run


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """Return a small scenario, as a file gives it."""
    path = tmp_path / "cut.patronus.yml"
    path.write_text(SCENARIO)
    return load(path)


def test_every_name_of_the_api_is_there() -> None:
    """All that ``__all__`` promises can be had, and ``dir`` shows it."""
    assert set(patronus.sim.__all__) <= set(dir(patronus.sim))
    for name in patronus.sim.__all__:
        assert getattr(patronus.sim, name) is not None
    with pytest.raises(AttributeError, match=r"'patronus\.sim' has no attribute 'fly'"):
        _ = patronus.sim.fly  # type: ignore[attr-defined]  # that is the point


def test_modules_do_not_take_the_names_of_verbs() -> None:
    """``run`` and ``load`` are functions, whichever modules were imported before."""
    code = (
        "import patronus.sim.run, patronus.sim.load\n"
        "import patronus.sim as s\n"
        "print(callable(s.run), callable(s.load), s.run.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True patronus.sim.api\n"


def test_the_package_comes_without_tables() -> None:
    """Importing the package alone loads no pandas and no NumPy."""
    code = "import sys, patronus.sim; print({'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_run_has_its_tables_and_verdict(scenario: Scenario) -> None:
    """A run judges itself by the scenario's expectations and can be pickled."""
    done = run(scenario, 3)
    assert isinstance(done, Run)
    assert (done.seed, done.summary["verdict"]) == (3, "pass")
    assert len(done.failovers) > 0
    assert done.summary["path"] == scenario.path
    assert pickle.loads(pickle.dumps(done)).journal == done.journal
    assert run(scenario, 3).summary["journal_sha256"] == done.summary["journal_sha256"]


def test_the_seed_is_the_scenarios_own(scenario: Scenario) -> None:
    """Without a seed the scenario's is taken; another gives another journal."""
    one, two = run(replace(scenario, seed=2)), run(scenario, 1)
    assert one.seed == 2
    assert one.summary["journal_sha256"] != two.summary["journal_sha256"]


def test_a_failing_run_says_so(scenario: Scenario) -> None:
    """A missed expectation is in the summary with its figure."""
    done = run(replace(scenario, expectations=(ExpectationSpec("failover.max < 1ms"),)))
    assert done.summary["verdict"] == "fail"
    assert done.summary["expectations"][0]["verdict"] == "fail"


def test_an_early_end(scenario: Scenario) -> None:
    """With ``until_ns`` nothing happens after it, and what happened before is the same."""
    dear = replace(scenario.policy, cost={"broadband": 5})  # so traffic returns from it
    long = replace(scenario, duration_ns=15 * SECOND, policy=dear)
    whole, part = run(long), run(long, until_ns=3 * SECOND)
    assert part.summary["duration_s"] == 3.0
    early = [line for line in part.journal if line in whole.journal]
    assert part.decisions["t_ns"].max() <= 3 * SECOND
    assert early == list(part.journal)
    assert 0 < len(early) < len(whole.journal)


def test_progress_is_told(scenario: Scenario) -> None:
    """The time that a run has reached grows from the warm-up to the end."""
    told: list[int] = []
    run(scenario, progress=told.append)
    assert told[0] == -scenario.warmup_ns
    assert told == sorted(told)
    assert told[-1] < scenario.duration_ns


def test_many_runs(scenario: Scenario) -> None:
    """Runs come in the order of the seeds, each as it would be alone."""
    runs = run_many(scenario, seeds=[4, 2])
    assert [r.seed for r in runs] == [4, 2]
    assert runs[1].summary["journal_sha256"] == run(scenario, 2).summary["journal_sha256"]
    assert run_many(scenario, seeds=[]) == []


def test_settings_change_a_file(tmp_path: Path) -> None:
    """Settings are applied like ``--set``."""
    path = tmp_path / "x.patronus.yml"
    path.write_text(failing())
    assert load(path, ["duration=9s"]).duration_ns == 9 * SECOND


def test_a_scenario_from_code_that_means_nothing() -> None:
    """A fault that hits nothing is a mistake of the scenario, named and placed."""
    fault = make_fault(select=Selector(sites=("nowhere",)))
    for build in (plan, make_world):
        with pytest.raises(ScenarioError, match="nowhere") as caught:
            build(make_scenario(fault), 1)
        (mistake,) = caught.value.mistakes
        assert (mistake.file, mistake.line) == ("scenario", 0)
    placed = replace(fault, place="a:b.patronus.yml:12:7")
    with pytest.raises(ScenarioError) as caught:
        plan(make_scenario(placed), 1)
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.line, mistake.column) == ("a:b.patronus.yml", 12, 7)


def test_a_value_error_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ValueError that the scenario is not to blame for is not made to look like a mistake."""

    def broken(*arguments: object, **named: object) -> None:
        raise ValueError("shapes do not match")

    monkeypatch.setattr("patronus.sim.world.Measurement", broken)
    with pytest.raises(ValueError, match="shapes do not match") as caught:
        make_world(make_scenario(make_fault(FaultKind.BLACKHOLE)), 1)
    assert not isinstance(caught.value, ScenarioError)


def test_expectations_of_code_are_parsed() -> None:
    """Expectations are parsed when they are needed; a wrong line is a ValueError."""
    assert [str(e) for e in expectations(spoken("loops == 0"))] == ["loops == 0"]
    with pytest.raises(ValueError, match="lops"):
        expectations(spoken("lops == 0"))


def spoken(*lines: str) -> Scenario:
    """Return a scenario with expectations."""
    return make_scenario(expectations=tuple(ExpectationSpec(line) for line in lines))


def test_the_verdict_over_runs() -> None:
    """Interrupted is invalid before anything else; then convergence; then the expectations."""
    lines = expectations(spoken("loops == 0", "switch.max < 1ms"))
    judgements = judge(lines, [make_run()])
    fine = {"interrupted": False, "converged": True}
    assert verdict_of(judgements[:1], [fine]) == "pass"
    assert verdict_of(judgements, [fine]) == "fail"
    assert verdict_of((), [fine]) == UNJUDGED
    assert verdict_of(judgements[:1], [fine, {**fine, "converged": False}]) == "fail"
    assert verdict_of(judgements, [fine, {**fine, "interrupted": True}]) == INVALID


def test_interrupted_runs_keep_figures_but_no_verdicts() -> None:
    """What was measured stays, the verdict is open, and the note says why."""
    (judgement,) = judge(expectations(spoken("switch.max < 1ms")), [make_run()])
    (left,) = left_open([judgement])
    assert (left.verdict, left.note) == (Verdict.UNDECIDED, "interrupted")
    assert left.measured == judgement.measured
    assert left.record()["note"] == "interrupted"
