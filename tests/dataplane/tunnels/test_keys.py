"""Keys are made, kept where only we read them, and never half written."""

import os
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.tunnels.keys import (
    KeyStore,
    KeyTrouble,
    decoded,
    encoded,
    new_preshared,
    new_private,
    public_of,
)

NOBODY = 65_534


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """Return an empty store."""
    return KeyStore(tmp_path / "keys")


def test_a_key_is_made_once(store: KeyStore) -> None:
    """The first call makes it, all others find it, in a file of ours alone."""
    key = store.ensure("wan1.1")
    assert store.ensure("wan1.1") == store.get("wan1.1") == key
    assert KeyStore(store.folder).get("wan1.1") == key
    assert store.names() == ["wan1.1"]
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.folder / "wan1.1").stat().st_mode) == 0o600
    store.forget("wan1.1")
    store.forget("wan1.1")
    assert store.get("wan1.1") is None


def test_a_public_key_is_what_wg_says() -> None:
    """An independent program derives the same public key, and takes our private one."""
    key = new_private()
    text = f"{encoded(key)}\n".encode()
    done = subprocess.run(["wg", "pubkey"], input=text, capture_output=True, check=True)
    assert done.stdout.decode().strip() == encoded(public_of(key))


def test_keys_are_clamped_and_differ() -> None:
    """RFC 7748 section 5: three low bits clear, the highest clear, the next one set."""
    keys = {new_private() for _ in range(50)}
    assert len(keys) == 50
    for key in keys:
        assert (key[0] & 7, key[31] & 192) == (0, 64)
    assert len({new_preshared() for _ in range(50)}) == 50


@given(st.binary(min_size=32, max_size=32))
def test_text_and_key_are_one(key: bytes) -> None:
    """What is written as text is read as the same key."""
    assert decoded(encoded(key)) == key


@given(st.text(max_size=60))
def test_rubbish_is_no_key_and_is_not_repeated(text: str) -> None:
    """A text that is no key is one clear error, without the text: it may be a secret."""
    try:
        assert encoded(decoded(text)) == text
    except KeyTrouble as trouble:
        told = str(trouble)
    else:
        return
    assert len(text) < 10 or text not in told


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o611])
def test_a_file_that_others_may_read_is_refused(store: KeyStore, mode: int) -> None:
    """The message names the file, its mode, and what to do."""
    store.ensure("k")
    (store.folder / "k").chmod(mode)
    with pytest.raises(KeyTrouble, match=rf"keys/k is open to others \(mode {mode:04o}\)"):
        store.get("k")
    with pytest.raises(KeyTrouble, match="chmod 0600"):
        store.ensure("k")


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """An open folder is refused before any key is read or made."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(KeyTrouble, match="chmod 0700"):
        KeyStore(folder)


@pytest.mark.root
@pytest.mark.parametrize("name", ["", "k"])
def test_what_another_user_owns_is_refused(store: KeyStore, name: str) -> None:
    """A folder or file of another owner may hold a key that the other knows."""
    store.ensure("k")
    os.chown(store.folder / name, NOBODY, -1)
    with pytest.raises(KeyTrouble, match=f"belongs to user {NOBODY}, not to us"):
        KeyStore(store.folder).get("k")


def test_a_link_or_a_folder_is_no_key(store: KeyStore, tmp_path: Path) -> None:
    """A symbolic link is not followed, and a folder in a key's place is not read."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(encoded(new_private()))
    (store.folder / "link").symlink_to(elsewhere)
    (store.folder / "folder").mkdir(mode=0o700)
    with pytest.raises(KeyTrouble, match="symbolic link"):
        store.get("link")
    with pytest.raises(KeyTrouble, match="folder is not a file"):
        store.get("folder")


@pytest.mark.parametrize(
    ("text", "message"), [("", "0 bytes"), ("AAAA", "3 bytes"), ("é!" * 9, "not base64")]
)
def test_a_damaged_file_is_told(store: KeyStore, text: str, message: str) -> None:
    """A file that holds no key is named, and not overwritten by a new one."""
    store.ensure("k")
    (store.folder / "k").write_text(text)
    with pytest.raises(KeyTrouble, match=f"keys/k: not a key: .*{message}"):
        store.ensure("k")
    assert (store.folder / "k").read_text() == text


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../k", "x" * 65, "-k", "k\n"])
def test_a_bad_name_is_refused(store: KeyStore, name: str) -> None:
    """No name leads out of the folder or hides a file."""
    with pytest.raises(KeyTrouble, match="is no name of a key"):
        store.ensure(name)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            continue


@pytest.mark.root
def test_a_full_disk_keeps_the_old_key(tmp_path: Path) -> None:
    """With no room left the message says so, the old key stays, and no rubbish is left behind."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], check=True)
    try:
        store = KeyStore(disk / "keys")
        old = store.ensure("k")
        fill(disk / "filler")
        with pytest.raises(KeyTrouble, match="k: the disk is full; the old key stays in use"):
            store.put("k", new_private())
        assert KeyStore(disk / "keys").get("k") == old
        assert sorted(path.name for path in store.folder.iterdir()) == ["k"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_missing_place_is_told(tmp_path: Path) -> None:
    """A folder that cannot be made is one clear message."""
    with pytest.raises(KeyTrouble, match="the folder above it is missing"):
        KeyStore(tmp_path / "none" / "keys")
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyTrouble, match="file: it is not a folder"):
        KeyStore(tmp_path / "file")
