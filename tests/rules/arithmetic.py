"""Find what could make arithmetic inexact, by reading the syntax tree.

Types are not known here, so the rules forbid every way of *making* a number that
is not an integer: literals, division, conversions, array constructors whose
default is float64, functions that return floats. Where none can be made, none
can be summed.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple


class Finding(NamedTuple):
    """One place that breaks a rule."""

    line: int
    rule: str
    text: str


NUMPY = frozenset({"np", "numpy"})

INEXACT_TYPES = frozenset(
    "float16 float32 float64 float96 float128 floating double single half longdouble "
    "complex64 complex128 complex256 complexfloating cdouble csingle clongdouble "
    "inexact".split()
)
"""Scalar types of NumPy that are not integers."""

INEXACT_FUNCTIONS = frozenset(
    "exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 power float_power pow sqrt cbrt "
    "sin cos tan sinh cosh tanh arcsin arccos arctan arctan2 arcsinh arccosh arctanh sinc hypot "
    "acos asin atan atan2 acosh asinh atanh deg2rad rad2deg degrees radians i0 "
    "divide true_divide reciprocal interp linspace logspace geomspace gradient trapezoid "
    "mean std var average median quantile percentile "
    "nanmean nanstd nanvar nanmedian nanquantile nanpercentile "
    "corrcoef cov histogram histogram2d histogramdd histogram_bin_edges "
    "dot vdot vecdot matvec vecmat inner matmul tensordot einsum linalg fft polynomial random "
    "round around rint fix floor ceil trunc modf frexp ldexp spacing nextafter "
    "eye identity tri loadtxt genfromtxt fromstring polyfit roots "
    "inf nan NINF NAN Inf NaN e pi euler_gamma".split()
)
"""Names of NumPy that return, or are, floats (some of them even for integers), and those
whose sums run through BLAS."""

INEXACT_METHODS = frozenset("mean std var dot round".split())
"""The same as methods of an array."""

DTYPE_POSITION = {
    "zeros": 1,
    "ones": 1,
    "empty": 1,
    "array": 1,
    "asarray": 1,
    "fromiter": 1,
    "frombuffer": 1,
    "fromfile": 1,
}
"""Constructors that make float64 unless told otherwise (``array`` does for an empty list),
with the place of ``dtype`` among their arguments."""

TAKES_DTYPE = frozenset({*DTYPE_POSITION, "full", "astype", "view", "dtype"})
"""Calls whose plain text arguments are dtypes."""

INEXACT_CODES = INEXACT_TYPES | frozenset("float complex e f d g f2 f4 f8 f16 c8 c16".split())

EXACT_MATH = frozenset({"gcd", "lcm", "isqrt", "comb", "perm", "factorial", "prod"})
INEXACT_OPERATORS = frozenset({"truediv", "itruediv", "pow", "ipow", "matmul", "imatmul"})
INEXACT_MODULES = frozenset({"random", "secrets", "statistics", "cmath", "decimal", "fractions"})
INEXACT_BUILTINS = frozenset({"float", "complex", "pow", "round"})


def findings(source: str) -> list[Finding]:
    """Return what breaks a rule in one module, in order of lines."""
    found = (
        Finding(node.lineno, rule, ast.unparse(node))
        for node in ast.walk(ast.parse(source))
        for rule in _rules(node)
        if isinstance(node, ast.expr | ast.stmt)
    )
    return sorted(found)


def _rules(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=float() | complex()):
            yield "float literal"
        case ast.BinOp(op=op, right=right) | ast.AugAssign(op=op, value=right):
            yield from _operator(op, right)
        case ast.Name(id=name) if name in INEXACT_BUILTINS:
            yield "float made"
        case ast.Attribute():
            yield from _attribute(node)
        case ast.Call():
            yield from _call(node)
        case ast.Import(names=names):
            yield from (r for alias in names for r in _module(alias.name))
        case ast.ImportFrom(module=str(module), names=names):
            yield from _module(module, *(alias.name for alias in names))


def _operator(op: ast.operator, right: ast.expr) -> Iterator[str]:
    if isinstance(op, ast.Div):
        yield "true division"
    if isinstance(op, ast.MatMult):
        yield "inexact function"
    if isinstance(op, ast.Pow):
        # An integer to a negative power is a float; only a written exponent is known not to be.
        written = isinstance(right, ast.Constant) and isinstance(right.value, int)
        if not written:
            yield "power"


def _attribute(node: ast.Attribute) -> Iterator[str]:
    base = node.value.id if isinstance(node.value, ast.Name) else ""
    if base in NUMPY and node.attr in INEXACT_TYPES:
        yield "float made"
    inexact = {
        "math": node.attr not in EXACT_MATH,
        "operator": node.attr in INEXACT_OPERATORS,
        **dict.fromkeys(NUMPY, node.attr in INEXACT_FUNCTIONS),
    }
    if inexact.get(base, False):
        yield "inexact function"


def _call(node: ast.Call) -> Iterator[str]:
    keywords = {k.arg: k.value for k in node.keywords}
    base, name = _called(node.func)
    if name in INEXACT_METHODS and base not in NUMPY:
        yield "inexact function"
    plain = node.args if name in TAKES_DTYPE else []
    if any(_names_float(a) for a in (*plain, keywords.get("dtype"))):
        yield "float made"
    if base not in NUMPY:
        return
    place = DTYPE_POSITION.get(name)
    if place is not None and len(node.args) <= place and "dtype" not in keywords:
        yield "dtype left to NumPy"
    if name == "bincount" and ("weights" in keywords or len(node.args) > 1):
        yield "float made"


def _called(function: ast.expr) -> tuple[str, str]:
    """Return (base, name) of what is called: ``np.add`` gives ("np", "add")."""
    if not isinstance(function, ast.Attribute):
        return "", ""
    base = function.value
    return (base.id if isinstance(base, ast.Name) else ""), function.attr


def _names_float(argument: ast.expr | None) -> bool:
    """Say whether a dtype is written as text, such as ``"<f8"``, and is none of integers."""
    if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
        return False
    return argument.value.lstrip("<>=|") in INEXACT_CODES


def _module(module: str, *names: str) -> Iterator[str]:
    first, *rest = module.split(".")
    if first in INEXACT_MODULES:
        yield "inexact module"
    if first == "numpy":
        bad = INEXACT_FUNCTIONS | INEXACT_TYPES
        yield from ("inexact module" for part in (*rest, *names) if part in bad)
    if first == "math" and not set(names) <= EXACT_MATH:
        yield "inexact module"
    if first == "operator" and INEXACT_OPERATORS.intersection(names):
        yield "inexact module"
