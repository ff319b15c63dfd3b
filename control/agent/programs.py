"""The pinned programs: opened where they fit, loaded by a process of its own where not.

The agent itself never compiles and never loads: bcc's compiler alone holds more memory than an
agent may have. Which sources the pinned programs were made of is kept in a file beside the
agent's state; it counts as long as the pins are there, and they go with a reboot.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Final

from patronus.dataplane.linux import probing, records, syscall
from patronus.dataplane.linux.pins import ARRAYS, BPF_ROOT, Pins, Sizes

PROGRAMS_FILE: Final = "programs.sha256"
LOAD_SECONDS: Final = 180


class NoPrograms(Exception):
    """The kernel's part cannot be had; the message says why, and what helps."""


def pin_name(site: str) -> str:
    """Return the folder of a site's pins below ``/sys/fs/bpf``."""
    return f"patronus-{site}"


def obtain(site: str, state: Path, cache: Path, sizes: Sizes) -> tuple[Pins, bool]:
    """Return the pins of a site, and whether they were there as they should be.

    Raises:
        NoPrograms: there are none, and none can be made.
    """
    name, source = pin_name(site), fingerprint()
    sizes = _grown(name, sizes)
    if _recorded(state) == source and (pins := fitting(name, sizes)):
        return pins, True
    _load(name, cache, sizes)
    try:
        pins = Pins.open(name)
    except (OSError, ValueError) as error:
        raise NoPrograms(f"what was loaded cannot be opened: {error}") from None
    with suppress(OSError):  # a full disk costs the next start some seconds, and nothing else
        (state / PROGRAMS_FILE).write_text(source)
    return pins, False


def _grown(name: str, sizes: Sizes) -> Sizes:
    """Return sizes at which nothing that is pinned has to shrink."""
    try:
        with Pins.found(name) as pins:
            return sizes.grown(pins.sizes())
    except (KeyError, OSError):  # not there, or half
        return sizes


def fitting(name: str, sizes: Sizes) -> Pins | None:
    """Return pins that have the layout and the sizes that are wanted, None if there are none."""
    try:
        pins = Pins.open(name)
    except (OSError, ValueError):
        return None
    complete = set(ARRAYS) <= pins.maps.keys() and "turn" in pins.programs
    if complete and all(_fits(pins, name_of, sizes) for name_of in pins.maps):
        return pins
    pins.close()
    return None


def _fits(pins: Pins, name: str, sizes: Sizes) -> bool:
    wanted = sizes.entries_of(name)
    return wanted is None or syscall.map_shape(pins.maps[name]).entries == wanted


def fingerprint() -> str:
    """Return a name for the sources of the programs, on this kernel."""
    digest = hashlib.sha256(os.uname().release.encode())
    for text in _sources():
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _sources() -> Iterator[str]:
    folder = Path(str(files("patronus"))) / "bpf"
    for path in sorted(folder.iterdir()):
        if path.suffix in {".c", ".h"}:
            yield path.name
            yield path.read_text()
    yield records.assertions()
    yield probing.assertions()


def _recorded(state: Path) -> str:
    try:
        return (state / PROGRAMS_FILE).read_text().strip()
    except OSError:
        return ""


def _load(name: str, cache: Path, sizes: Sizes) -> None:
    if not BPF_ROOT.is_dir():
        raise NoPrograms(f"there is no {BPF_ROOT}: mount -t bpf bpf {BPF_ROOT}")
    command = [sys.executable, "-m", "patronus.dataplane.linux.loader", name, "--cache", str(cache)]
    for each in fields(Sizes):
        command += [f"--{each.name.replace('_', '-')}", str(getattr(sizes, each.name))]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoPrograms(f"the loader needs more than {LOAD_SECONDS} s") from None
    if done.returncode:
        said = done.stderr.strip() or f"the loader ended with {done.returncode}"
        raise NoPrograms(said)
