"""A kernel in memory for the driver: stamps that tests move, samples that they add."""

from collections.abc import Iterator

import numpy as np

from patronus.dataplane.linux.probing import Told
from patronus.dataplane.memory import MemoryDataplane
from patronus.dataplane.stamp.columns import Columns
from patronus.engine.engine import Engine
from patronus.engine.forwarding import Bool, ForwardingTable
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, NEVER


class MemoryKernel(MemoryDataplane):
    """Implements :class:`patronus.control.agent.kernel.Kernel`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(
            engine.overlay.src, engine.space, detect_ns=engine.tunnels.detect_ns.copy()
        )
        self.beats: list[int] = []
        self.waiting: list[Columns] = []
        zeros = np.zeros(engine.overlay.rows, dtype=np.int64)
        self.say = Told(*(zeros.copy() for _ in Told._fields))
        self.drained: dict[int, int] = {}
        """Until when; others are not."""
        self.telling: set[int] = set()
        """Rows whose peers are told that we drain."""
        self.delay_ns = zeros.copy()
        self.mtu: I64 = zeros.copy()
        self.spread = np.zeros((len(self.table), 2), dtype=np.int64)
        self.switches = 0

    def standing(self) -> ForwardingTable:
        copy = ForwardingTable(len(self.table))
        copy.rows[:], copy.drop[:] = self.table.rows, self.table.drop
        copy.shared_fate[:] = self.table.shared_fate
        return copy

    def heartbeat(self, now_ns: int) -> None:
        self.beats.append(now_ns)

    def listening_ns(self, now_ns: int) -> int:
        return now_ns

    def samples(self) -> Iterator[Columns]:
        waiting, self.waiting = self.waiting, []
        yield from waiting

    def told(self) -> Told:
        return self.say

    def drain(self, rows: I64, until_ns: I64, told: Bool) -> int:
        before = dict(self.drained), set(self.telling)
        for row, until in zip(rows.tolist(), until_ns.tolist(), strict=True):
            self.drained[row] = until
        self.drained = {row: until for row, until in self.drained.items() if until}
        self.telling = set(rows[told].tolist())
        return int(before != (self.drained, self.telling))

    def set_delay(self, rows: I64, delay_ns: I64) -> None:
        self.delay_ns[rows] = delay_ns

    def set_shares(self, entries: I64, shares: I64, now_ns: int) -> None:
        self.spread[entries] = shares
        self.switches += 1

    def shares(self, entries: I64) -> I64:
        return self.spread[entries]

    def cut(self, rows: I64, now_ns: int) -> None:
        self.confirmed_ns[rows] = now_ns - self.detect_ns[rows] - 1
        self.silence(rows.tolist(), now_ns)

    # What tests do

    def hear(self, rows: I64, now_ns: int) -> None:
        """Proof comes on some rows: those that were silent begin anew."""
        stale = rows[now_ns - self.confirmed_ns[rows] > self.detect_ns[rows]]
        if len(stale):
            self.silence(stale.tolist(), now_ns)
        self.confirmed_ns[rows] = self.heard_ns[rows] = now_ns
        self.confirm(rows.tolist(), now_ns)

    @property
    def untouched(self) -> bool:
        return bool((self.confirmed_ns == LONG_AGO).all() and (self.since_ns == NEVER).all())
