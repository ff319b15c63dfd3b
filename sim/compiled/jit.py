"""How passes are compiled, and where the machine code is kept from one run to the next."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

_njit: Final[Any] = njit  # old releases have no types, new ones want each option by name
_ROOM: Final = 1 << 25
"""Bytes that must be free where code is kept: Numba does not survive a full disk there."""


def compiled(function: F) -> F:
    """Compile a function that lets go of the interpreter while it runs.

    Its code is kept beside the source or in the user's cache. Where neither can be written
    each run compiles anew, which takes some ten seconds.
    """
    try:
        kept = _njit(nogil=True, boundscheck=False, cache=True)(function)
    except RuntimeError:  # there is no place for it
        kept = None
    if kept is None or not _has_room(Path(kept.stats.cache_path)):
        kept = _njit(nogil=True, boundscheck=False)(function)
    return cast(F, kept)


def _has_room(folder: Path) -> bool:
    """Tell whether there is room for code in a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free > _ROOM


def part(function: F) -> F:
    """Compile a part of compiled functions: it is put in its place wherever it is called."""
    return cast(F, _njit(nogil=True, boundscheck=False, inline="always")(function))
