"""The README's commands work as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.tree import ROOT

RUN_BY_CI = ("make demo", "make test")
"""The two commands that do all set-up; a test cannot run the suite it is part of."""


def commands(document: str) -> list[str]:
    """Return the lines of all ``sh`` blocks of a document, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", document, flags=re.DOTALL | re.MULTILINE)
    lines = (line.split(" #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


README = commands((ROOT / "README.md").read_text())


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of ``patronus`` as a reader in a checkout would."""
    program, *arguments = shlex.split(command)
    assert program == "patronus", f"nothing checks this command: {command}"
    for name in ("scenarios", "notebooks"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    installed = Path(sys.executable).with_name(program)
    return subprocess.run(
        [installed, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_ci_runs_the_two_commands() -> None:
    """The README opens with two commands, and continuous integration runs exactly these."""
    assert tuple(README[:2]) == RUN_BY_CI
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert sorted(line for line in script if line.startswith("make")) == sorted(RUN_BY_CI)


def test_every_make_target_named_exists() -> None:
    """Each ``make`` command in the documents names a target that make knows."""
    texts = [(ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")]
    named = {target for text in texts for target in re.findall(r"\bmake ([a-z][\w-]*)`", text)}
    named.update(line.split()[1] for line in README if line.startswith("make "))
    for target in sorted(named):
        subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=True)


def test_every_patronus_command_works(tmp_path: Path) -> None:
    """The README's ``patronus`` commands succeed, one after the other, in one folder."""
    for command in README:
        if command not in RUN_BY_CI:
            done = run(command, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("```sh\nmake demo\n```\n", ["make demo"]),
        ("```sh\n# set-up\nmake demo  # first\n\nmake test\n```\n", ["make demo", "make test"]),
        ("```yaml\nversion: 1\n```\n", []),
        ("a\n```sh\na b\n```\ntext `c`\n```sh\nd\n```\n", ["a b", "d"]),
    ],
)
def test_commands_are_read_from_shell_blocks(document: str, expected: list[str]) -> None:
    """Commands are the lines of shell blocks, and nothing else is."""
    assert commands(document) == expected


def test_an_unknown_command_is_found(tmp_path: Path) -> None:
    """A command that nothing checks is an error, not a line that is passed over."""
    with pytest.raises(AssertionError, match="nothing checks"):
        run("curl example.org", tmp_path)


def test_the_scenario_shown_runs_and_passes(tmp_path: Path) -> None:
    """What the README shows as a scenario is one, and its expectations hold."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.M)
    assert len(blocks) == 1
    (tmp_path / "mine.patronus.yml").write_text(blocks[0])
    for command in ("patronus check mine.patronus.yml", "patronus run mine.patronus.yml"):
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
