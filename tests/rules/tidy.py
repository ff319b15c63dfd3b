"""House rules that are about the text and the shape of files."""

import ast
import re
from collections.abc import Iterator

WIDTH = 100
HEIGHT = 450

# Written so that no pattern matches itself.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(w[o]rk|f[a]rm|r[o]ot|h[o]me|Us[e]rs)\b(?!-)|py[e]nv")
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b")
WAIVER = re.compile(r"#\s*(no[q]a|type:\s*ig[n]ore|pyright:\s*ig[n]ore|prag[m]a: no cover)(.*)")
REASONED = re.compile(r"^(:\s*[A-Z]+\d+[A-Z\d, ]*|\[[\w, -]+\])?\s*#\s*\w+")

BANNED_IN_TESTS = frozenset(
    {"skip", "skipif", "xfail", "importorskip", "MagicMock", "Mock", "sleep"}
)
"""A test that does not run proves nothing, a mock agrees with everybody, sleeping is guessing."""


def line_findings(text: str, *, code: bool) -> Iterator[str]:
    """Yield what is wrong with single lines, as ``line: what``."""
    for number, line in enumerate(text.splitlines(), start=1):
        if MACHINE_PATH.search(line):
            yield f"{number}: a path of one machine"
        if UNFINISHED.search(line):
            yield f"{number}: unfinished work"
        if code and len(line) > WIDTH:
            yield f"{number}: longer than {WIDTH} columns"
        if code and line != line.rstrip():
            yield f"{number}: space at the end"


def file_findings(text: str) -> Iterator[str]:
    """Yield what is wrong with a file of code as a whole."""
    if text and not text.endswith("\n"):
        yield "no newline at the end"
    if len(text.splitlines()) > HEIGHT:
        yield f"longer than {HEIGHT} lines: is it still one noun?"


def module_findings(source: str) -> Iterator[str]:
    """Yield what is wrong with a Python module."""
    tree = ast.parse(source)
    if not ast.get_docstring(tree):
        yield "1: no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{node.lineno}: relative import"
    for number, line in enumerate(source.splitlines(), start=1):
        waived = WAIVER.search(line)
        if waived and not REASONED.match(waived[2]):
            yield f"{number}: a check waived without `# reason` behind it"


def case_findings(source: str) -> Iterator[str]:
    """Yield what is wrong with a file of tests."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test_") and not ast.get_docstring(node):
                yield f"{node.lineno}: {node.name} has no sentence stating the behaviour"
        elif isinstance(node, ast.Attribute) and node.attr in BANNED_IN_TESTS:
            yield f"{node.lineno}: {node.attr} in a test"
        elif isinstance(node, ast.ImportFrom):
            names = BANNED_IN_TESTS.intersection(alias.name for alias in node.names)
            yield from (f"{node.lineno}: {name} in a test" for name in sorted(names))


def notebook_findings(notebook: dict[str, object]) -> Iterator[str]:
    """Yield the cells of a notebook that hold results: those are made by running it."""
    cells = notebook["cells"]
    assert isinstance(cells, list)
    for index, cell in enumerate(cells):
        if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"]):
            yield f"cell {index}: has output"
