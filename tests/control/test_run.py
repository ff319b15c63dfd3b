"""``patronus run``: what it prints, writes and returns."""

import json
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from patronus.control import endings
from patronus.sim import load_run, load_runs
from patronus.sim.prober import Prober
from tests.control.command import SCENARIO, failing, patronus, scenario, undecided


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def summary(folder: str | Path) -> dict[str, Any]:
    """Return the summary that a folder holds."""
    loaded: dict[str, Any] = json.loads((Path(folder) / "summary.json").read_text())
    return loaded


def test_a_rehearsal_that_passes(here: Path) -> None:
    """Expectations met: 0, a table, a whole folder, nothing on the standard error."""
    told = patronus("run", scenario(here).name)
    assert (told.exit_code, told.stderr) == (0, "")
    assert {p.name for p in (here / "runs" / "cut-1").iterdir()} >= {
        "summary.json", "journal.jsonl", "report.html", "junit.xml", "failovers.parquet",
        "detections.parquet", "series.parquet",
    }  # fmt: skip
    written = summary("runs/cut-1")
    for shown in (
        "PASS  failover.max < 1s  measured",
        "PASS  loops == 0",
        "p50       p95       p99       max",
        "detection",
        "outage",
        written["decisions_sha256"],
        written["journal_sha256"],
        "0 loops, 0 black holes",
        "runs/cut-1/report.html",
        "PASS: every expectation is met",
    ):
        assert shown in told.stdout


def test_modes_decide_alike(here: Path) -> None:
    """A mode is asked for, named in the command of the run, and changes nothing."""
    for mode in ("lazy", "event", "auto"):
        assert patronus("run", scenario(here).name, "--mode", mode, "--out", mode).exit_code == 0
    lazy, event = summary("lazy"), summary("event")
    assert (lazy["mode"], event["mode"]) == ("lazy", "event")
    assert lazy["journal_sha256"] == event["journal_sha256"]
    assert lazy["command"].endswith("--mode lazy")
    assert event["command"].endswith("--mode event")
    small = summary("auto")
    assert small["mode"] == "event", "compiled passes would take longer to load than they save"
    assert "--mode" not in small["command"]


def test_the_summary_holds_what_is_promised(here: Path) -> None:
    """``summary.json`` has every figure that tools may rely on, and the run's own command."""
    patronus("run", scenario(here).name, "--out", "out")
    written = summary("out")
    assert {
        "name", "about", "path", "backend", "mode", "seed", "verdict", "expectations", "counts",
        "detection_ms", "failover_ms", "switch_ms", "outage_ms", "classes", "checks",
        "decisions_sha256", "journal_sha256", "simulated_s", "wall_s", "peak_rss_mb", "versions",
        "interrupted", "converged", "warnings", "command", "settings",
    } <= set(written)  # fmt: skip
    assert {"sites", "tunnels", "probes", "decisions"} <= set(written["counts"])
    assert {"loops", "black_holes", "flaps"} <= set(written["checks"])
    assert {"n", "p50", "p95", "p99", "max"} <= set(written["failover_ms"])
    assert {"offered", "lost"} <= set(written["classes"]["default"])
    assert (written["backend"], written["mode"], written["verdict"]) == ("sim", "event", "pass")
    assert [e["verdict"] for e in written["expectations"]] == ["pass", "pass"]
    assert written["counts"]["decisions"] > 0
    assert written["command"] == "patronus run cut.patronus.yml --seed 1"


def test_a_failure_can_be_reproduced(here: Path) -> None:
    """An expectation that is not met is 1, and the printed command fails in the same way."""
    file = scenario(here, text=failing())
    told = patronus("run", file.name, "--set", "about=cut it", "--seed", "7", "--out", "one")
    assert told.exit_code == endings.FAIL
    assert "FAIL: 1 of 2 expectations is not met" in told.stdout
    last = told.stderr.splitlines()[-1]
    assert last.startswith("Reproduce: patronus run ")
    again = patronus(*shlex.split(last)[2:], "--out", "two")
    assert again.exit_code == endings.FAIL
    assert summary("one")["journal_sha256"] == summary("two")["journal_sha256"]
    assert summary("two")["about"] == "cut it"


def test_one_seed_decides_nothing_about_others(here: Path) -> None:
    """A statement about new seeds stays undecided after one: 3, and how many are needed."""
    told = patronus("run", scenario(here, text=undecided()).name)
    assert told.exit_code == endings.UNDECIDED
    assert "299 seeds are needed" in told.stdout
    assert "UNDECIDED: 1 of 2 expectations cannot be decided" in told.stdout


def test_nothing_expected_is_nothing_judged(here: Path) -> None:
    """A scenario without expectations ends with 0 and says that it was not judged."""
    told = patronus("run", scenario(here, text=SCENARIO.partition("expect:")[0]).name)
    assert told.exit_code == endings.PASS
    assert "NONE: no expectations, so nothing was judged" in told.stdout
    assert summary("runs/cut-1")["verdict"] == "none"


def test_a_warm_up_that_does_not_converge_fails(here: Path) -> None:
    """Without a converged start the run fails, whatever was measured afterwards."""
    text = SCENARIO.replace("duration: 6s", "duration: 6s\nwarmup: 0s")
    told = patronus("run", scenario(here, text=text).name)
    assert told.exit_code == endings.FAIL
    assert "FAIL: the overlay had not converged when the scenario began" in told.stdout
    assert summary("runs/cut-1")["verdict"] == "fail"


def test_json_is_the_summary_on_one_line(here: Path) -> None:
    """``--json`` prints the summary of each scenario on a line of its own, and nothing else."""
    one, two = scenario(here), scenario(here, "other", text=failing())
    told = patronus("run", one.name, two.name, "--json", "--out", "out", "--jobs", "1")
    assert told.exit_code == endings.FAIL
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line.pop("folder") for line in lines] == ["out/cut", "out/other"]
    assert lines == [summary("out/cut"), summary("out/other")]


def test_folders_are_never_used_twice(here: Path) -> None:
    """Each run takes the next free number; a folder that was asked for and is used is refused."""
    file = scenario(here).name
    (here / "runs" / "cut-1").mkdir(parents=True)
    assert patronus("run", file).exit_code == 0
    assert patronus("run", file).exit_code == 0
    folders = sorted(p.name for p in (here / "runs").iterdir())
    assert folders == ["cut-1", "cut-2", "cut-3"]
    assert not any((here / "runs" / "cut-1").iterdir())
    before = (here / "runs" / "cut-2" / "summary.json").read_bytes()
    assert patronus("run", file, "--out", "runs/cut-2").exit_code == endings.BAD_INPUT
    assert (here / "runs" / "cut-2" / "summary.json").read_bytes() == before


def test_junit_of_several_scenarios(here: Path) -> None:
    """``--junit`` has a suite a scenario and a case an expectation, and replaces the old file."""
    one, two = scenario(here), scenario(here, "other", text=failing())
    (here / "j.xml").write_text("old")
    patronus("run", one.name, two.name, "--junit", "j.xml", "--out", "out", "--jobs", "1")
    root = ET.parse(here / "j.xml").getroot()
    assert [suite.get("name") for suite in root] == ["cut", "other"]
    assert (root.get("tests"), root.get("failures")) == ("4", "1")
    own = ET.parse(here / "out" / "other" / "junit.xml").getroot()
    assert (own.get("tests"), own.get("failures")) == ("2", "1")


def test_repetitions_have_a_folder_each(here: Path) -> None:
    """``--repeat`` runs consecutive seeds; each is the very run that its seed gives alone."""
    file = scenario(here).name
    told = patronus("run", file, "--repeat", "3", "--seed", "5", "--jobs", "1", "--out", "many")
    assert told.exit_code == 0
    assert "seeds 5 to 7" in told.stdout
    runs = load_runs("many")
    assert [run.seed for run in runs] == [5, 6, 7]
    assert len({run.summary["journal_sha256"] for run in runs}) == 3
    patronus("run", file, "--seed", "6", "--out", "one")
    assert load_run("one").summary["journal_sha256"] == runs[1].summary["journal_sha256"]
    whole = summary("many")
    assert whole["seeds"] == [5, 6, 7]
    assert whole["verdict"] == "pass"
    assert "journal_sha256" not in whole
    total = sum(run.summary["counts"]["decisions"] for run in runs)
    assert whole["counts"]["decisions"] == total > 0
    assert whole["counts"]["sites"] == 3
    assert whole["failover_ms"]["n"] == sum(len(run.failovers) for run in runs)
    assert whole["command"] == "patronus run cut.patronus.yml --seed 5 --repeat 3"
    assert "seed-6/report.html" in (here / "many" / "report.html").read_text()


def test_a_growing_experiment_stops_when_it_knows(here: Path) -> None:
    """``--repeat auto`` stops at the first look that decides, long before its maximum."""
    text = SCENARIO.replace("failover.max < 1s", "failover.p50 < 1ms @ 60%")
    file = scenario(here, text=text).name
    told = patronus("run", file, "--repeat", "auto", "--max", "32", "--out", "out", "--jobs", "1")
    assert told.exit_code == endings.FAIL
    assert len(summary("out")["seeds"]) == 8
    assert told.stderr.endswith("cut.patronus.yml --seed 1 --repeat auto --max 32\n")


def test_stopping_early(here: Path) -> None:
    """``--stop-at`` ends the run as if the scenario ended there."""
    told = patronus("run", scenario(here).name, "--stop-at", "900ms", "--out", "out")
    assert told.exit_code == endings.UNDECIDED
    run = load_run("out")
    assert run.decisions["t_ns"].max() < 1_000_000_000 or run.decisions.empty
    assert run.faults.empty
    assert run.summary["stop_at_s"] == 0.9
    assert told.stderr.endswith("--seed 1 --stop-at 900ms\n")


def test_a_trace_is_the_same_run_probe_by_probe(here: Path) -> None:
    """``--trace`` writes every probe between two sites and changes nothing else."""
    file = scenario(here).name
    patronus("run", file, "--out", "plain")
    assert patronus("run", file, "--trace", "rome:oslo", "--out", "traced").exit_code == 0
    lines = (here / "traced" / "trace.txt").read_text().splitlines()
    lost = [line for line in lines if "mpls>oslo: probe" in line and "lost on the way out" in line]
    assert 25 <= len(lost) <= 35  # 3 s at 10 Hz
    assert any("mpls>oslo: is silent" in line for line in lines)
    assert any("decision for default: mpls>oslo -> broadband>oslo" in line for line in lines)
    assert not any("berlin" in line for line in lines)
    assert summary("plain")["journal_sha256"] == summary("traced")["journal_sha256"]


def test_an_interruption_keeps_what_there_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in mid-run leaves a marked folder without verdicts, and 130."""
    interrupt_after(monkeypatch, 80)
    told = patronus("run", scenario(here).name, "--out", "out")
    assert told.exit_code == endings.INTERRUPTED
    assert "INVALID: interrupted, so nothing is concluded" in told.stdout
    written = summary("out")
    assert (written["interrupted"], written["verdict"]) == (True, "invalid")
    assert {e["verdict"] for e in written["expectations"]} == {"undecided"}
    assert {e["note"] for e in written["expectations"]} == {"interrupted"}
    assert "This run was interrupted." in (here / "out" / "report.html").read_text()


def test_an_interruption_keeps_finished_seeds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several seeds the finished ones stay, the one under way is dropped."""
    interrupt_after(monkeypatch, 280)
    told = patronus("run", scenario(here).name, "--repeat", "9", "--jobs", "1", "--out", "out")
    assert told.exit_code == endings.INTERRUPTED
    written = summary("out")
    assert (written["seeds"], written["verdict"]) == ([1, 2], "invalid")
    assert written["interrupted"]
    assert [run.summary["verdict"] for run in load_runs("out")] == ["pass", "pass"]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, slots: int) -> None:
    """Let somebody press Ctrl-C after so many slots of 100 ms."""
    step, left = Prober.step, iter(range(slots))

    def interrupted(self: Prober, *arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Prober, "step", interrupted)


def test_a_bug_in_the_world_leaves_nothing_behind(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error in mid-run is 70, and the folder taken for it is given back."""

    def broken(self: Prober, *arguments: Any) -> Any:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(Prober, "step", broken)
    told = patronus("run", scenario(here).name)
    assert told.exit_code == endings.BUG
    assert "Traceback" in told.stderr
    assert told.stderr.endswith("Reproduce: patronus run cut.patronus.yml\n")
    assert not (here / "runs").exists()


def test_a_shipped_scenario_has_a_name(here: Path) -> None:
    """The name of a shipped scenario stands for its file, unless a file has that name."""
    told = patronus("check", "demo")
    assert told.exit_code == 0
    assert told.stdout.startswith("demo (")
    scenario(here, "demo").rename(here / "demo")
    assert patronus("check", "demo").stdout.startswith("demo (demo)\n  3 sites")
