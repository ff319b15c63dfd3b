"""``patronus whatif``: what it prints, writes and returns."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from patronus.control import endings
from patronus.sim import load, run
from tests.control.command import patronus
from tests.sim.report.reader import Page
from tests.sim.whatif.nurseries import SCENARIO, scenario

ONE = ("--only", "group")
"""The quickest study: one failure."""

LARGE = """\
version: 1
topology: {sites: 10000}
transports: [mpls, broadband]
traffic: [{class: default, from: all, to: site1, rate: 1Mbps}]
"""

# Ctrl-C comes when the first failure has been told of, however slow the machine is.
INTERRUPTED = """
import os, signal, sys
from patronus.control.cli import main
from patronus.sim.whatif.outcome import Outcome
from patronus.sim.whatif.study import Study
messages = Study.messages
def watched(self):
    for message in messages(self):
        yield message
        if isinstance(message, Outcome):
            os.kill(os.getpid(), signal.SIGINT)
Study.messages = watched
if __name__ == "__main__":
    main()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in an empty folder that holds the scenario."""
    monkeypatch.chdir(tmp_path)
    scenario(tmp_path)
    return tmp_path


def test_a_study(here: Path) -> None:
    """A table, a whole folder, exit code 1 for a broken limit, and how to do it again."""
    told = patronus(
        "whatif", "small.patronus.yml", *ONE, "--duration", "4s", "--limit", "voice=0s",
        "--jobs", "1",
    )  # fmt: skip
    assert told.exit_code == endings.FAIL
    folder = here / "runs" / "small-whatif-1"
    assert {p.name for p in folder.iterdir()} == {"whatif.json", "report.html", "exposures.parquet"}
    for shown in (
        "small: 5 sites, 24 tunnels, ",
        "1  group.duct  voice",
        "voice is out for 1 s",
        "kind   failures  harmless  out for a time",
        "runs/small-whatif-1/report.html",
        "FAIL: 1 failure of 1 break what is allowed",
    ):
        assert shown in told.stdout
    assert "Reproduce: patronus whatif small.patronus.yml --seed 1 --only group" in told.stderr
    record = json.loads((folder / "whatif.json").read_text())
    (entry,) = record["failures"]
    assert (entry["id"], entry["verdict"], entry["verified"]) == ("group.duct", "fail", ["yes"])
    assert entry["classes"]["voice"]["by_second"][0] == entry["classes"]["voice"]["out"] > 0
    rows = pd.read_parquet(folder / "exposures.parquet")
    assert set(rows["failure"]) == {"group.duct"}
    assert len(rows) == entry["exposures"] > 0
    page = Page((folder / "report.html").read_text())
    assert "Of 1 failure 0 harm nothing" in page.text
    assert "h5" in " ".join(page.of("class"))


def test_a_failure_as_a_file(here: Path) -> None:
    """What is written runs as it is, with the same exposures, from another folder as well."""
    (here / "inner").mkdir()
    told = patronus("whatif", "small.patronus.yml", "--write", "link.s1.mpls", "inner/cut.yml")
    assert (told.exit_code, told.stderr) == (0, "")
    assert "run it: patronus run inner/cut.yml --seed 1" in told.stdout
    written = load("inner/cut.yml")
    assert [f.name for f in written.faults] == ["link.s1.mpls"]
    assert [e.text for e in written.expectations] == ["failover.max < 250ms"]
    assert len(run(written, until_ns=2 * 10**9).failovers) > 0
    again = patronus("whatif", "small.patronus.yml", "--write", "link.s1.mpls", "inner/cut.yml")
    assert again.exit_code == endings.BAD_INPUT
    assert "inner/cut.yml exists already" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "cable"], "'cable' is not one of 'link', 'transport'"),
        (["--limit", "fax=1s"], "there is no class 'fax' (voice, default)"),
        (["--limit", "voice=soon"], "expected [CLASS=]"),
        (["--out", "small.patronus.yml"], "small.patronus.yml is a file; choose a new folder"),
        (["--out", "."], ". already holds files; choose a new folder"),
        (["--write", "link.s9.mpls", "x.yml"], "there is no failure 'link.s9.mpls' here"),
        (["--set", "start=cold"], "small starts cold"),
        (["--set", "traffic=[]"], "small offers no traffic, so no class can break its SLA"),
        (["--duration", "0s"], "makes no sense here"),
    ],
)
def test_bad_input(words: list[str], said: str) -> None:
    """One clear message each, nothing simulated, nothing written."""
    told = patronus("whatif", "small.patronus.yml", "--jobs", "2", *words)
    assert told.exit_code == endings.BAD_INPUT
    assert said in " ".join(told.stderr.split())
    assert not Path("runs").exists()


def test_more_sites_than_memory_allows(here: Path) -> None:
    """The estimate is told before anything is built."""
    scenario(here, LARGE)
    told = patronus("whatif", "small.patronus.yml", "--jobs", "2")
    assert told.exit_code == endings.INVALID
    assert "GB are free; use --jobs 1, fewer sites or a mesh with hubs" in told.stderr


def test_an_overlay_that_does_not_converge(here: Path) -> None:
    """A warm-up that is too short is no basis for a study, and costs 1 as it does for a run."""
    told = patronus("whatif", "small.patronus.yml", *ONE, "--set", "warmup=1ms")
    assert told.exit_code == endings.FAIL
    assert "had not converged" in told.stderr
    assert not Path("runs").exists()


def test_ctrl_c_leaves_what_is_finished(here: Path) -> None:
    """The failures that were simulated are kept and told, the others counted, and 130."""
    (here / "main.py").write_text(INTERRUPTED)
    words = ["whatif", "small.patronus.yml", "--only", "site", "--jobs", "1", "--out", "out"]
    done = subprocess.run(
        [sys.executable, "main.py", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == endings.INTERRUPTED
    assert done.stderr.startswith("Reproduce: patronus whatif")
    record = json.loads((here / "out" / "whatif.json").read_text())
    assert record["interrupted"]
    assert len(record["failures"]) == 1
    assert len(record["not_simulated"]) == 4
    assert "interrupted, so nothing is concluded" in done.stdout


def test_json(here: Path) -> None:
    """With --json the record is one line, and nothing that judges means 0."""
    text = SCENARIO.partition("expect:")[0]
    scenario(here, text)
    told = patronus("whatif", "small.patronus.yml", *ONE, "--json", "--out", "out", "--top", "0")
    assert (told.exit_code, told.stderr) == (0, "")
    (line,) = told.stdout.splitlines()
    assert json.loads(line)["verdict"] == "none"
    assert json.loads(line)["folder"] == "out"
