"""Files of mode 0600, each written whole or not at all.

A file is written beside its place, brought to the disk and then renamed (or linked, where none
may be replaced), so that a kill, a full disk or a power cut at any step leaves the old file or
the new one. What a kill left beside it is removed by the next writer.
"""

import contextlib
import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file; once this returns, it is on the disk.

    Raises:
        FileExistsError: it is there already and must not be replaced.
        OSError: it is not written; then all is as it was before.
    """
    _sweep(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        if replace:
            fresh.replace(path)
        else:
            path.hardlink_to(fresh)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk.

    Raises:
        OSError: the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(path: Path) -> None:
    for left in path.parent.iterdir():
        if left.name.startswith(f".{path.name}.") and left.name.endswith(".new"):
            left.unlink(missing_ok=True)
