"""``patronus fuzz``: what it prints, leaves behind, refuses, and goes on with after a kill."""

import json
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from patronus.sim.fuzzing import campaign
from patronus.sim.fuzzing.attempts import Attempt
from patronus.sim.fuzzing.drawing import draw
from patronus.sim.fuzzing.trial import Verdict
from tests.control.command import patronus

SOUND = Verdict(journal="00")


def numbers(folder: Path) -> list[int]:
    """Return the schedules that a search has noted, in order."""
    lines = (folder / "tried.jsonl").read_text().splitlines()
    return [json.loads(line)["number"] for line in lines]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let schedules take no time; the third breaks something, and only its second fault counts."""

    def attempt(seed: int, number: int, sites: int | None = None) -> Attempt:
        broken = Verdict("loops", 2, "1.000 s: round and round", "11", 10**9)
        return Attempt(number, broken if number == 3 else SOUND, 60.0, 0.01, 5, again=number == 0)

    monkeypatch.setattr(campaign, "attempt", attempt)


def test_nothing_is_found_on_sound_schedules(quick: None, tmp_path: Path) -> None:
    """The exit code is 0, every schedule is noted once, the summary counts them."""
    told = patronus("fuzz", "--schedules", "3", "--out", tmp_path / "out", "--json")
    assert told.exit_code == 0
    summary = json.loads(told.stdout)
    assert (summary["schedules"], summary["findings"], summary["in_two_modes"]) == (3, {}, 1)
    assert numbers(tmp_path / "out") == [0, 1, 2]


def test_a_search_goes_on_where_it_was(quick: None, tmp_path: Path) -> None:
    """More schedules of the same search are added; none runs twice."""
    out = tmp_path / "out"
    assert patronus("fuzz", "--schedules", "2", "--out", out).exit_code == 0
    told = patronus("fuzz", "--schedules", "3", "--out", out)
    assert numbers(out) == [0, 1, 2]
    assert told.stdout.splitlines()[0] == "3 schedules, 1 of them in two modes"
    assert told.stdout.splitlines()[-1] == "Nothing was found."


def test_a_finding_is_kept_as_it_was_drawn(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is shrunk its file is there; killed meanwhile, a search shrinks it next time."""
    out = tmp_path / "out"

    def killed(self: campaign.Campaign) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign.Campaign, "shrink", killed)
    told = patronus("fuzz", "--schedules", "5", "--out", out)
    assert told.exit_code == 130
    assert "loops: broken by 1 schedule" in told.stdout
    (file,) = out.glob("*.patronus.yml")
    assert file.name == "3-loops.patronus.yml"
    assert file.read_text().startswith("# Schedule 3: loops\n# 1.000 s: round and round\n")
    checked = patronus("check", file)
    assert checked.exit_code == 0
    assert f"seed {draw(1, 3).seed}" in checked.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--schedules", "0"), "0 is not in the range"),
        (("--minutes", "0"), "0.0 is not in the range"),
        (("--sites", "1"), "1 is not in the range"),
        (("--jobs", "x"), "'x' is not a valid integer"),
    ],
)
def test_bad_numbers_are_refused(words: tuple[str, str], told: str, tmp_path: Path) -> None:
    """The exit code is 2 and nothing is written."""
    result = patronus("fuzz", *words, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_search_is_refused(quick: None, tmp_path: Path) -> None:
    """The message says what differs and what to do."""
    out = tmp_path / "out"
    patronus("fuzz", "--schedules", "1", "--out", out)
    told = patronus("fuzz", "--schedules", "1", "--out", out, "--seed", "9")
    assert told.exit_code == 2
    assert "holds a search with seed 1, not 9; choose a new folder" in told.stderr
    told = patronus("fuzz", "--schedules", "1", "--out", out / "search.json")
    assert told.exit_code == 2
    assert "--out:" in told.stderr


def test_a_killed_search_loses_nothing(tmp_path: Path) -> None:
    """After SIGKILL the schedules that were noted are there, and the rest follows."""
    out = tmp_path / "out"
    words = ["fuzz", "--schedules", "2", "--seed", "7", "--out", str(out)]
    code = "from patronus.control.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        tried = out / "tried.jsonl"
        while process.poll() is None and not (tried.exists() and tried.stat().st_size):
            select.select([], [], [], 0.01)
        process.send_signal(signal.SIGKILL)
    before = numbers(out)
    assert before[:1] == [0]
    told = patronus(*words, "--json")
    assert told.exit_code in (0, 1)
    assert sorted(numbers(out)) == [0, 1]
    assert json.loads(told.stdout)["schedules"] == 2
