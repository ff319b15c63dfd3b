"""Set-up on machines that lack something, played with stand-in programs."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.rules.tree import ROOT

PYTHON = """#!/bin/sh
# A Python whose venv module is missing until apt-get has brought it.
here=$(dirname "$0")
case "$*" in
  *"< (3, 11)"*) exit {too_old} ;;
  *ensurepip*) test -e "$here/brought" ;;
  *"%d.%d"*) echo 3.11 ;;
  "-m venv "*) mkdir -p "$3/bin" && touch "$3/bin/python" ;;
esac
"""

APT = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/apt.log"
case "$*" in install*) touch "$(dirname "$0")/brought" ;; esac
"""


def machine(folder: Path, *, too_old: bool = False, user: int = 0) -> dict[str, str]:
    """Return the environment of a machine with these programs before the real ones."""
    programs = {"python3": PYTHON.format(too_old=int(too_old)), "apt-get": APT}
    programs["id"] = f"#!/bin/sh\necho {user}\n"
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHON": "python3"}


def make_venv(folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script that makes the virtual environment."""
    script = [ROOT / ".ci" / "make-venv", folder / "venv"]
    return subprocess.run(script, env=env, capture_output=True, text=True, check=False)


def test_root_gets_the_missing_module(tmp_path: Path) -> None:
    """Where Debian's Python cannot make environments, root installs what is missing."""
    done = make_venv(tmp_path, machine(tmp_path))
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "apt.log").read_text()
    assert log == "update -qq\ninstall -qq --no-install-recommends python3.11-venv\n"
    assert (tmp_path / "venv" / "bin" / "python").is_file()


def test_a_user_is_told_what_to_install(tmp_path: Path) -> None:
    """Without the right to install, the command that helps is printed and nothing is made."""
    done = make_venv(tmp_path, machine(tmp_path, user=1000))
    assert done.returncode == 1
    assert "sudo apt-get install python3.11-venv" in done.stderr
    assert not (tmp_path / "apt.log").exists()
    assert not (tmp_path / "venv").exists()


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    """A Python before 3.11 is named as the reason, with the way to name another."""
    done = make_venv(tmp_path, machine(tmp_path, too_old=True))
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; tried: python3." in done.stderr
    assert not (tmp_path / "venv").exists()


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    """An environment that is there is left as it is."""
    env = machine(tmp_path, too_old=True)
    for name in ("python", "pip"):
        program = tmp_path / "venv" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("")
        program.chmod(0o755)
    assert make_venv(tmp_path, env).returncode == 0


@pytest.mark.parametrize("taken", [(), ("demo",), ("demo", "demo-2")])
def test_the_demo_takes_a_fresh_folder(tmp_path: Path, taken: tuple[str, ...]) -> None:
    """The demo writes beside earlier demos, never over one."""
    for name in taken:
        (tmp_path / "runs" / name).mkdir(parents=True)
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    patronus = bin_ / "patronus"
    patronus.write_text('#!/bin/sh\nmkdir "$4" && echo page > "$4/report.html"\n')
    patronus.chmod(0o755)
    command = ["make", "-f", str(ROOT / "Makefile"), "-o", ".venv/.installed-demo", "demo"]
    (bin_.parent / ".installed-demo").touch()
    # What was said to the make that runs the suite is not meant for this one.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
    fresh = "demo" if not taken else f"demo-{len(taken) + 1}"
    assert (tmp_path / "runs" / fresh / "report.html").is_file()
