"""Bad input: every message as it is printed, the exit code 2, and nothing written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.command import SCENARIO, patronus, scenario

Prepare = Callable[[], None]


def write(*files: tuple[str, str | bytes], folder: str = "") -> Prepare:
    """Return what writes some files, after making a folder."""

    def prepare() -> None:
        if folder:
            Path(folder).mkdir()
        for name, text in files:
            Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return prepare


MISTAKE = "patronus: a mistake in what was given; nothing was run\n\n"

MESSAGES: dict[str, tuple[Prepare, list[str], str]] = {
    "missing file": (
        write(("cut.patronus.yml", SCENARIO)),
        ["run", "cat.patronus.yml"],
        (
            f"{MISTAKE}cat.patronus.yml: no such file\n"
            "  expected: a file that exists\n"
            "  help: did you mean `cut.patronus.yml`?\n\n"
        ),
    ),
    "directory": (
        write(folder="folder"),
        ["check", "folder"],
        f"{MISTAKE}folder: this is a directory\n  expected: a file\n\n",
    ),
    "empty file": (
        write(("e.patronus.yml", "")),
        ["run", "e.patronus.yml"],
        (
            f"{MISTAKE}e.patronus.yml: the file is empty\n"
            "  expected: a scenario, which begins with `version: 1`\n\n"
        ),
    ),
    "huge file": (
        write(("h.patronus.yml", b"# " + b"x" * (2 << 20))),
        ["check", "h.patronus.yml"],
        (
            f"{MISTAKE}h.patronus.yml: larger than 1 MiB\n"
            "  expected: a smaller file; long tables can be CSV files\n\n"
        ),
    ),
    "nothing selected": (
        write(("s.patronus.yml", SCENARIO.replace("site: rome", "site: roma"))),
        ["run", "s.patronus.yml"],
        (
            f"{MISTAKE}s.patronus.yml:9:62: there is no site `roma`\n"
            "    9 |   - {kind: blackhole, name: cut, at: 1s, for: 3s, on: {site: roma, "
            "transport: mpls}}\n"
            f"      | {' ' * 61}^^^^\n"
            "  expected: berlin, oslo, rome, all, hubs, spokes\n"
            "  help: did you mean `rome`?\n\n"
        ),
    ),
    "used folder": (
        write(("cut.patronus.yml", SCENARIO), ("notes", "kept")),
        ["run", "cut.patronus.yml", "--out", "."],
        "patronus: . already holds files; choose a new folder\n",
    ),
    "folder in a file": (
        write(("cut.patronus.yml", SCENARIO), ("file", "kept")),
        ["run", "cut.patronus.yml", "--out", "file/out"],
        "patronus: cannot write file/out: {here}/file is a file\n",
    ),
    "runs is a file": (
        write(("cut.patronus.yml", SCENARIO), ("runs", "kept")),
        ["run", "cut.patronus.yml"],
        "patronus: cannot write {here}/runs: File exists; --out names another place\n",
    ),
    "junit is a folder": (
        write(("cut.patronus.yml", SCENARIO), folder="j"),
        ["run", "cut.patronus.yml", "--junit", "j"],
        "patronus: cannot write j: it is a folder\n",
    ),
    "junit without folder": (
        write(("cut.patronus.yml", SCENARIO)),
        ["run", "cut.patronus.yml", "--junit", "no/j.xml"],
        "patronus: cannot write no/j.xml: there is no folder {here}/no\n",
    ),
    "wrong setting": (
        write(("cut.patronus.yml", SCENARIO)),
        ["check", "cut.patronus.yml", "--set", "duratoin=3s"],
        f"{MISTAKE}--set:1:1: ",
    ),
    "no such trace": (
        write(("cut.patronus.yml", SCENARIO)),
        ["run", "cut.patronus.yml", "--trace", "rome:paris"],
        f"{MISTAKE}--trace: destination 'paris' matches nothing (there are berlin, oslo, rome)\n\n",
    ),
    "trace without pair": (
        write(("cut.patronus.yml", SCENARIO)),
        ["run", "cut.patronus.yml", "--trace", "rome"],
        f"{MISTAKE}--trace: a trace is given as SITE:DESTINATION, not 'rome'\n\n",
    ),
    "endless number": (
        write(("n.patronus.yml", SCENARIO.replace("6s", f"{'9' * 30}s"))),
        ["check", "n.patronus.yml"],
        (
            f"{MISTAKE}n.patronus.yml:5:11: `{'9' * 30}s` is too large\n"
            f"    5 | duration: {'9' * 30}s\n"
            f"      |           {'^' * 31}\n"
            "  expected: a duration above zero such as 300ms or 30s\n"
            "  help: at most `8760h`\n\n"
        ),
    ),
    "a file, not a folder": (
        write(("r", "")),
        ["report", "r"],
        "patronus: r is a file; a run is a folder\n",
    ),
    "no run folder": (
        write(),
        ["report", "nowhere"],
        "patronus: nowhere is not a run folder: it has no summary.json\n",
    ),
    "damaged run folder": (
        write(("r/summary.json", "{"), folder="r"),
        ["why", "r", "--site", "a", "--to", "b"],
        "patronus: cannot read r/summary.json: ",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_bad_input(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what is wrong and ends with the command; nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    prepare, words, message = MESSAGES[case]
    prepare()
    before = sorted(tmp_path.rglob("*"))
    told = patronus(*words)
    expected = message.replace("{here}", str(tmp_path))
    assert told.stderr.startswith(expected)
    assert told.stderr.endswith(f"Reproduce: patronus {' '.join(words)}\n")
    assert "Traceback" not in told.stderr
    assert (told.exit_code, told.stdout) == (2, "")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_for_junit_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that nothing can be written to is found before anything is run."""
    # Whoever runs as root may write everywhere, so the question to the system is answered here.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    told = patronus("run", scenario(tmp_path), "--junit", tmp_path / "j.xml")
    assert told.exit_code == 2
    assert f"j.xml: no permission to write in {tmp_path}\n" in told.stderr


OPTIONS = {
    ("run",): "Missing argument 'FILE…'.",
    (
        "run",
        "x",
        "--repeat",
        "few",
    ): "Invalid value for --repeat: 'few' is neither `auto` nor a number",
    ("run", "x", "--repeat", "0"): "Invalid value for --repeat: '0' is neither `auto` nor a number",
    ("run", "x", "--repeat", "9" * 30): "is neither `auto` nor a number from 1 to 1,000,000",
    ("run", "x", "--repeat", "-3"): "Invalid value for --repeat: '-3' is neither",
    ("run", "x", "--repeat", "auto", "--max", "9" * 30): "Invalid value for '--max'",
    ("run", "x", "--seed", "9" * 30): "Invalid value for '--seed'",
    ("run", "dual-isp-blackout", "--seed", str(2**63 - 2), "--repeat", "3"): (
        "3 seeds from 9223372036854775806 on are too large"
    ),
    ("dual-isp-blackout",): (
        "no such command 'dual-isp-blackout'; did you mean `patronus run dual-isp-blackout`?"
    ),
    ("run", "x", "--repeat", "auto"): "`--repeat auto` and `--max N` belong together",
    ("run", "x", "--max", "9"): "`--repeat auto` and `--max N` belong together",
    ("run", "x", "--jobs", "0"): "Invalid value for '--jobs'",
    ("run", "x", "--seed", "-1"): "Invalid value for '--seed'",
    ("run", "x", "--stop-at", "30"): "Invalid value for '--stop-at': `30` has no unit",
    ("run", "x", "--stop-at", "0s"): "Invalid value for '--stop-at'",
    ("run", "x", "--sed", "1"): "No such option",
    ("why", "x", "--to", "b"): "Missing option '--site'",
    ("why", "x", "--site", "a", "--to", "b", "--at", "soon"): "Invalid value for '--at'",
}


@pytest.mark.parametrize("words", OPTIONS, ids=" ".join)
def test_options_that_make_no_sense(words: tuple[str, ...]) -> None:
    """A wrong option is explained and is bad input."""
    told = patronus(*words)
    assert told.exit_code == 2
    assert OPTIONS[words] in told.stderr
    assert told.stderr.endswith(f"Reproduce: patronus {' '.join(words)}\n")


def test_all_files_are_read_before_any_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistakes of every file come together, and no file has been run by then."""
    monkeypatch.chdir(tmp_path)
    good = scenario(tmp_path)
    one = scenario(tmp_path, "one", duration="duratoin")
    two = scenario(tmp_path, "two", blackhole="blckhole")
    told = patronus("run", good.name, one.name, two.name)
    assert told.exit_code == 2
    assert "one.patronus.yml:5:1: " in told.stderr
    assert "two.patronus.yml:9:12: " in told.stderr
    assert not (tmp_path / "runs").exists()


def test_a_network_that_cannot_be_built_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only compiling finds names the place in the file, too, and nothing is run."""
    monkeypatch.chdir(tmp_path)
    text = SCENARIO.partition("faults:")[0] + (
        "groups: {g: ['mpls:atlantis-utopia']}\n"
        "faults:\n  - {kind: shared-risk-cut, on: {group: g}, at: 1s}\n"
    )
    path = scenario(tmp_path, text=text)
    for command in ("run", "check"):
        told = patronus(command, path.name)
        assert (told.exit_code, told.stdout) == (2, "")
        assert "cut.patronus.yml" in told.stderr
        assert "atlantis" in told.stderr
    assert not (tmp_path / "runs").exists()
