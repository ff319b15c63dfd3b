"""How passes are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function that lets go of the interpreter while it runs."""
    return cast(F, njit(nogil=True, cache=True, boundscheck=False)(function))
