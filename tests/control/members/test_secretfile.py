"""Secret files: whole or not at all, ours alone, and clear words when that is not so."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from patronus.control.members.secretfile import SecretError, keep, reveal
from tests.rules.tree import ROOT


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_file_is_ours_alone(tmp_path: Path) -> None:
    """The file has mode 0600 and its new folder 0700, whatever the umask."""
    path = tmp_path / "keys" / "secret"
    before = os.umask(0)
    try:
        keep(path, b"x")
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert reveal(path, bytes_max=1) == b"x"
    assert [p.name for p in path.parent.iterdir()] == ["secret"]


def test_a_file_is_replaced_or_kept(tmp_path: Path) -> None:
    """Whoever makes a first file never destroys one that was faster."""
    path = tmp_path / "secret"
    keep(path, b"first", replace=False)
    with pytest.raises(FileExistsError):
        keep(path, b"second", replace=False)
    assert reveal(path, bytes_max=9) == b"first"
    keep(path, b"second")
    assert reveal(path, bytes_max=9) == b"second"
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_a_kill_at_any_step_leaves_old_or_new(tmp_path: Path) -> None:
    """Killed before any of its steps a writer leaves a whole file, and no litter for long."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.control.members.kills", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen: Counter[tuple[str, str]] = Counter()
    for line in done.stdout.splitlines():
        replace, first, after, *left = line.split()
        assert (after, left) == ("new", ["secret"])
        seen[replace, first] += 1
    assert set(seen) == {("True", "old"), ("True", "new"), ("False", "none"), ("False", "new")}
    assert min(seen.values()) >= 2
    assert sum(seen.values()) > 60, "a writer takes dozens of steps"


@pytest.mark.parametrize("others", [0o640, 0o604, 0o610])
def test_what_others_can_use_is_refused(tmp_path: Path, others: int) -> None:
    """A key that others could read may be known to them: the operator has to decide."""
    path = tmp_path / "secret"
    keep(path, b"x")
    path.chmod(others)
    with pytest.raises(SecretError, match=r"others may read .*secret.*chmod 600"):
        reveal(path, bytes_max=1)


@pytest.mark.parametrize("others", [0o770, 0o703])
def test_a_folder_that_others_write_in_is_refused(tmp_path: Path, others: int) -> None:
    """Who writes in the folder can put another file in the place of ours."""
    folder = tmp_path / "keys"
    keep(folder / "secret", b"x")
    folder.chmod(others)
    with pytest.raises(SecretError, match=r"others may write in .*chmod 700"):
        reveal(folder / "secret", bytes_max=1)
    with pytest.raises(SecretError, match="others may write in"):
        keep(folder / "secret", b"y")


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    """Links, folders and pipes in the place of the file are named, and nothing waits on them."""
    keep(tmp_path / "secret", b"x")
    (tmp_path / "link").symlink_to("secret")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name, says in [("link", "symbolic"), ("pipe", "ordinary"), ("folder", "ordinary")]:
        with pytest.raises(SecretError, match=says):
            reveal(tmp_path / name, bytes_max=1)


def test_what_is_too_long_is_refused(tmp_path: Path) -> None:
    """A file that we have not written does not fill the memory."""
    keep(tmp_path / "secret", b"xx")
    with pytest.raises(SecretError, match="longer than 1 bytes"):
        reveal(tmp_path / "secret", bytes_max=1)


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    """No file is no damage: the caller makes a first one."""
    with pytest.raises(FileNotFoundError):
        reveal(tmp_path / "secret", bytes_max=1)
    with pytest.raises(FileNotFoundError):
        reveal(tmp_path / "no folder" / "secret", bytes_max=1)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """A file in the place of the folder is named in the message."""
    (tmp_path / "keys").write_text("")
    with pytest.raises(SecretError, match=r"cannot write .*keys/secret"):
        keep(tmp_path / "keys" / "secret", b"x")
    with pytest.raises(SecretError, match=r"cannot write .*keys/secret"):
        keep(tmp_path / "keys" / "secret", b"x", replace=False)


@pytest.mark.root
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """What another user has put there is not our key."""
    keep(tmp_path / "secret", b"x")
    os.chown(tmp_path / "secret", 12345, -1)
    with pytest.raises(SecretError, match="belongs to user 12345, not to us"):
        reveal(tmp_path / "secret", bytes_max=1)


FULL = """
import sys
from pathlib import Path
from patronus.control.members.secretfile import SecretError, keep, reveal

path = Path(sys.argv[1]) / "secret"
keep(path, b"old")
try:
    keep(path, bytes(1 << 20))
except SecretError as error:
    print(error)
print(reveal(path, bytes_max=9), [p.name for p in path.parent.iterdir()])
"""


@pytest.mark.root
def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """Without space the old file stays, nothing is left over, and the message says why."""
    shell = 'mount -t tmpfs -o size=64k,mode=700 none "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", shell, "sh", str(tmp_path), sys.executable, FULL],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told, kept = done.stdout.splitlines()
    assert told == f"cannot write {tmp_path}/secret: No space left on device"
    assert kept == "b'old' ['secret']"
