"""The folder of a sweep: what is kept, what is refused, and what a kill leaves."""

import json
import math
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from patronus.sim.folder import FolderError
from patronus.sim.sweep.identity import Identity, identity
from patronus.sim.sweep.ledger import BLOCK, MANIFEST, POINTS, Ledger
from patronus.sim.sweep.points import FAILED, Record

GRID: dict[str, Any] = {
    "scenarios": ["a.patronus.yml"], "settings": [], "until_ns": None, "sha256": "0" * 64,
    "parameters": [{"key": "duration", "values": ["3s", "4s"]}], "seeds": list(range(1, 21)),
}  # fmt: skip
US = Identity("1.2.3", "a" * 64)


def done(number: int, **figures: str | float | bool | None) -> Record:
    """Return the record of a finished point."""
    return Record(number, 1, "done", "a", figures={"verdict": "pass", **figures})


def kept(folder: Path) -> list[Record]:
    """Return what another process would find."""
    with Ledger(folder, GRID, US) as ledger:
        return [record for block in ledger.blocks() for record in block]


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Records come back equal and in order, infinite and missing figures among them."""
    records = [done(3, a=1.5, b=None, c=math.inf, d=True, e=7), done(1), done(BLOCK + 1), done(2)]
    with Ledger(tmp_path / "s", GRID, US) as ledger:
        for record in records:
            ledger.keep([record])
        assert [[r.number for r in block] for block in ledger.blocks()] == [[1, 2, 3], [BLOCK + 1]]
    assert kept(tmp_path / "s") == sorted(records, key=lambda record: record.number)


def test_a_point_that_failed_and_then_did_not(tmp_path: Path) -> None:
    """The finished record counts, whichever was written first."""
    failed = Record(1, 1, FAILED, error="no")
    with Ledger(tmp_path, GRID, US) as ledger:
        for record in (failed, done(1), failed):
            ledger.keep([record])
    assert kept(tmp_path) == [done(1)]


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    """What a power cut leaves of a file is not believed; the others are."""
    with Ledger(tmp_path, GRID, US) as ledger:
        for number in range(4):
            ledger.keep([done(number)])
        empty, short, other, _ = sorted((tmp_path / POINTS).iterdir())
        empty.write_bytes(b"")
        short.write_bytes(short.read_bytes()[:-9])
        other.write_bytes(b"{}")
        assert [[r.number for r in block] for block in ledger.blocks()] == [[3]]
        assert ledger.damaged == 3


def test_a_sweep_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    """A folder in which nothing was kept goes again, and one that was there stays."""
    (tmp_path / "there").mkdir()
    for name in ("there", "new/er"):
        with Ledger(tmp_path / name, GRID, US):
            assert (tmp_path / name / MANIFEST).exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "new"]


OTHERS: dict[str, tuple[Identity, dict[str, Any], str]] = {
    "version": (US._replace(version="1.3.0"), GRID, r"begun by Patronus 1\.2\.3, this is 1\.3\.0"),
    "code": (US._replace(code_sha256="b" * 64), GRID, "another state of Patronus 1"),
    "seeds": (US, {**GRID, "seeds": [1]}, "its seeds are 1, 2, …, 20"),
    "parameters": (US, {**GRID, "parameters": []}, "its parameters are duration=3s,4s"),
    "scenarios": (US, {**GRID, "scenarios": ["b"]}, r"its scenarios are a\.patronus\.yml"),
    "settings": (US, {**GRID, "settings": ["a=1"]}, "its settings are none"),
    "end": (US, {**GRID, "until_ns": 7}, "its runs end elsewhere"),
    "text": (US, {**GRID, "sha256": "1" * 64}, "its scenarios said something else"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_folder_of_another_sweep(tmp_path: Path, name: str) -> None:
    """Another version, another state of the code, another sweep: refused, nothing changed."""
    with Ledger(tmp_path, GRID, US) as ledger:
        ledger.keep([done(1)])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    who, what, told = OTHERS[name]
    with pytest.raises(FolderError, match=told):
        Ledger(tmp_path, what, who)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is damaged"),
        ("[]", "does not say what is swept"),
        (json.dumps({"format": 2, **US._asdict(), "grid": GRID}), "choose a new folder"),
    ],
)
def test_a_folder_that_cannot_be_understood(tmp_path: Path, text: str, told: str) -> None:
    """A damaged manifest and a format of the future are refused, and stay as they are."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(FolderError, match=told):
        Ledger(tmp_path, GRID, US)
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    """A folder that holds files of any other kind is left alone."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FolderError, match="already holds files"):
        Ledger(tmp_path, GRID, US)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_sweep_at_a_time(tmp_path: Path) -> None:
    """Two processes never work on one folder; once the first is gone the second may."""
    with Ledger(tmp_path, GRID, US) as ledger:
        ledger.keep([done(1)])
        with pytest.raises(FolderError, match="another process is at work"):
            Ledger(tmp_path, GRID, US)
    assert kept(tmp_path) == [done(1)]


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Let no file become larger: a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_without_room(tmp_path: Path) -> None:
    """What cannot be kept is an error; what was kept before is still there, and nothing half."""
    with Ledger(tmp_path, GRID, US) as ledger:
        ledger.keep([done(1)])
        with small_files(10), pytest.raises(FolderError, match="File too large"):
            ledger.keep([done(2)])
        with small_files(10), pytest.raises(FolderError), ledger.filling("t") as place:
            place.write_bytes(b"x" * 100)
        with small_files(10), pytest.raises(FolderError):
            ledger.write("summary.json", b"x" * 100)
    assert kept(tmp_path) == [done(1)]
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST, POINTS}


def test_a_folder_that_is_taken_away(tmp_path: Path) -> None:
    """Somebody who removes it in the middle of a sweep is told that it cannot be written."""
    with Ledger(tmp_path / "s", GRID, US) as ledger:
        shutil.rmtree(tmp_path / "s")
        with pytest.raises(FolderError, match="No such file or directory"):
            ledger.keep([done(1)])


def test_who_we_are() -> None:
    """Another process of the same checkout is the same Patronus."""
    code = "from patronus.sim.sweep.identity import identity; print(identity())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(identity())
    assert len(identity().code_sha256) == 64
