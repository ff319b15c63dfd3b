"""Compiled passes as plain Python, one of them broken on purpose."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

Holds = Callable[[ModuleType, int], object]
"""A property: raises AssertionError where passes do not hold it, for one seed."""


@lru_cache
def interpreted(original: ModuleType, old: str = "", new: str = "") -> ModuleType:
    """Return a module of passes uncompiled, with one piece of its text replaced."""
    assert original.__file__ is not None
    source = Path(original.__file__).read_text()
    assert not old or source.count(old) == 1, f"{old!r} stands {source.count(old)} times"
    jit = "from patronus.sim.compiled.jit import compiled"
    assert source.count(jit) == 1
    source = source.replace(f"{jit}, part\n", "compiled = part = lambda function: function\n")
    source = source.replace(f"{jit}\n", "compiled = lambda function: function\n")
    module = ModuleType(f"{original.__name__}_mutant")
    text = source.replace(old, new) if old else source
    exec(compile(text, f"<mutant of {original.__name__}>", "exec"), vars(module))
    return module


def fails(holds: Holds, module: ModuleType, seed: int) -> bool:
    """Tell whether a property does not hold."""
    try:
        holds(module, seed)
    except (AssertionError, ArithmeticError):
        return True
    return False
