"""House rules about files: each holds for the repository and fires on a planted mistake."""

import json
import re
import stat

import pytest

from tests.rules.tidy import (
    HEIGHT,
    case_findings,
    file_findings,
    line_findings,
    module_findings,
    notebook_findings,
)
from tests.rules.tree import PACKAGES, ROOT, code_files, files, python_files, shown, text_files

LEGAL_TEXTS = frozenset({"LICENSE"})


def test_the_rules_see_the_repository() -> None:
    """The lists of files that the rules walk are not empty, and know what code is."""
    names = {shown(path) for path in code_files()}
    assert {"Makefile", ".ci/run", ".ci/make-venv", "engine/units.py"} <= names
    assert all(any(n.startswith(f"{package}/") for n in names) for package in PACKAGES)


def test_lines_are_tidy() -> None:
    """No line is too long, unfinished, or true on one machine only."""
    code = set(code_files())
    found = [
        f"{shown(path)}:{finding}"
        for path, text in text_files()
        if path.name not in LEGAL_TEXTS
        for finding in line_findings(text, code=path in code)
    ]
    assert not found, "\n".join(found)


def test_files_are_tidy() -> None:
    """No file of code is too long to be about one thing."""
    found = [f"{shown(p)}: {f}" for p in code_files() for f in file_findings(p.read_text())]
    assert not found, "\n".join(found)


def test_modules_are_tidy() -> None:
    """Every module says what it is for, imports absolutely, and waives checks with a reason."""
    found = [f"{shown(p)}:{f}" for p in python_files() for f in module_findings(p.read_text())]
    assert not found, "\n".join(found)


def test_tests_are_tidy() -> None:
    """Every test states its behaviour, and none skips, sleeps or mocks."""
    tests = [path for path in python_files() if shown(path).startswith("tests/")]
    assert tests
    found = [f"{shown(p)}:{f}" for p in tests for f in case_findings(p.read_text())]
    assert not found, "\n".join(found)


def test_notebooks_hold_no_output() -> None:
    """Notebooks are kept without results."""
    notebooks = [path for path in files() if path.suffix == ".ipynb"]
    found = [
        f"{shown(path)}: {finding}"
        for path in notebooks
        for finding in notebook_findings(json.loads(path.read_text()))
    ]
    assert not found, "\n".join(found)


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link in a document names a file that exists."""
    link = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
    documents = [path for path in files() if path.suffix == ".md"]
    assert ROOT / "README.md" in documents
    dead = [
        f"{shown(path)}: {target}"
        for path in documents
        for target in link.findall(path.read_text())
        if not (path.parent / target).exists()
    ]
    assert not dead, "\n".join(dead)


def test_scripts_can_be_executed() -> None:
    """A file that names its interpreter in the first line can be started by its name."""
    scripts = [path for path in code_files() if path.read_bytes().startswith(b"#!")]
    assert scripts
    assert [shown(p) for p in scripts if not p.stat().st_mode & stat.S_IXUSR] == []


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("x = 1  # " + "y" * 92, "longer than 100 columns"),
        ("x = 1 ", "space at the end"),
        ("# TO" + "DO: finish", "unfinished work"),
        ("# FIX" + "ME", "unfinished work"),
        ('open("/wo' + 'rk/x")', "a path of one machine"),
        ("#!/ro" + "ot/.py" + "env/versions/x", "a path of one machine"),
        ("cd /ho" + "me/anna", "a path of one machine"),
    ],
)
def test_an_untidy_line_is_found(line: str, finding: str) -> None:
    """Each rule about lines fires on a line that breaks it."""
    assert list(line_findings(f"ok = 0\n{line}\n", code=True)) == [f"2: {finding}"]


@pytest.mark.parametrize("line", ["see docs/work/x", "GET /api/workers", "a/root/b", "~/work"])
def test_an_ordinary_path_passes(line: str) -> None:
    """Words that look a little like a machine's path are not objected to."""
    assert list(line_findings(line, code=True)) == []


@pytest.mark.parametrize("text", ["x = 1", "x = 1\n" * (HEIGHT + 1)])
def test_an_untidy_file_is_found(text: str) -> None:
    """A file without its last newline and one that is too long are found."""
    assert len(list(file_findings(text))) == 1


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ("x = 1", "1: no docstring"),
        ('"""Doc."""\nfrom . import x', "2: relative import"),
        ('"""Doc."""\nfrom ..engine import x', "2: relative import"),
        ('"""Doc."""\nx = y  # no' + "qa: E501", "2: a check waived without `# reason` behind it"),
        ('"""Doc."""\nx = y  # no' + "qa", "2: a check waived without `# reason` behind it"),
        (
            '"""Doc."""\nx = y  # type: ig' + "nore[misc]",
            "2: a check waived without `# reason` behind it",
        ),
    ],
)
def test_an_untidy_module_is_found(source: str, finding: str) -> None:
    """Each rule about modules fires on a module that breaks it."""
    assert list(module_findings(source)) == [finding]


@pytest.mark.parametrize(
    "comment", ["no" + "qa: E501  # a table", "type: ig" + "nore[misc]  # the stub is wrong"]
)
def test_a_reasoned_waiver_passes(comment: str) -> None:
    """A waived check that says why is accepted."""
    assert list(module_findings(f'"""Doc."""\nx = y  # {comment}\n')) == []


@pytest.mark.parametrize(
    "body",
    [
        "def test_x() -> None:\n    assert True",
        "@pytest.mark.skip\nclass Some: ...",
        "pytest.importorskip('numpy')",
        "time.sleep(1)",
        "from unittest.mock import MagicMock",
    ],
)
def test_an_untidy_test_is_found(body: str) -> None:
    """Each rule about tests fires on a test that breaks it."""
    assert len(list(case_findings(body))) == 1


def test_a_notebook_with_output_is_found() -> None:
    """A cell that was run and saved is found."""
    cell: dict[str, object] = {"cell_type": "code", "outputs": [{}], "execution_count": None}
    text = {"cell_type": "markdown"}
    assert list(notebook_findings({"cells": [text, cell]})) == ["cell 1: has output"]
