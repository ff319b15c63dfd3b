"""The files of the checkout that the house rules are about."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("engine", "dataplane", "sim", "control")

CODE_SUFFIXES = frozenset({".py", ".c", ".h", ".sh", ".yml"})
CODE_NAMES = frozenset({"Makefile", "run", "make-venv"})


@cache
def files() -> tuple[Path, ...]:
    """Return every file that is, or is about to be, in the repository.

    Links are left out: what they point at is listed under its own name.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    paths = (ROOT / name for name in sorted(filter(None, listed)))
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())


def python_files() -> tuple[Path, ...]:
    """Return every Python file."""
    return tuple(path for path in files() if path.suffix == ".py")


def code_files() -> tuple[Path, ...]:
    """Return every file that people write code in, scenarios among them."""
    return tuple(p for p in files() if p.suffix in CODE_SUFFIXES or p.name in CODE_NAMES)


def text_files() -> Iterator[tuple[Path, str]]:
    """Yield every file that is text, with its text."""
    for path in files():
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            yield path, data.decode("utf-8", errors="replace")


WIRES = tuple(
    "agenda announce bursts congestion faults flows luck prober slot traffic wire world".split()
)
"""Modules or packages of the simulator, by how their names begin, that decide what happens to
a packet or an announcement."""

DRAWS = re.compile(r"^from patronus\.sim(\.luck import|\s+import .*\bluck\b)", re.MULTILINE)
"""How a module says that it draws luck."""


def exact_files() -> tuple[Path, ...]:
    """Return the files in which arithmetic must be exact: the engine, the wires, the draws.

    A ``*_generate.py`` writes a table of integers that is committed; it may compute that
    table as it likes.
    """
    sim = ROOT / "sim"
    found = set((ROOT / "engine").rglob("*.py"))
    for path in sim.rglob("*.py"):
        named = path.relative_to(sim).parts[0].startswith(WIRES)
        if named or DRAWS.search(path.read_text()):
            found.add(path)
    return tuple(sorted(path for path in found if not path.stem.endswith("_generate")))


def shown(path: Path) -> str:
    """Return a path as a message should name it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
