"""Import direction: the contracts hold, and each of them fires on a tree that breaks it."""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.rules.tree import ROOT, shown

TREE: Mapping[str, str] = {
    "__init__.py": "",
    "engine/__init__.py": "",
    "engine/units.py": "import numpy",
    "engine/candidates.py": "from patronus.engine.units import numpy",
    "dataplane/__init__.py": "",
    "dataplane/protocol.py": "from patronus.engine import units",
    "dataplane/memory.py": "from patronus.dataplane import protocol",
    "dataplane/linux.py": "import socket",
    "sim/__init__.py": "",
    "sim/world.py": "import simpy\nfrom patronus.dataplane import memory, protocol",
    "sim/lab/__init__.py": "",
    "sim/lab/agents.py": "import socket\nfrom patronus.control import agent\n"
    "from patronus.dataplane import linux",
    "control/__init__.py": "",
    "control/agent.py": "import asyncio\nfrom patronus.dataplane import linux",
    "control/cli.py": "import patronus.sim.world",
}
"""A small tree in which every import is allowed."""

BROKEN = {
    ("engine/units.py", "import patronus.sim.world"): "the programs to the engine",
    ("engine/units.py", "from patronus.dataplane import protocol"): "the programs to the engine",
    ("dataplane/memory.py", "from patronus.sim import world"): "the programs to the engine",
    ("sim/world.py", "from patronus.control import agent"): "the programs to the engine",
    ("engine/units.py", "import time"): "no clock, no dice",
    ("engine/units.py", "from random import randrange"): "no clock, no dice",
    ("engine/candidates.py", "import networkx"): "no clock, no dice",
    ("engine/candidates.py", "import asyncio"): "no clock, no dice",
    ("sim/world.py", "import socket"): "The simulator needs no kernel",
    ("dataplane/memory.py", "import pyroute2"): "The simulator needs no kernel",
    ("sim/world.py", "from patronus.dataplane import linux"): "pure modules alone",
    ("sim/world.py", "from patronus.dataplane.linux import socket"): "pure modules alone",
}


def contracts_of(folder: Path, tree: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Write a tree of modules and judge it by this project's own contracts."""
    for name, text in tree.items():
        path = folder / "src" / "patronus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_allowed_imports_pass(tmp_path: Path) -> None:
    """The tree that the next test breaks is sound by itself, the lab's licence included."""
    done = contracts_of(tmp_path, TREE)
    assert done.returncode == 0, done.stdout + done.stderr
    externals = 4  # numpy, simpy, socket, asyncio are counted as files too
    assert f"Analyzed {len(TREE) + externals} files" in done.stdout


@pytest.mark.parametrize(("file", "line"), BROKEN, ids=lambda text: text.replace(" ", "-"))
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, file: str, line: str) -> None:
    """Each planted import breaks the contract that is about it."""
    done = contracts_of(tmp_path, {**TREE, file: f"{TREE[file]}\n{line}"})
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert any(BROKEN[file, line] in text for text in broken)


ENGINE_MAY_IMPORT = frozenset(
    "abc bisect collections contextlib dataclasses enum functools hashlib heapq ipaddress "
    "itertools json math numpy operator patronus scipy string struct types typing".split()
)
"""Everything pure; scipy only for path search. What is not named here is not pure enough."""


def imports(source: str) -> set[str]:
    """Return the absolute names of all modules that a module imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def impure(source: str, ours: str = "patronus.engine") -> set[str]:
    """Return the imports of a module that the engine could not make, but those of ``ours``."""
    return {
        name
        for name in imports(source)
        if name.split(".")[0] not in ENGINE_MAY_IMPORT
        or (name.startswith("patronus") and not name.startswith(("patronus.engine", ours)))
    }


@pytest.mark.parametrize("path", sorted((ROOT / "engine").rglob("*.py")), ids=shown)
def test_the_engine_imports_nothing_impure(path: Path) -> None:
    """The engine imports what it is allowed to, rather than all but what somebody thought of."""
    assert impure(path.read_text()) == set()


def test_scipy_is_loaded_when_needed(tmp_path: Path) -> None:
    """Importing the whole engine leaves scipy alone: an agent has no memory to spare for it."""
    stems = sorted(path.stem for path in (ROOT / "engine").glob("*.py"))
    modules = ", ".join(f"patronus.engine.{stem}" for stem in stems if stem != "__init__")
    code = f"import sys, {modules}; print('scipy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "False\n"


def test_pure_dataplane_modules_stay_pure() -> None:
    """What the simulator uses of the dataplane, and whatever that uses, touches no kernel."""
    waiting, seen = ["patronus.dataplane.protocol", "patronus.dataplane.memory"], set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        source = (ROOT / "dataplane" / f"{name.split('.')[-1]}.py").read_text()
        assert impure(source, "patronus.dataplane.") == set(), name
        used = {n for n in imports(source) if n.startswith("patronus.dataplane.")}
        waiting.extend(used - seen)


@pytest.mark.parametrize(
    "line", ["import time", "from os import path", "import patronus.sim.world", "import requests"]
)
def test_an_impure_import_is_found(line: str) -> None:
    """The allow-list objects to what it does not name."""
    assert impure(f"import numpy as np\n{line}\n") == {line.split()[1]}
