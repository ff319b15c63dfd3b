"""What older pins hold is carried into new ones: an upgrade that changes a layout loses nothing.

The loader makes new maps beside the old ones, which stay in the folder ``maps_older``, and carries
everything by the names of fields: stamps, latches, sequences, accounts, the table in force, flows
with their pins, counters. The programs that are attached go on with the old maps meanwhile. Just
before the agent attaches the new ones, :func:`refresh` carries once more what packets have changed
since; then the old maps go. Who is killed in between finds them again and does it anew.

Prefixes, rules and their trees are not carried: an agent installs them before it attaches
anything. Nor are flows into a table of another shape, and spare words. A later version in which a
word means something else, rather than lies elsewhere, needs a converter here.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import description, probing, records, syscall
from patronus.dataplane.linux.pins import ARRAYS, Arrays, Pins, mapped
from patronus.engine.units import NEVER

OLD: Final = "maps_older"
"""The BPF file system takes no names with dots."""
OWN: Final = frozenset(
    {"layout", "rows", "entries", "counter_stride", "flow_sets", "ranges", "test_now_ns"}
)
"""Settings that follow from what the new maps are."""

STANDING: Final = frozenset(
    {
        "detect_ns", "latched", "kind", "flags", "twins", "mtu", "mark", "peer_site", "transport",
        "delay_ns", "drain_until_ns", "drained", "ifindex", "ifindex_twin", "local", "remote",
        "local_port", "remote_port", "peer_id", "session_in", "session_out", "hop",
    }
)  # fmt: skip
"""Of a tunnel: what the agent writes, not packets."""
PLAIN: Final = frozenset({"tunnels", "used", "schedule", "pacing"})
"""Arrays that are carried value by value, from the first one on."""

PASSING: Final = frozenset({"counters", "flows", "pacing"})
"""Arrays that packets and tokens change, tunnels apart."""

Values = npt.NDArray[Any]


def _nested() -> dict[str, np.dtype[Any]]:
    """Return the arrays with the probes' share of a tunnel's record as fields of it."""
    fields = probing.fields_of(records.TUNNEL)
    names = list(fields)
    tunnel = np.dtype(
        {
            "names": names,
            "formats": [probing.PROBING if n == "probe" else fields[n][0] for n in names],
            "offsets": [fields[n][1] for n in names],
            "itemsize": records.TUNNEL.itemsize,
        }
    )
    return {**ARRAYS, "tunnels": tunnel}


DESCRIBED: Final[Mapping[str, np.dtype[Any]]] = MappingProxyType(_nested())


class Elder:
    """Maps that another version or size of the program has left."""

    def __init__(self, folder: Path) -> None:
        """Open them.

        Raises:
            OSError: there are none.
            ValueError: they do not say what they hold.
        """
        self._folder = folder
        self._maps: dict[str, int] = {}
        try:
            for path in sorted(folder.iterdir()):
                self._maps[path.name] = syscall.open_pin(path)
            self._types = self._described()
        except BaseException:
            self.close()
            raise

    def _described(self) -> Mapping[str, np.dtype[Any]]:
        if description.NAME not in self._maps:
            return DESCRIBED
        text = mapped(self._maps[description.NAME], description.TEXT)[0].tobytes()
        return description.arrays_in(text)

    def array(self, name: str) -> Values | None:
        """Return the memory of a map by its own type, None where it is not known."""
        dtype, descriptor = self._types.get(name), self._maps.get(name)
        if dtype is None or descriptor is None:
            return None
        if syscall.map_shape(descriptor).value_bytes != dtype.itemsize:
            return None  # made before pins described themselves
        return mapped(descriptor, dtype)

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self._maps.values():
            os.close(descriptor)
        self._maps = {}

    def discard(self) -> None:
        """Let the old maps go: programs of ours use them no longer."""
        self.close()
        shutil.rmtree(self._folder)


def elder(pins: Pins) -> Elder | None:
    """Return what was left beside pins, None where nothing was."""
    folder = pins.root / OLD
    return Elder(folder) if folder.is_dir() else None


def carry(old: Elder, new: Arrays) -> None:
    """Carry all that new maps can take, before anything is attached to them."""
    _carry(old, new, frozenset(DESCRIBED))
    _moves(old, new)


def _carry(old: Elder, new: Arrays, names: frozenset[str]) -> None:
    found, own = old.array("settings"), int(new.array("settings")["counter_stride"][0])
    stride = own if found is None else int(found["counter_stride"][0])
    for name in sorted(names):
        before, after = old.array(name), new.array(name).view(DESCRIBED[name])
        if before is None:
            continue
        if name == "settings":
            by_name(before, after, skip=OWN)
        elif name == "entries":
            _rows(before.reshape(2, -1), after.reshape(2, -1))
        elif name == "counters":
            _rows(before.reshape(-1, stride), after.reshape(-1, own))
        elif name == "flows":
            _flows(before, after)
        elif name in PLAIN:
            _rows(before, after)


def refresh(old: Elder, new: Arrays) -> None:
    """Carry once more what packets have changed since, just before new programs take over.

    A row that the new programs have already heard on is left as it is, so whoever was killed
    between two of them does no harm by beginning anew.
    """
    _carry(old, new, PASSING)
    ring, taken = new.array("ring"), old.array("ring")
    if taken is not None:
        ring["lost"] += taken["next"] - ring["next"]
        ring["next"] = taken["next"]
    # Last: copying flows takes tens of milliseconds, which is the life of a stamp.
    before, after = old.array("tunnels"), new.array("tunnels").view(DESCRIBED["tunnels"])
    if before is not None:
        rows = min(len(before), len(after))
        behind = np.flatnonzero(after["heard_ns"][:rows] <= before["heard_ns"][:rows])
        _refresh_rows(before[behind], after, behind)


def _refresh_rows(before: Values, after: Values, rows: npt.NDArray[np.int64]) -> None:
    kept = after[rows]
    by_name(before, kept, skip=STANDING)
    # A latch that the agent has cleared meanwhile stays so, unless there was silence since.
    silent = before["since_ns"] == NEVER
    kept["latched"] = before["latched"] & (kept["latched"] | silent)
    after[rows] = kept


def _rows(before: Values, after: Values) -> None:
    """Carry as much as both have room for, along each axis."""
    common = tuple(slice(min(a, b)) for a, b in zip(before.shape, after.shape, strict=True))
    by_name(before[common], after[common])


def by_name(before: Values, after: Values, skip: frozenset[str] = frozenset()) -> None:
    """Carry the fields that both records have, however they lie."""
    if before.dtype == after.dtype and not skip:
        after[...] = before
        return
    if before.dtype.names is None or after.dtype.names is None:
        if before.dtype.names is None and after.dtype.names is None:
            after[...] = before
        return
    for name in after.dtype.names:
        if name not in before.dtype.names or name in skip or _is_padding(name):
            continue
        old, new = before[name], after[name]
        if old.shape == new.shape:
            by_name(old, new)
        elif old.ndim == new.ndim:
            _rows(old, new)


def _is_padding(name: str) -> bool:
    return "spare" in name or name.endswith("zero")


def _flows(before: Values, after: Values) -> None:
    """Carry flows whose record stands still while it is read; the others begin anew."""
    if before.shape != after.shape or before["way"].shape != after["way"].shape:
        return
    old, new = before["way"], after["way"]
    sequence = old["sequence"].copy()
    by_name(old, new)
    torn = (sequence & 1 == 1) | (old["sequence"] != sequence)
    new[torn] = np.zeros((), dtype=new.dtype)


def _moves(old: Elder, new: Arrays) -> None:
    """Carry the moves that nobody has taken yet, or say that they are lost."""
    before, moves = old.array("ring"), old.array("moves")
    if before is None or moves is None:
        return
    ring = new.array("ring")
    if before["capacity"] == ring["capacity"]:
        by_name(before, ring)
        by_name(moves, new.array("moves"))
        return
    for name in ("next", "head", "tail"):
        ring[name] = before["next" if name == "next" else "head"]
    ring["lost"] = before["lost"] + before["head"] - before["tail"]
