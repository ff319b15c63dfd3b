"""A file is written whole or not at all."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def put(path: Path, content: bytes) -> None:
    """Put a file in the place of one that may be there.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
