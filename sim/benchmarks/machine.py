"""The facts of a machine without which no figure means anything."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

LIBRARIES: Final = ("patronus", "numpy", "scipy", "numba", "simpy", "networkx", "ns.py")

NOT_INSTALLED: Final = "not installed"

_MB: Final = 1 << 20


def machine() -> dict[str, Any]:
    """Return processor, cores, memory, system, Python and libraries."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_mb": _pages("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: installed(name) or NOT_INSTALLED for name in LIBRARIES},
    }


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed(name: str) -> str:
    """Return the version of a distribution, "" where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _pages(name: str) -> int | None:
    if name not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") // _MB


def _cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor as the system tells it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
