"""Files are replaced whole or stay as they were."""

import resource
from pathlib import Path

import pytest

from patronus.sim.whole import put


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """The new content is in the old one's place, and nothing lies beside it."""
    for content in (b"one", b"two"):
        put(tmp_path / "f", content)
        assert (tmp_path / "f").read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    """Where the new content does not fit, the old one is still there, whole."""
    put(tmp_path / "f", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            put(tmp_path / "f", b"x" * 2_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error is that of the system, not one of tidying up after it."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        put(tmp_path / "nowhere" / "f", b"")
