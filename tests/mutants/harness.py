"""Break a kernel on purpose: a property that lets the broken one pass proves nothing.

A mutant is the module's own source with one piece of text replaced. The test of a
module lists its mutants and asks :func:`caught` whether its property notices each.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

Example = TypeVar("Example")


def mutant(module: ModuleType, old: str, new: str) -> ModuleType:
    """Return a copy of a module in which ``old``, found exactly once, reads ``new``."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {module.__name__}"
    broken = ModuleType(f"{module.__name__}_mutant")
    # A name of its own keeps the broken lines out of the coverage of the real ones.
    exec(compile(source.replace(old, new), f"<mutant of {module.__name__}>", "exec"), vars(broken))
    return broken


def caught(
    strategy: SearchStrategy[Example], holds: Callable[[Example], object], examples: int = 400
) -> bool:
    """Tell whether some example makes ``holds`` fail: an assertion, or the kernel itself."""

    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def hunt(example: Example) -> None:
        holds(example)

    try:
        hunt()
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError):
        return True
    return False
