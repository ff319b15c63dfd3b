"""Private keys: made here, kept in files that nobody else can read, never printed.

A store is a folder of mode 0700 that holds one key a file, mode 0600, base64 with a newline
as ``wg genkey`` writes it. A crash or a full disk leaves the old key or none, never half of one
(``dataplane/wholefile.py``).

A device's rotation needs two keys at once: each key has a name, and the caller names them by
generation (``wan1.7``). Nothing here decides which is in use.
"""

import base64
import binascii
import errno
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from patronus.dataplane import wholefile

KEY_BYTES: Final = 32
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
FILE_BYTES_MAX: Final = 64
"""44 characters and a newline; anything much longer is no key."""


class KeyTrouble(Exception):
    """A key cannot be had or kept; the message says which file, why, and what to do."""


def new_private() -> bytes:
    """Return a fresh X25519 private key."""
    return clamped(secrets.token_bytes(KEY_BYTES))


def clamped(private: bytes) -> bytes:
    """Return a private key as WireGuard keeps it (RFC 7748 section 5).

    A key from elsewhere may not be clamped, and would read back as another one for ever.
    """
    key = bytearray(private)
    key[0] &= 248
    key[31] = (key[31] & 127) | 64
    return bytes(key)


def new_preshared() -> bytes:
    """Return a fresh pre-shared key."""
    return secrets.token_bytes(KEY_BYTES)


def public_of(private: bytes) -> bytes:
    """Return the public key of a private one."""
    # OpenSSL takes a while to load, and plain or VXLAN tunnels need none of it.
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def encoded(key: bytes) -> str:
    """Return a key as WireGuard's tools write it."""
    return base64.b64encode(key).decode("ascii")


def decoded(text: str) -> bytes:
    """Return the key that a text holds.

    Raises:
        KeyTrouble: it is not base64 of 32 bytes. The text is not repeated: it may be a secret.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyTrouble("not a key: it is not base64") from None
    if len(key) != KEY_BYTES:
        raise KeyTrouble(f"not a key: it has {len(key)} bytes instead of {KEY_BYTES}")
    return key


def shown(public: bytes) -> str:
    """Return a public key short enough for a message."""
    return encoded(public)[:8] + "…"


class KeyStore:
    """The keys of one site, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Open a store and make its folder if there is none.

        Raises:
            KeyTrouble: the folder cannot be made, or others can read or own it.
        """
        self.folder = folder
        try:
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise _trouble(folder, error) from error
        with _Opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
            _refuse_others(folder, os.fstat(fd), folder=True)

    def ensure(self, name: str) -> bytes:
        """Return the private key of this name; make it if there is none yet."""
        found = self.get(name)
        if found is None:
            found = new_private()
            self.put(name, found)
        return found

    def get(self, name: str) -> bytes | None:
        """Return a key, or None if there is none of this name.

        Raises:
            KeyTrouble: there is one that must not be used.
        """
        path = self._path(name)
        if not path.exists() and not path.is_symlink():
            return None
        with _Opened(path, os.O_RDONLY | os.O_NOFOLLOW) as fd:
            _refuse_others(path, os.fstat(fd))
            text = os.read(fd, FILE_BYTES_MAX + 1)
        try:
            return decoded(text.decode("ascii", errors="replace").strip())
        except KeyTrouble as trouble:
            raise KeyTrouble(f"{path}: {trouble}") from None

    def put(self, name: str, key: bytes) -> None:
        """Keep a key; once this returns, it is on the disk.

        Raises:
            KeyTrouble: it is not; then the store is as it was before.
        """
        assert len(key) == KEY_BYTES, "a key has 32 bytes"
        path = self._path(name)
        try:
            wholefile.write(path, f"{encoded(key)}\n".encode("ascii"))
        except OSError as error:
            raise _trouble(path, error) from error

    def forget(self, name: str) -> None:
        """Remove a key that is no longer used; that it is not there is fine."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
            wholefile.sync_folder(self.folder)
        except OSError as error:
            raise _trouble(path, error) from error

    def made_ns(self, name: str) -> int | None:
        """Return when a key was put here, by the wall clock; None if there is none."""
        try:
            return self._path(name).stat(follow_symlinks=False).st_mtime_ns
        except OSError:
            return None

    def names(self) -> list[str]:
        """Return the names of all keys."""
        return sorted(p.name for p in self.folder.iterdir() if NAME.match(p.name))

    def _path(self, name: str) -> Path:
        if not NAME.match(name):
            raise KeyTrouble(f"{name!r} is no name of a key: letters, digits, _ . - up to 64")
        return self.folder / name


class _Opened:
    """A file descriptor for the length of a ``with``."""

    def __init__(self, path: Path, flags: int) -> None:
        try:
            self.fd = os.open(path, flags | os.O_CLOEXEC)
        except OSError as error:
            raise _trouble(path, error) from error

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _refuse_others(path: Path, status: os.stat_result, *, folder: bool = False) -> None:
    """Refuse what another user owns or may read: the key in it is no secret any more."""
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(status.st_mode):
        raise KeyTrouble(f"{path} is not a {'folder' if folder else 'file'}")
    if status.st_uid != os.geteuid():
        raise KeyTrouble(f"{path} belongs to user {status.st_uid}, not to us ({os.geteuid()})")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        wanted = FOLDER_MODE if folder else FILE_MODE
        raise KeyTrouble(
            f"{path} is open to others (mode {mode:04o}): "
            f"replace the key, or chmod {wanted:04o} if nobody has read it"
        )


ADVICE: Final = {
    errno.ENOSPC: "the disk is full; the old key stays in use",
    errno.EDQUOT: "the quota is used up; the old key stays in use",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "not permitted; the agent must run as the owner",
    errno.EPERM: "not permitted; the agent must run as the owner",
    errno.ENOTDIR: "it is not a folder",
    errno.EEXIST: "it is not a folder",
    errno.ELOOP: "it is a symbolic link, which a key must not be",
    errno.ENOENT: "the folder above it is missing",
}


def _trouble(path: Path, error: OSError) -> KeyTrouble:
    what = ADVICE.get(error.errno or 0, os.strerror(error.errno or 0))
    return KeyTrouble(f"{path}: {what}")
