"""``patronus compare`` on two policies: figures, JSON, and what cannot be compared."""

import json
from pathlib import Path

import pytest

from patronus.control import endings
from tests.control.command import patronus, scenario

SLOW = "version: 1\nliveness: {mpls: {interval: 100ms, multiplier: 6}}\n"
QUICK = "version: 1\nliveness: {mpls: {interval: 100ms, multiplier: 3}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in a folder with a scenario and two policies."""
    monkeypatch.chdir(tmp_path)
    scenario(tmp_path)
    (tmp_path / "slow.yml").write_text(SLOW)
    (tmp_path / "quick.yml").write_text(QUICK)
    return tmp_path


SMALL = ("--repeat", "6", "--jobs", "1", "--stop-at", "3s")


def test_two_policies_under_the_same_luck() -> None:
    """The paired difference of each percentile, its interval, and what pairing was worth."""
    words = ("cut.patronus.yml", "--policy", "slow.yml", "--policy", "quick.yml", *SMALL)
    told = patronus("compare", *words)
    assert (told.exit_code, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[:3] == ["A: slow.yml", "B: quick.yml", "6 pairs of runs"]
    for name in ("detection.p50", "detection.p95", "detection.p99", "outage.p99"):
        row = next(line for line in lines if line.startswith(name))
        assert row.endswith("  6")
        assert " -" in row
    assert "each of B with those of A under other seeds" in told.stdout


def test_one_policy_is_compared_with_the_scenarios_own() -> None:
    """A is the scenario as it is; B's own seeds are simulated where asked for."""
    words = ("cut.patronus.yml", "--policy", "slow.yml", "--independent", "--seed", "5", *SMALL)
    told = patronus("compare", *words, "--json")
    assert told.exit_code == 0
    record = json.loads(told.stdout)
    assert (record["a"], record["b"]) == ("cut.patronus.yml", "slow.yml")
    assert record["seeds"] == [[s, s] for s in range(5, 11)]
    assert record["finished"] is True
    figures = {f["name"]: f for f in record["figures"]}
    low, high = figures["detection.p99"]["interval"]
    assert 0 < low <= figures["detection.p99"]["difference"] <= high
    assert figures["detection.p99"]["narrowing"]["unpaired_by"] == "seeds of its own"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a",), "either two folders of runs, or a scenario and `--policy FILE`"),
        (("a", "b", "c"), "either two folders of runs"),
        (("a", "b", "--repeat", "5"), "`--repeat` belongs to a scenario and `--policy FILE`"),
        (("a", "b", "--set", "x=1"), "`--set` belongs to a scenario"),
        (("cut.patronus.yml", "x", "--policy", "slow.yml"), "given once or twice, with one"),
        (("cut.patronus.yml", *("--policy", "slow.yml") * 3), "given once or twice"),
        (("cut.patronus.yml", "--policy", "slwo.yml"), "did you mean `slow.yml`"),
        (("cut.patronus.yml", "--policy", "slow"), "--policy:1:1"),
        (("nowhere.patronus.yml", "--policy", "slow.yml"), "no such file"),
        (("cut.patronus.yml", "--policy", "slow.yml", "--seed", "9223372036854775807"),
         "seeds from 9223372036854775807 on are too large"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(words: tuple[str, ...], message: str) -> None:
    """One message says what is wrong; nothing is run."""
    told = patronus("compare", *words)
    assert told.exit_code == endings.BAD_INPUT
    assert message in told.stderr
    assert "Traceback" not in told.stderr


def test_mistakes_of_both_policies_are_told(here: Path) -> None:
    """Each file with its line, and once where both share it."""
    (here / "slow.yml").write_text("version: 1\nmagrin: 5%\n")
    (here / "quick.yml").write_text("version: 1\nevaluation: soon\n")
    words = ("cut.patronus.yml", "--policy", "slow.yml", "--policy", "quick.yml")
    told = patronus("compare", *words)
    assert told.exit_code == endings.BAD_INPUT
    assert "slow.yml:2:1: " in told.stderr
    assert "quick.yml:2:13: " in told.stderr
