"""House rule: arithmetic that reaches a decision or a draw is integer arithmetic."""

from pathlib import Path

import pytest

from tests.rules.arithmetic import findings
from tests.rules.tree import ROOT, exact_files, shown

MUTANTS = {
    "limit = 0.5": "float literal",
    "limit = -1e9": "float literal",
    "phase = 2j": "float literal",
    "half = total / 2": "true division",
    "total /= 2": "true division",
    "product = left @ right": "inexact function",
    "left @= right": "inexact function",
    "inverse = 10 ** -places": "power",
    "inverse = 10 ** -1": "power",
    "base **= places": "power",
    "x = float(y)": "float made",
    "def f(x: float) -> int: ...": "float made",
    "x = round(y)": "float made",
    "x = pow(2, -y)": "float made",
    "x = np.float64(y)": "float made",
    "x = y.astype(np.float32)": "float made",
    "x = y.astype(dtype='float32')": "float made",
    "x = y.astype('<f8')": "float made",
    "x = np.full(3, 1, dtype='d')": "float made",
    "x = np.bincount(y, weights=z)": "float made",
    "x = np.bincount(y, z)": "float made",
    "x = total.sum(dtype=float)": "float made",
    "x = np.zeros(3)": "dtype left to NumPy",
    "x = np.ones((3, 2))": "dtype left to NumPy",
    "x = np.empty(3)": "dtype left to NumPy",
    "x = np.array([])": "dtype left to NumPy",
    "x = np.asarray(y)": "dtype left to NumPy",
    "x = np.frombuffer(y)": "dtype left to NumPy",
    "x = np.exp(y)": "inexact function",
    "x = np.log(y)": "inexact function",
    "x = np.log1p(y)": "inexact function",
    "x = np.power(y, 2)": "inexact function",
    "x = np.tanh(y)": "inexact function",
    "x = np.sqrt(y)": "inexact function",
    "x = np.std(y)": "inexact function",
    "x = np.mean(y)": "inexact function",
    "x = y.mean()": "inexact function",
    "x = y.rtt_ns.std(axis=0)": "inexact function",
    "x = y[1:].var()": "inexact function",
    "x = y.dot(z)": "inexact function",
    "x = y.round()": "inexact function",
    "x = np.dot(y, z)": "inexact function",
    "x = np.matmul(y, z)": "inexact function",
    "x = np.true_divide(y, z)": "inexact function",
    "x = np.median(y)": "inexact function",
    "x = np.linspace(0, 1, 5)": "inexact function",
    "x = np.floor(y)": "inexact function",
    "x = np.random.default_rng(1)": "inexact function",
    "x = reduce(np.divide, y)": "inexact function",
    "x = y > np.inf": "inexact function",
    "x = math.log(y)": "inexact function",
    "x = math.inf": "inexact function",
    "x = reduce(operator.truediv, y)": "inexact function",
    "from math import ceil": "inexact module",
    "from operator import truediv": "inexact module",
    "from numpy import exp": "inexact module",
    "from numpy.random import default_rng": "inexact module",
    "import numpy.linalg": "inexact module",
    "import random": "inexact module",
    "from statistics import fmean": "inexact module",
    "from decimal import Decimal": "inexact module",
}

HONEST = (
    "x = total * 3 // 4 + (total >> 2) % 5",
    "x = -(2**62)",
    "x = np.zeros(3, dtype=np.int64)",
    "x = np.empty(3, np.int32)",
    "x = np.full(3, -1)",
    "x = np.zeros_like(y)",
    "x = np.array([1, 2], dtype=np.uint64)",
    "x = np.bincount(y, minlength=4)",
    "x = y.sum(axis=0) + y.cumsum()",
    "x = np.where(y > 3, y, 0).astype(np.int64)",
    "x = profile.mean",
    "x = name_key('d') + names.index('float')",
    "x = counters.get('f')",
    "from math import gcd, isqrt",
    "x = math.isqrt(y)",
    "x = np.maximum(y, 0).max()",
    "x = divmod(y, 3)",
)


@pytest.mark.parametrize(("source", "rule"), MUTANTS.items())
def test_a_planted_inexactness_is_found(source: str, rule: str) -> None:
    """Each way of leaving the integers is found, on its line and under its rule."""
    assert [(f.line, f.rule) for f in findings(f"import numpy as np\n{source}\n")] == [(2, rule)]


@pytest.mark.parametrize("source", HONEST)
def test_integer_arithmetic_passes(source: str) -> None:
    """Integer arithmetic as the kernels write it is not objected to."""
    assert findings(f"import numpy as np\n{source}\n") == []


def test_there_is_something_to_check() -> None:
    """The rule looks at the engine, the source of luck, and whoever draws from it."""
    names = {shown(path) for path in exact_files()}
    assert {"sim/luck.py", "sim/faults/compile.py"} <= names
    assert len([n for n in names if n.startswith("engine/") and not n.endswith("__init__.py")]) > 3


@pytest.mark.parametrize("path", exact_files(), ids=shown)
def test_decisions_and_draws_are_integers(path: Path) -> None:
    """No module that decides or draws can make a number that is not an integer."""
    found = [f"{shown(path)}:{f.line}: {f.rule}: {f.text}" for f in findings(path.read_text())]
    assert not found, "\n".join(found)


def test_a_mutant_of_the_real_engine_is_found() -> None:
    """A true division slipped into a file of the engine does not pass."""
    source = (ROOT / "engine" / "policy.py").read_text()
    mutant = source.replace("self.interval_ns * self.multiplier", "self.interval_ns / 2")
    assert mutant != source
    assert [f.rule for f in findings(mutant)] == ["true division"]
