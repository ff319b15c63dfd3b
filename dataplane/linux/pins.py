"""Pinned maps and programs: where they are, how large, and as NumPy arrays.

Below ``/sys/fs/bpf/<name>`` lie ``maps`` and ``programs``. What is pinned outlives every
process: an agent that starts finds stamps, latches, flows and counters as they were.
"""

import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import probing, records, syscall
from patronus.dataplane.linux.objects import MapShape
from patronus.dataplane.linux.rangetree import FAMILIES, room
from patronus.dataplane.linux.records import CounterPlace, RulePlace

BPF_ROOT: Final = Path("/sys/fs/bpf")

ARRAYS: Final[Mapping[str, np.dtype[Any]]] = MappingProxyType(
    {
        "settings": records.SETTINGS, "tunnels": records.TUNNEL, "entries": records.WORD,
        "used": records.USED, "counters": records.COUNT, "rules": records.WORD,
        "ring": records.RING, "moves": records.MOVE, "samples": probing.SAMPLE,
        "schedule": probing.SCHEDULE, "pacing": probing.PACING, "flows": records.FLOW_SET,
        "ranges4": records.RANGE4, "ranges6": records.RANGE6, "places4": records.RANGE_PLACE,
        "places6": records.RANGE_PLACE,
    }
)  # fmt: skip
"""The maps that are mapped into memory, and what they hold."""


def possible_cpus() -> int:
    """Return the number of CPUs that the kernel may ever number."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(text.replace(",", "-").rsplit("-", 1)[-1]) + 1


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the maps are; fixed while they are pinned."""

    rows: int = 1024
    """Tunnels."""
    entries: int = 16384
    """Destinations times classes."""
    flows: int = 262_144
    """Places, a power of two. More than half of them taken, sets begin to overflow."""
    fragments: int = 4096
    prefixes: int = 65_536
    """Of each family."""
    rule_prefixes: int = 1024
    moves: int = 16384
    """Places of the ring, a power of two."""

    def grown(self, other: Self) -> Self:
        """Return sizes with room for both."""
        return type(self)(
            **{f.name: max(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        )

    def __post_init__(self) -> None:
        """Check the bounds that the programs rely on."""
        assert 0 < self.rows < 0xFFFF, "rows are kept in 16 bits, with 0 for none"
        assert self.moves & (self.moves - 1) == 0, "a place is found by masking"
        assert self.moves > 64, "that many places stay free"
        sets = self.flow_sets
        assert sets > 0, "every flow has a set"
        assert sets & (sets - 1) == 0, "a set is found by masking"

    @property
    def counter_stride(self) -> int:
        """Counters of one CPU."""
        return int(CounterPlace.TUNNEL) + 2 * self.rows

    @property
    def flow_sets(self) -> int:
        """Sets in which flows are kept."""
        return self.flows // records.FLOW_WAYS

    def entries_of(self, name: str) -> int | None:
        """Return the size of a map, None where it is always the same."""
        sizes = {
            "tunnels": self.rows,
            "schedule": self.rows,
            "samples": self.rows * probing.SAMPLES,
            "entries": 2 * self.entries,
            "used": self.entries,
            "counters": possible_cpus() * self.counter_stride,
            "rules": 2 * RulePlace.BANK,
            "moves": self.moves,
            "flows": self.flow_sets,
            "fragments": self.fragments,
            **dict.fromkeys(("prefixes4", "prefixes6"), self.prefixes),
            **self._range_sizes(),
            **dict.fromkeys(("targets4", "targets6"), self.rule_prefixes),
        }
        return sizes.get(name)

    def _range_sizes(self) -> dict[str, int]:
        """Return the sizes of the trees; a bank has half of the nodes, and half of each place."""
        sizes: dict[str, int] = {}
        for family in FAMILIES:
            nodes, places = room(self.prefixes, family.keys)
            sizes |= {f"ranges{family.version}": 2 * nodes, f"places{family.version}": places}
        return sizes

    def shape(self, name: str, shape: MapShape) -> MapShape:
        """Return the shape of a map with its size."""
        entries = self.entries_of(name) or shape.entries
        return MapShape(shape.kind, shape.key_bytes, shape.value_bytes, entries, shape.flags)


def mapped(descriptor: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the memory of a map as an array of its values."""
    entries = syscall.map_shape(descriptor).entries
    length = -(-entries * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
    return np.frombuffer(mmap.mmap(descriptor, length), dtype=dtype, count=entries)


class Arrays(Protocol):
    """Whoever holds the memory that is shared with what handles packets."""

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return the memory of a map of :data:`ARRAYS`."""


class Pins:
    """What is pinned under one name, opened."""

    def __init__(self, root: Path, maps: dict[str, int], programs: dict[str, int]) -> None:
        self.root = root
        self.maps = maps
        """Descriptors by name."""
        self.programs = programs
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        """Mapped once: each mapping holds a descriptor of its own."""

    @classmethod
    def open(cls, name: str) -> Self:
        """Open everything under a name.

        Raises:
            OSError: nothing is pinned there, or we may not open it.
            ValueError: it was pinned by another version of the program.
        """
        pins = cls.found(name)
        try:
            pins.check_layout()
        except ValueError:
            pins.close()
            raise
        return pins

    @classmethod
    def found(cls, name: str) -> Self:
        """Open everything under a name, whoever has pinned it.

        Raises:
            OSError: nothing is pinned there, or we may not open it.
        """
        root = BPF_ROOT / name
        maps = {path.name: syscall.open_pin(path) for path in sorted((root / "maps").iterdir())}
        programs = {
            path.name: syscall.open_pin(path) for path in sorted((root / "programs").iterdir())
        }
        return cls(root, maps, programs)

    def check_layout(self) -> None:
        """Refuse what another version of the program has pinned.

        Raises:
            ValueError: the layouts differ.
        """
        if self.layout != records.LAYOUT:
            raise ValueError(f"{self.root} has layout {self.layout}, wanted is {records.LAYOUT}")

    @property
    def layout(self) -> int:
        """The number that the pins say."""
        return int(self.array("settings")["layout"][0])

    def sizes(self) -> Sizes:
        """Return how large the maps are."""
        found = {name: syscall.map_shape(fd).entries for name, fd in self.maps.items()}
        return Sizes(
            rows=found["tunnels"],
            entries=found["used"],
            flows=found["flows"] * records.FLOW_WAYS,
            fragments=found["fragments"],
            prefixes=found["prefixes4"],
            rule_prefixes=found["targets4"],
            moves=found["moves"],
        )

    def __enter__(self) -> Self:
        """Return the pins themselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the descriptors; the pins stay."""
        self.close()

    def array(self, name: str, dtype: np.dtype[Any] | None = None) -> npt.NDArray[Any]:
        """Return a map's memory as an array: stores are seen by the next packet.

        Args:
            name: of the map.
            dtype: of its values, for maps that are not in :data:`ARRAYS`.
        """
        if name not in self._arrays:
            self._arrays[name] = self._mapped(name, dtype or ARRAYS[name])
        return self._arrays[name]

    @contextmanager
    def glance(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """Lend a map's memory for a moment.

        Mapped memory counts as the process's own: what is large and seldom looked at is not
        kept, as :meth:`array` would.
        """
        yield self._mapped(name, ARRAYS[name])

    def _mapped(self, name: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        return mapped(self.maps[name], dtype)

    def close(self) -> None:
        """Close the descriptors; arrays that are still in use keep their memory."""
        for descriptor in (*self.maps.values(), *self.programs.values()):
            os.close(descriptor)
        self.maps, self.programs = {}, {}
        self._arrays.clear()
