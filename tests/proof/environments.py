"""Fresh virtual environments in which the proof runs the installed product.

What cannot be made is a :class:`NotMade` with its reason; nobody may take it for
an environment that was tried.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST = Path(__file__).with_name("oldest.txt")

VERSIONS = """
import json, platform
from importlib.metadata import version
names = ("numpy", "scipy", "networkx")
print(json.dumps({"python": platform.python_version()} | {n: version(n) for n in names}))
"""

# NumPy 2 moved the module; NumPy 1.26 has the new name without the tables.
FEATURES = """
import json
from importlib import import_module
from numpy import __version__
core = "numpy.core" if __version__.startswith("1.") else "numpy._core"
found = import_module(core + "._multiarray_umath")
print(json.dumps([n for n in found.__cpu_dispatch__ if found.__cpu_features__[n]]))
"""

AVX512 = ("AVX512", "X86_V4")
AVX2 = (*AVX512, "AVX2", "FMA3", "X86_V3")
"""How the names of the features begin; those above AVX2 need it, so they go with it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Programs of one installation, with the versions that decide arithmetic and routes."""

    name: str
    bin: Path
    versions: Mapping[str, str]

    def ask(self, code: str, **variables: str) -> str:
        """Return what a line of Python prints there."""
        return subprocess.run(
            [self.bin / "python", "-c", code],
            env=os.environ | variables,
            capture_output=True,
            check=True,
            text=True,
        ).stdout

    def features(self, prefixes: tuple[str, ...]) -> list[str]:
        """Return the CPU features that NumPy uses there, by how their names begin."""
        return [name for name in json.loads(self.ask(FEATURES)) if name.startswith(prefixes)]

    def still_there(self, removed: list[str]) -> list[str]:
        """Return which of the removed features NumPy uses in spite of that."""
        left = self.ask(FEATURES, NPY_DISABLE_CPU_FEATURES=" ".join(removed))
        return [name for name in json.loads(left) if name in removed]


@dataclass(frozen=True, slots=True)
class NotMade:
    """An environment that is not there, and why."""

    name: str
    reason: str


def build_wheel(root: Path, out: Path) -> Path:
    """Build the wheel of the checkout that all environments install."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    return wheel


def make(python: str, wheel: Path, folder: Path, *, oldest: bool) -> Environment | NotMade:
    """Install the wheel with one interpreter and the newest or the oldest libraries."""
    name = f"{Path(python).name}, {'oldest' if oldest else 'newest'} libraries"
    found = shutil.which(python)
    if found is None:
        return NotMade(name, f"{Path(python).name} is not on this machine")
    venv = folder / name.replace(", ", "-").replace(" ", "-")
    install = ["install", "--quiet", "--only-binary", ":all:", f"{wheel}[maps]"]
    if oldest:
        install += ["--constraint", str(OLDEST)]
    python_there = str(venv / "bin" / "python")
    for command in ([found, "-m", "venv", str(venv)], [python_there, "-m", "pip", *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return NotMade(name, last_line(done.stderr or done.stdout))
    made = Environment(name, venv / "bin", {})
    return Environment(name, venv / "bin", json.loads(made.ask(VERSIONS)))


def last_line(text: str) -> str:
    """Return the last line that says something, short enough for a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:120] if lines else "no message"
