"""What the kernel counted: by outcome, class, rule and tunnel, and the busiest flows."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.endpoints import Address
from patronus.dataplane.linux.pins import Arrays, Pins
from patronus.dataplane.linux.records import (
    CLASSES_MAX,
    FLOW_ASTRAY,
    FLOW_SIX,
    RULES_MAX,
    CounterPlace,
    Note,
    Outcome,
)


class Count(NamedTuple):
    """How much of something."""

    packets: int
    bytes: int


class Counters:
    """The counters of all CPUs, summed when they are read."""

    def __init__(self, pins: Arrays) -> None:
        stride = int(pins.array("settings")["counter_stride"][0])
        self._cells = pins.array("counters").reshape(-1, stride)

    def totals(self) -> npt.NDArray[np.uint64]:
        """Return packets and bytes of every place, shape (places, 2)."""
        pairs = self._cells.view(np.uint64).reshape(*self._cells.shape, 2)
        total: npt.NDArray[np.uint64] = pairs.sum(axis=0, dtype=np.uint64)
        return total

    def outcomes(self) -> dict[Outcome, Count]:
        """Return what became of packets; each is in exactly one of these."""
        total = self.totals()
        return {o: _count(total[CounterPlace.OUTCOME + o]) for o in Outcome}

    def notes(self) -> dict[Note, Count]:
        """Return what else happened."""
        total = self.totals()
        return {note: _count(total[CounterPlace.NOTE + note]) for note in Note}

    def classes(self) -> list[Count]:
        """Return what was steered, by class."""
        return self._range(CounterPlace.CLASS, CLASSES_MAX)

    def rules(self) -> list[Count]:
        """Return what was steered, by the rule that matched; the last: by none."""
        return self._range(CounterPlace.RULE, RULES_MAX + 1)

    def tunnels(self, rows: int) -> list[tuple[Count, Count]]:
        """Return what was sent on each tunnel and received from it."""
        flat = self._range(CounterPlace.TUNNEL, 2 * rows)
        return list(zip(flat[::2], flat[1::2], strict=True))

    def _range(self, start: int, count: int) -> list[Count]:
        return [_count(cell) for cell in self.totals()[start : start + count]]


def _count(cell: npt.NDArray[np.uint64]) -> Count:
    return Count(int(cell[0]), int(cell[1]))


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of users' packets."""

    source: Address
    target: Address
    protocol: int
    source_port: int
    target_port: int
    destination: int
    traffic_class: int
    row: int | None
    """The tunnel that it is pinned to."""
    packets: int
    bytes: int


def top_flows(pins: Pins, most: int) -> list[Flow]:
    """Return the flows with the most bytes, the largest first.

    Read from memory that the kernel goes on writing: a record that is being written is left
    out, and so is one that has become another flow's while it was read.
    """
    with pins.glance("flows") as sets:
        table = sets["way"].reshape(-1)
        # By columns: a copy of whole records would take as much memory as the table.
        taken = np.flatnonzero(_readable(table["sequence"]))
        totals = _bytes_of(table)[taken]
        places = taken[np.argsort(totals, kind="stable")[::-1][:most]]
        found = table[places]
        still = found["sequence"] == table["sequence"][places]
        return [_flow(record) for record in found[still & _readable(found["sequence"])]]


def _readable(sequences: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Tell which records hold a flow, whole: odd ones are being written, 0 was never used."""
    even: npt.NDArray[np.bool_] = (sequences & 1 == 0) & (sequences != 0)
    return even


def _bytes_of(flows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    high, low = (flows[f"bytes_{half}"].astype(np.int64) for half in ("high", "low"))
    total: npt.NDArray[np.int64] = high << 32 | low
    return total


def _flow(record: npt.NDArray[Any]) -> Flow:
    width = 16 if record["class"] & FLOW_SIX else 4
    row = int(record["row"]) - 1
    return Flow(
        source=ipaddress.ip_address(record["source"][:width].tobytes()),
        target=ipaddress.ip_address(record["target"][:width].tobytes()),
        protocol=int(record["protocol"]),
        source_port=int(record["source_port"]),
        target_port=int(record["target_port"]),
        destination=int(record["destination"]),
        traffic_class=int(record["class"]) & ~(FLOW_SIX | FLOW_ASTRAY),
        row=None if row < 0 else row,
        packets=int(record["packets"]),
        bytes=int(_bytes_of(record)),
    )


def named(counts: Mapping[Outcome, Count] | Mapping[Note, Count]) -> dict[str, int]:
    """Return packets by lower-case names, as commands and metrics show them."""
    return {key.name.lower(): count.packets for key, count in counts.items()}
