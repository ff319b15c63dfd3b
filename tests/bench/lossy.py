"""Losing probes of each tunnel by itself, in the kernel, independently or in bursts."""

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import builder, syscall
from patronus.dataplane.linux.attach import Hook
from patronus.dataplane.linux.objects import MapShape
from tests.dataplane.linux.ends import End

SOURCE: Final = Path(__file__).with_name("lossy.bpf.c")
PREFERENCE: Final = 2
"""Behind what cuts: packets that are cut away step no chain."""
ALWAYS: Final = 1 << 32
LOSS: Final = np.dtype([("at", "u4"), ("length", "u4"), ("enter", "u8"), ("stay", "u8")])
WAY: Final = np.dtype([("seen", "u8"), ("lost", "u8"), ("bad", "u8")])


class Loss(NamedTuple):
    """How a direction of a tunnel loses packets."""

    name: str
    share: float
    """Of all packets."""
    burst: float = 0.0
    """Mean number of packets lost in a row; 0: losses are independent."""

    @property
    def enter(self) -> float:
        """Return the probability that a packet is lost where the one before it passed."""
        return self.share / (self.burst * (1 - self.share)) if self.burst else self.share

    @property
    def stay(self) -> float:
        """Return the probability that a packet is lost where the one before it was."""
        return 1 - 1 / self.burst if self.burst else self.share


NONE: Final = Loss("none", 0.0)


class Frame(NamedTuple):
    """What tells of which tunnel a probe is, where it is to be lost."""

    at: int
    """Of 16 bits with the tunnel's number."""
    length: int
    """Of a probe and of its reflection, in bytes."""


class Cable:
    """Loses what one end sends."""

    def __init__(self, end: End, devices: Iterable[int], frame: Frame, cache: Path) -> None:
        """Attach to devices; nothing is lost yet."""
        made = builder.build(cache, sources=[str(SOURCE)])
        self._maps = {
            name: syscall.create_map(name, _sized(name, made.maps[name], end.rows))
            for name in ("bench_loss", "bench_ways")
        }
        self._program = syscall.load_program("lossy", made.programs["lossy"], self._maps)
        self._loss = _mapped(self._maps["bench_loss"], LOSS)
        self.ways = _mapped(self._maps["bench_ways"], WAY)
        """What became of the packets of each tunnel; shape (rows,)."""
        self._loss["at"], self._loss["length"] = frame
        for device in devices:
            end.netlink.tc(
                "add-filter", "bpf", device, 1, parent=int(Hook.EGRESS), prio=PREFERENCE,
                protocol=3, fd=self._program, name="lossy", direct_action=True,
            )  # fmt: skip

    def lose(self, loss: Loss) -> None:
        """Lose packets so from now on, and count from nothing."""
        self._loss["enter"] = int(loss.enter * ALWAYS)
        self._loss["stay"] = int(loss.stay * ALWAYS)
        self.ways[:] = np.zeros(1, dtype=WAY)

    def close(self) -> None:
        """Let go of it; filters go with their devices."""
        for descriptor in (*self._maps.values(), self._program):
            os.close(descriptor)


def _sized(name: str, shape: MapShape, rows: int) -> MapShape:
    entries = rows if name == "bench_ways" else shape.entries
    return MapShape(shape.kind, shape.key_bytes, shape.value_bytes, entries, shape.flags)


def _mapped(descriptor: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    entries = syscall.map_shape(descriptor).entries
    length = -(-entries * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
    return np.frombuffer(mmap.mmap(descriptor, length), dtype=dtype, count=entries)
