"""The points of a sweep: their numbers, their settings, and what is refused beforehand."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.language import ScenarioError
from patronus.sim.language.grammar import SCENARIO as LANGUAGE
from patronus.sim.language.loading import draft
from patronus.sim.sweep.axes import Axis, GridError
from patronus.sim.sweep.figures import figures
from patronus.sim.sweep.grid import POINTS_MOST, Grid, digest
from patronus.sim.sweep.table import FIRST, STATE
from tests.sim.sweep.yard import SCENARIO, file, grid


def test_points_are_numbered_in_order(tmp_path: Path) -> None:
    """Scenarios first, then parameters in their order; seeds vary fastest."""
    found = Grid(
        [draft(file(tmp_path, name)) for name in "ab"],
        [Axis("duration", ("3s", "4s")), Axis("policy.damping.hold", ("1s", "2s", "3s"))],
        (5, 9),
    )
    assert (len(found), found.cases) == (24, 12)
    points = [point for case in range(found.cases) for point in found.points(case)]
    assert [point.number for point in points] == list(range(24))
    told = [(found.case(p.case).draft, *found.values(p.case), p.seed) for p in points]
    assert told == list(product((0, 1), ("3s", "4s"), ("1s", "2s", "3s"), (5, 9)))


def test_settings_come_before_parameters(tmp_path: Path) -> None:
    """Fixed settings hold for all cases, and the scenario of a case is the one they give."""
    found = grid(tmp_path, "duration=3s,4s", settings=["policy.damping.hold=9s"])
    assert found.settings_of(1) == ("policy.damping.hold=9s", "duration=4s")
    assert found.scenario(1).duration_ns == 4_000_000_000
    assert found.scenario(1).policy.damping.hold_ns == 9_000_000_000
    assert [p.seed for p in found.points(0)] == [-1]


@given(sizes=st.lists(st.integers(1, 4), max_size=4), drafts=st.integers(1, 3))
def test_cases_and_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], drafts: int
) -> None:
    """Each number is one case and each case one number."""
    one = draft(file(tmp_path_factory.mktemp("grid")))
    axes = [Axis(f"k{i}", tuple(map(str, range(n)))) for i, n in enumerate(sizes)]
    found = Grid([one] * drafts, axes, (1,))
    cases = [found.case(number) for number in range(found.cases)]
    assert len(set(cases)) == found.cases
    assert [found._number(case) for case in cases] == list(range(found.cases))


@pytest.mark.parametrize(
    ("params", "settings", "told"),
    [
        (["duration=3s", "duration=4s"], [], "`duration` is varied twice"),
        (["duration=3s"], ["duration=4s"], "`duration` is both set and varied"),
        (["a=1..1000", "b=1..1001"], [], f"at most {POINTS_MOST:,}"),
    ],
)
def test_a_grid_that_cannot_be_meant(
    tmp_path: Path, params: list[str], settings: list[str], told: str
) -> None:
    """A parameter twice, one that is set as well, and too many points are refused."""
    with pytest.raises(GridError, match=told):
        grid(tmp_path, *params, settings=settings)


def test_a_parameter_that_is_not_there(tmp_path: Path) -> None:
    """A key that the scenario has not, and every value that means nothing, are told at once."""
    with pytest.raises(ScenarioError) as caught:
        grid(tmp_path, "policy.damping.hold=1s,2x,3s", "polizy.hold=1s",
             settings=["seed=3"]).witnesses()  # fmt: skip
    told = {(m.file, m.line, m.what) for m in caught.value.mistakes}
    assert ("--param", 1, "unknown unit `x`") in told
    assert ("--param", 2, "there is no `polizy` to set") in told
    assert {file for file, *_ in told} == {"--param"}


def test_a_parameter_that_one_scenario_has_not(tmp_path: Path) -> None:
    """Each of several scenarios has to know the parameters."""
    bare = SCENARIO.partition("faults:")[0]
    both = [draft(file(tmp_path)), draft(file(tmp_path, "bare", bare))]
    with pytest.raises(ScenarioError, match="there is no `0` to set"):
        Grid(both, [Axis("faults.0.at", ("1s",))], ()).witnesses()


def test_values_that_go_together_only_in_part(tmp_path: Path) -> None:
    """A combination that makes no scenario is no mistake as long as its values work elsewhere."""
    found = grid(tmp_path, "duration=3s,30s", "faults.0.at=1s,20s")
    witnesses = found.witnesses()
    assert {s.duration_ns // 10**9 for s in witnesses} == {3, 30}
    assert {s.faults[0].schedule.at_ns // 10**9 for s in witnesses} == {1, 20}
    with pytest.raises(ScenarioError):
        found.scenario(1)


def test_what_a_grid_is(tmp_path: Path) -> None:
    """Its record changes with what the scenarios say, not with where or how that is written."""
    one = grid(tmp_path, "duration=3s,4s", seeds=(1, 2))
    first = one.record(one.witnesses())
    file(tmp_path, text=f"# a word\n\n{SCENARIO}")
    again = grid(tmp_path, "duration=3s,4s", seeds=(1, 2))
    assert again.record(again.witnesses()) == first
    file(tmp_path, text=SCENARIO.replace("at: 1s", "at: 1100ms"))
    other = grid(tmp_path, "duration=3s,4s", seeds=(1, 2))
    changed = other.record(other.witnesses())
    assert {key for key in first if changed[key] != first[key]} == {"sha256"}
    assert digest([]) != digest(one.witnesses())


def test_no_parameter_is_called_like_a_figure(tmp_path: Path) -> None:
    """Columns of parameters and of figures never meet: their first words differ."""
    summary = {
        "verdict": "pass", "converged": True, "decisions_sha256": "", "journal_sha256": "",
        "network_sha256": "", "simulated_s": 1, "false_alarms": 0, "counts": {"sites": 1},
        "checks": {"loops": 0}, "carried": {"exposures": 0, **SPREADS},
        "classes": {"voice": {"offered": 1, "lost": 0, "duplicated": 0, "outage_ms": SPREAD}},
        "expectations": [], **SPREADS,
    }  # fmt: skip
    words = {name.partition(".")[0] for name in (*figures(summary), *FIRST, *STATE)}
    assert not words & (set(LANGUAGE.fields) - {"seed"})


SPREAD = {"n": 0, "never": 0, "p50": None, "p95": None, "p99": None, "max": None}
SPREADS = {f"{d}_ms": SPREAD for d in ("detection", "switch", "failover", "outage", "degraded")}
