"""The places of destinations in the kernel's tables: kept by name from one start to the next.

The engine numbers destinations by the configuration, so they shift when a peer is added. In the
kernel a prefix names its destination by a place, and entries stand there: were they renumbered,
packets would for some milliseconds go where another destination is. So each name keeps its
place for as long as it is configured, in a file; the pins that it speaks of go with a reboot,
and then it does no harm.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from patronus.control.members.secretfile import SecretError, keep
from patronus.engine.overlay import I64

PLACES_FILE: Final = "destinations.json"
_BYTES_MAX: Final = 16 << 20


def places(folder: Path, names: Sequence[str], classes: Sequence[str], most: int) -> I64:
    """Return the place of each destination, and keep them.

    Args:
        folder: of the agent's state.
        names: of the destinations.
        classes: of traffic; with others, no entry of before means anything.
        most: places that there are.

    Raises:
        ValueError: there are too few places.
    """
    known = _read(folder, classes)
    found = {name: known[name] for name in names if name in known}
    free = iter(sorted(set(range(most)) - set(known.values())))
    late = iter(sorted(set(known.values()) - set(found.values())))
    for name in names:
        if name not in found:
            place = next(free, None)
            place = next(late, None) if place is None else place
            if place is None:
                raise ValueError(f"{len(names)} destinations, but room for {most}")
            found[name] = place
    if found != known:
        _write(folder, classes, found)
    return np.array([found[name] for name in names], dtype=np.int64)


def _read(folder: Path, classes: Sequence[str]) -> dict[str, int]:
    """Return the places of before; none where there is no file that makes sense."""
    try:
        with (folder / PLACES_FILE).open("rb") as file:
            kept = json.loads(file.read(_BYTES_MAX))
        if kept["classes"] != list(classes):
            return {}
        found = {str(name): int(place) for name, place in kept["places"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    sound = len(set(found.values())) == len(found) and all(p >= 0 for p in found.values())
    return found if sound else {}


def _write(folder: Path, classes: Sequence[str], found: dict[str, int]) -> None:
    text = json.dumps({"classes": list(classes), "places": found})
    try:
        keep(folder / PLACES_FILE, text.encode())
    except SecretError:
        # A full disk: should the next start see other destinations, it moves some packets twice.
        return
