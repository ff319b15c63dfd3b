"""Keys by generation: the folder alone says which ones there are."""

import os
from pathlib import Path

import pytest

from patronus.control.agent.keyring import Keyring, slot
from patronus.dataplane.tunnels.keys import KeyStore, KeyTrouble, public_of


def ring(folder: Path, *transports: str, two: bool = True) -> Keyring:
    return Keyring(KeyStore(folder / "keys"), transports, two=two)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "keys").iterdir())


def test_a_first_key_is_made_and_kept(tmp_path: Path) -> None:
    """It has the name of its transport, and is the same at the next start."""
    first = ring(tmp_path, "lte", "mpls")
    assert first.pair("lte") == first.pair("mpls") == (0,)
    assert names(tmp_path) == ["lte", "mpls"]
    again = ring(tmp_path, "lte")
    assert again.private("lte", 0) == first.private("lte", 0)
    assert again.public("lte", 0) == public_of(first.private("lte", 0))


def test_a_key_is_replaced_in_two_steps(tmp_path: Path) -> None:
    """Both are there in between; a start finds what there is, whenever it is."""
    keys = ring(tmp_path, "lte", "lte-2")
    keys.add("lte", 1)
    assert keys.pair("lte") == ring(tmp_path, "lte").pair("lte") == (0, 1)
    assert keys.private("lte", 1) != keys.private("lte", 0)
    keys.forget("lte", 0)
    keys.forget("lte", 0)
    assert keys.pair("lte") == ring(tmp_path, "lte").pair("lte") == (1,)
    assert ring(tmp_path, "lte-2").pair("lte-2") == (0,)
    assert names(tmp_path) == ["lte-2", "lte.1"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert (slot(1), slot(2)) == (1, 0)


def test_where_no_key_is_replaced_the_second_one_waits(tmp_path: Path) -> None:
    """It stays on the disk, for a start that goes on with it."""
    ring(tmp_path, "lte").add("lte", 1)
    assert ring(tmp_path, "lte", two=False).pair("lte") == (0,)
    assert ring(tmp_path, "lte").pair("lte") == (0, 1)


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    """Generations that do not follow, and names that are none."""
    ring(tmp_path, "lte").add("lte", 7)
    for name in ("lte.x", "lte.2.old", "other.1"):
        (tmp_path / "keys" / name).write_text("rubbish")
    assert ring(tmp_path, "lte").pair("lte") == (0,)
    assert len(names(tmp_path)) == 5


def test_the_age_is_that_of_the_file(tmp_path: Path) -> None:
    """Never below nothing, though the clock was set back."""
    keys = ring(tmp_path, "lte")
    os.utime(tmp_path / "keys" / "lte", ns=(1_000, 1_000))
    assert keys.age_ns("lte", 0, 5_000) == 4_000
    assert keys.age_ns("lte", 0, 500) == 0


def test_a_key_that_cannot_be_kept_is_none(tmp_path: Path) -> None:
    """The folder is gone: nothing is replaced, and the message names the file."""
    keys = ring(tmp_path, "lte")
    (tmp_path / "keys" / "lte").unlink()
    (tmp_path / "keys").rmdir()
    with pytest.raises(KeyTrouble, match=r"lte\.1: the folder above it is missing"):
        keys.add("lte", 1)
    assert keys.pair("lte") == (0,)
