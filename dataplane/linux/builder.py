"""Compiled programs, from a cache or from a compiler in a process of its own.

A source compiles once for each kernel release; with the cache filled, neither bcc nor
headers are needed. Sources compile side by side.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from patronus.dataplane.linux.compiler import guarded
from patronus.dataplane.linux.objects import Object, flatten, read_object

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
        OSError: the cache cannot be written.
        ValueError: a source does not compile, or there is no compiler.
    """
    cache.mkdir(parents=True, exist_ok=True)
    targets = {source_path(name): _target(cache, source_path(name), defines) for name in sources}
    running = [
        _compiler(source, target, defines)
        for source, target in targets.items()
        if not target.exists()
    ]
    said = [_finish(process) for process in running]
    if failures := [text for text in said if text is not None]:
        raise ValueError("\n".join(failures))
    return Object.merged(map(read_object, targets.values()))


def _target(cache: Path, source: Path, defines: Sequence[str]) -> Path:
    """Return the file in the cache; its name covers all that the result depends on."""
    parts = [guarded(flatten(source)), *defines, os.uname().release]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache / f"{source.name}.{digest[:32]}.json"


def _compiler(source: Path, target: Path, defines: Sequence[str]) -> "subprocess.Popen[str]":
    module = "patronus.dataplane.linux.compiler"
    command = [sys.executable, "-m", module, str(target), str(source), *defines]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _finish(process: "subprocess.Popen[str]") -> str | None:
    """Wait for a compiler; return what it complains of, None if it is content."""
    try:
        _, said = process.communicate(timeout=COMPILE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"the compiler needs more than {COMPILE_SECONDS} s"
    if process.returncode:
        return said.strip() or f"the compiler ended with {process.returncode}"
    return None
