"""The smaller commands: check, golden, why, compare, report and the lists."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from patronus.control import endings
from patronus.control.narration import REASONS, number
from patronus.engine.journal import Reason
from patronus.engine.units import NEVER
from patronus.sim.topology import shipped_maps
from tests.control.command import SCENARIO, failing, patronus, scenario


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---------------------------------------------------------------- check

CHECKED = """\
cut (cut.patronus.yml)
  3 sites, 12 directed tunnels, over mpls, broadband
  6s after 5s of warm-up, seed 1
  faults:
    cut: blackhole on access:rome:mpls (2 directed links: access:rome:mpls), 1.000 s until 4.000 s
  expectations:
    failover.max < 1s
    loops == 0

Nothing is wrong with it.
"""


def test_check_prints_the_compiled_timeline(here: Path) -> None:
    """Size, times, what each selector matches, expectations; nothing is written."""
    told = patronus("check", scenario(here).name)
    assert (told.exit_code, told.stdout, told.stderr) == (0, CHECKED, "")
    assert [p.name for p in here.iterdir()] == ["cut.patronus.yml"]


def test_check_warns_of_what_cannot_be_seen(here: Path) -> None:
    """A fault just before the end is worth a warning, not an error."""
    late = SCENARIO.replace("at: 1s, for: 3s", "at: 5990ms")
    told = patronus("check", scenario(here, text=late).name)
    assert told.exit_code == 0
    assert "  warning: cut#0 begins 0.010 s before the end" in told.stdout


def test_check_takes_seeds_and_settings(here: Path) -> None:
    """The seed decides which object is hit, settings change the scenario."""
    one = SCENARIO.replace("site: rome,", "site: all, mode: one,")
    hits = set()
    for seed in range(6):
        words = ("--seed", str(seed), "--set", "duration=7s")
        told = patronus("check", scenario(here, text=one).name, *words)
        assert f"7s after 5s of warm-up, seed {seed}" in told.stdout
        hits.add(told.stdout.partition("access:")[2].partition(":")[0])
    assert len(hits) > 1


# ---------------------------------------------------------------- golden


def test_a_golden_from_nothing_to_a_difference(here: Path) -> None:
    """Not agreed, accepted, as agreed, changed: each says so with its exit code."""
    file = scenario(here)
    told = patronus("golden", file.name)
    assert (told.exit_code, told.stdout) == (1, "FAIL  cut: nothing was agreed yet (--accept)\n")
    assert told.stderr == "Reproduce: patronus golden cut.patronus.yml\n"
    told = patronus("golden", file.name, "--accept")
    assert told.exit_code == 0
    assert told.stdout.endswith("decisions, written to cut.golden.json\n")
    agreed = (here / "cut.golden.json").read_bytes()
    told = patronus("golden", file.name)
    assert told.exit_code == 0
    assert told.stdout.startswith("PASS  cut: ")
    told = patronus("golden", file.name, "--accept")
    assert told.stdout.endswith("decisions, unchanged\n")
    scenario(here, text=SCENARIO.replace("at: 1s", "at: 1200ms"))
    told = patronus("golden", file.name)
    assert told.exit_code == endings.FAIL
    assert "  the first difference is in decision 1\n    was: 1." in told.stdout
    assert "switch p50" in told.stdout
    assert (here / "cut.golden.json").read_bytes() == agreed
    told = patronus("golden", file.name, "--accept")
    assert told.exit_code == 0
    assert "  the first difference is in decision 1\n" in told.stdout
    assert (here / "cut.golden.json").read_bytes() != agreed


def test_what_fails_is_not_accepted(here: Path) -> None:
    """A failed expectation cannot become what a scenario should do."""
    told = patronus("golden", scenario(here, text=failing()).name, "--accept")
    assert told.exit_code == endings.FAIL
    assert "  failover.max < 1ms is not met: " in told.stdout
    assert not (here / "cut.golden.json").exists()


@pytest.mark.parametrize(("spoken", "code"), [("failover.max < 9s", 1), ("loops <= 2", 0)])
def test_what_a_checker_found_is_not_accepted(
    here: Path, monkeypatch: pytest.MonkeyPatch, spoken: str, code: int
) -> None:
    """Loops are no golden, unless the scenario itself says how many are right."""
    monkeypatch.setattr("patronus.sim.result.summary", looping)
    text = SCENARIO.partition("expect:")[0] + f"expect: ['{spoken}']\n"
    told = patronus("golden", scenario(here, text=text).name, "--accept")
    assert told.exit_code == code
    assert ("a checker found 2 loops" in told.stdout) is (code == 1)


def looping(*arguments: object) -> dict[str, object]:
    """Stand in for a run's summary in which a checker saw two loops."""
    spread = {"n": 0, "p50": None, "p95": None, "p99": None, "max": None, "never": 0}
    names = ("detection", "switch", "failover", "outage", "degraded")
    return {
        "interrupted": False, "converged": True, "checks": {"loops": 2, "black_holes": 0},
        "classes": {}, "false_alarms": 0, "decisions_sha256": "", "journal_sha256": "",
        **{f"{name}_ms": spread for name in names},
    }  # fmt: skip


def test_a_damaged_golden_is_bad_input(here: Path) -> None:
    """A golden that cannot be read is told, and not taken for a difference."""
    file = scenario(here)
    (here / "cut.golden.json").write_text("{")
    told = patronus("golden", file.name)
    assert told.exit_code == endings.BAD_INPUT
    assert told.stderr.startswith("patronus: cannot read cut.golden.json: ")


# ---------------------------------------------------------------- why


@pytest.fixture
def ran(here: Path) -> Path:
    """Return the folder of a run."""
    assert patronus("run", scenario(here).name, "--out", "out").exit_code == 0
    return here / "out"


def test_why_tells_decision_numbers_and_alternatives(ran: Path) -> None:
    """The decision in force with its numbers, then every path with why it is not taken."""
    told = patronus("why", "out", "--site", "rome", "--to", "oslo", "--at", "3s")
    assert (told.exit_code, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[0] == "rome to oslo, default at 3.000000 s"
    assert lines[1].startswith("  broadband>oslo since 1.")
    assert lines[1].endswith(", before mpls>oslo")
    assert lines[2] == "  because the tunnel fell silent:"
    assert any(
        line.split()[:2] == ["rtt", "50"] or line.strip().startswith("rtt") for line in lines
    )
    assert any("mpls>oslo" in line and "its tunnel is down" in line for line in lines)
    assert any("broadband>oslo" in line and "chosen" in line for line in lines)


def test_why_before_anything_was_decided(ran: Path) -> None:
    """Before the first decision the path is that of the start, and the next move is told."""
    words = ("--site", "rome", "--to", "oslo", "--at", "0s", "--journal-only")
    lines = patronus("why", "out", *words).stdout.splitlines()
    assert lines[1] == (
        "  No decision has been made: it is still on its path of the start, which is mpls>oslo."
    )
    assert lines[2].startswith("  next:   1.")
    assert lines[2].endswith("mpls>oslo -> broadband>oslo (liveness_down)")


def test_why_without_the_file(ran: Path) -> None:
    """Where the run cannot be made again, the journal's part is told, and why it is alone."""
    (ran.parent / "cut.patronus.yml").unlink()
    told = patronus("why", "out", "--site", "rome", "--to", "oslo")
    assert told.exit_code == 0
    assert "because the tunnel fell silent" in told.stdout
    assert "The alternatives cannot be told: the scenario cannot be read as it was" in told.stdout


def test_why_about_what_is_not_there(ran: Path) -> None:
    """A misspelt name is bad input with a suggestion."""
    told = patronus("why", "out", "--site", "roma", "--to", "oslo")
    assert told.exit_code == endings.BAD_INPUT
    assert told.stderr.startswith("patronus: the run has no site 'roma'; did you mean `rome`?\n")


def test_every_reason_has_words() -> None:
    """No reason of the journal is left without an explanation."""
    assert set(REASONS) == {reason.value for reason in Reason}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("from_rtt_ns", 40_209_000, "40.209 ms"), ("to_rtt_ns", -1, "unknown"),
        ("hold_ns", NEVER, "never"), ("to_loss_ppm", 12_500, "1.25 %"),
        ("from_state", 1, "down"), ("to_verdict", 2, "violating"), ("count", 1200, "1,200"),
    ],
)  # fmt: skip
def test_numbers_have_units(name: str, value: int, text: str) -> None:
    """The end of a number's name says its unit."""
    assert number(name, value) == text


# ---------------------------------------------------------------- compare and report


def test_compare_finds_where_runs_part(here: Path) -> None:
    """The first differing decision of both sides, and each figure with its difference."""
    file = scenario(here)
    patronus("run", file.name, "--out", "a")
    patronus("run", file.name, "--out", "b", "--set", "faults.0.at=1200ms")
    told = patronus("compare", "a", "b")
    assert told.exit_code == 0
    assert "The decisions first differ at no. 1 (seed 1):\n  A: 1." in told.stdout
    assert "\n  B: 1." in told.stdout
    row = next(line for line in told.stdout.splitlines() if line.startswith("switch.p50"))
    assert row.split()[-1] == "1"
    assert " exposures in both, failover was faster in B for " in told.stdout
    told = patronus("compare", "a", "a")
    assert "Every decision is the same, and so are its numbers." in told.stdout


def test_compare_without_a_common_seed(here: Path) -> None:
    """Sets of runs that share no seed cannot be compared."""
    file = scenario(here)
    for out, seed in (("a", "1"), ("b", "5")):
        patronus("run", file.name, "--out", out, "--repeat", "2", "--seed", seed, "--jobs", "1")
    told = patronus("compare", "a", "b")
    assert told.exit_code == endings.BAD_INPUT
    assert "no seed in common" in told.stderr


def test_report_is_made_anew(here: Path) -> None:
    """The report of a folder, and of each seed in it, comes back as it was."""
    file = scenario(here)
    patronus("run", file.name, "--out", "one")
    patronus("run", file.name, "--out", "many", "--repeat", "2", "--jobs", "1")
    pages = {p: p.read_bytes() for p in sorted(here.rglob("report.html"))}
    assert len(pages) == 4
    for page in pages:
        page.write_text("spoilt")
    told = patronus("report", "one"), patronus("report", "many")
    assert [t.exit_code for t in told] == [0, 0]
    assert told[0].stdout == "one/report.html\n"
    assert {p: p.read_bytes() for p in pages} == pages


# ---------------------------------------------------------------- lists


def test_schema_accepts_a_scenario(here: Path) -> None:
    """The printed schema is one, and scenarios fit it."""
    schema = json.loads(patronus("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(YAML(typ="safe").load(SCENARIO), schema)


def test_scenarios_are_listed_with_what_they_teach() -> None:
    """Every shipped scenario is a line with its name and the first sentence about it."""
    told = patronus("scenarios")
    assert told.exit_code == 0
    lines = told.stdout.partition("\n\n")[0].splitlines()
    folder = Path(told.stdout.strip().rpartition("They lie in ")[2])
    names = sorted(p.name.removesuffix(".patronus.yml") for p in folder.glob("*.patronus.yml"))
    assert [line.split()[0] for line in lines] == names
    assert all(len(line.split()) > 3 for line in lines)


def test_topologies_are_listed_with_their_source() -> None:
    """Shipped maps come with sizes and source; words narrow the list."""
    told = patronus("topologies")
    assert told.exit_code == 0
    for name in shipped_maps():
        assert f"\n{name} " in told.stdout
    one = patronus("topologies", "abilene").stdout
    assert "aarnet" not in one
    assert "Terms: " in one
    none = patronus("topologies", "no", "such", "map").stdout
    assert none.startswith("No map has such a name.")
