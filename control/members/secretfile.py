"""Files that nobody else may read, each written whole or not at all.

How they are written is for ``dataplane/wholefile.py``; here is who may see them.
"""

import os
import stat
from pathlib import Path
from typing import Final

from patronus.dataplane import wholefile

_FOREIGN_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_FOREIGN_USE: Final = stat.S_IRWXG | stat.S_IRWXO


class SecretError(Exception):
    """A file cannot be kept or used; the message tells an operator why, and what helps."""


def keep(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file of mode 0600; its folder is made with mode 0700.

    Raises:
        FileExistsError: it is there already and must not be replaced.
        SecretError: it cannot be written, or others can write in its folder.
    """
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True)
        _check_folder(path.parent)
        wholefile.write(path, data, replace=replace)
    except OSError as error:
        if isinstance(error, FileExistsError) and not replace and path.exists():
            raise
        raise SecretError(f"cannot write {path}: {error.strerror}") from error


def reveal(path: Path, *, bytes_max: int) -> bytes:
    """Return what a file holds.

    Raises:
        FileNotFoundError: there is none.
        SecretError: it cannot be read, is no file of ours alone, or is too long.
    """
    try:
        _check_folder(path.parent)
        # Not blocking: a pipe in its place would let the start wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SecretError(f"cannot read {path}: {error.strerror}") from error
    try:
        _check_file(path, os.fstat(handle))
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise SecretError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(handle)
    if len(data) > bytes_max:
        raise SecretError(f"{path} is longer than {bytes_max} bytes: it is not what we wrote")
    return data


def _check_folder(folder: Path) -> None:
    found = folder.stat()
    if found.st_mode & _FOREIGN_WRITE and not found.st_mode & stat.S_ISVTX:
        raise SecretError(f"others may write in {folder}; take it from them: chmod 700 {folder}")


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SecretError(f"{path} is no ordinary file")
    if found.st_uid != os.geteuid():
        raise SecretError(f"{path} belongs to user {found.st_uid}, not to us ({os.geteuid()})")
    if found.st_mode & _FOREIGN_USE:
        raise SecretError(f"others may read {path}; take it from them: chmod 600 {path}")
