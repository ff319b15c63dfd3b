"""Compiled programs, from a cache or from a compiler in a process of its own.

A source compiles once for each kernel release; with the cache filled, neither bcc nor
headers are needed. Sources compile side by side. A cache that cannot be written costs each start
a compilation, and a damaged file in it one: nothing else.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

from patronus.dataplane.linux.compiler import STANDARD_OUTPUT, guarded
from patronus.dataplane.linux.objects import Object, flatten, object_of, read_object, write_text

CACHE: Final = Path("/var/cache/patronus")
SOURCES: Final = ("steer.bpf.c", "tunnel.bpf.c", "pacer.bpf.c")
COMPILE_SECONDS: Final = 120
"""A compilation takes 3 s of an idle core."""


def source_path(name: str) -> Path:
    """Return where a C source is."""
    return Path(str(files("patronus"))) / "bpf" / name


def build(cache: Path, defines: Sequence[str] = (), sources: Sequence[str] = SOURCES) -> Object:
    """Return the compiled programs.

    Raises:
        ValueError: a source does not compile, or there is no compiler.
    """
    targets = {source_path(name): place(cache, source_path(name), defines) for name in sources}
    found = {source: _cached(target) for source, target in targets.items()}
    running = {s: _compiler(s, defines) for s, known in found.items() if known is None}
    made = {source: _finish(process) for source, process in running.items()}
    if failures := [said for text, said in made.values() if not text]:
        raise ValueError("\n".join(failures))
    for source, (text, _) in made.items():
        found[source] = object_of(text.encode(), source.name)
        _keep(targets[source], text)
    return Object.merged(each for each in found.values() if each is not None)


def _cached(target: Path) -> Object | None:
    try:
        return read_object(target)
    except (OSError, ValueError):  # not there, or cut short by a crash
        return None


def _keep(target: Path, text: str) -> None:
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, text)


def place(cache: Path, source: Path, defines: Sequence[str]) -> Path:
    """Return the file in the cache; its name covers all that the result depends on."""
    parts = [guarded(flatten(source)), *defines, os.uname().release]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache / f"{source.name}.{digest[:32]}.json"


def _compiler(source: Path, defines: Sequence[str]) -> "subprocess.Popen[str]":
    module = "patronus.dataplane.linux.compiler"
    command = [sys.executable, "-m", module, STANDARD_OUTPUT, str(source), *defines]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for a compiler; return what it made, "" where it failed, and what it complains of."""
    try:
        text, said = process.communicate(timeout=COMPILE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "", f"the compiler needs more than {COMPILE_SECONDS} s"
    if process.returncode:
        return "", said.strip() or f"the compiler ended with {process.returncode}"
    return text, said
