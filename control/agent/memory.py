"""Memory that the agent needs no more, given back: the C library would keep it for later."""

import ctypes
import gc
from contextlib import suppress


def give_back() -> None:
    """Return what only the start needed; what is left is looked through no more."""
    gc.collect()
    gc.freeze()
    trim()


def trim() -> None:
    """Return memory that is free to the kernel."""
    with suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
