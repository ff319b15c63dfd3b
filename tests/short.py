"""The short form of long lists of cases: some run always, the others with the slow tests."""

from collections.abc import Iterable
from typing import Any

import pytest


def short(values: Iterable[Any], every: int) -> list[Any]:
    """Return all values for ``parametrize``; of so many each, all but the first are slow."""
    return [
        value if number % every == 0 else pytest.param(value, marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]
