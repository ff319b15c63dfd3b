"""How much a link carries: a test flow of twice the commanded rate, alone on its way."""

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.sim.congestion import Routes, capacities, congest
from patronus.sim.gauging.evidence import UNOBSERVED, Reading, tell, weigh
from patronus.sim.gauging.instruments import Aim, Instrument
from patronus.sim.gauging.shots import Field, Shots
from patronus.sim.gauging.spans import When
from patronus.sim.wire import WINDOW_NS


class Capacity(Instrument):
    """What arrives of the test flow, at one instant of each window, on another tunnel in each."""

    def _effect(self, field: Field) -> I64:
        return np.full(len(field.crossed), self.fault.rate_bps, dtype=np.int64)

    def _shoot(self, shots: Shots) -> None:
        window, within_ns = np.divmod(shots.sent_ns, WINDOW_NS)
        turn = window % len(shots.sent_ns) == np.arange(len(shots.sent_ns))[:, None]
        # The first packet in its window of the tunnel whose turn it is.
        self._asked = shots.inside & turn & (within_ns < self._aim.field.pace_ns)
        self._bps = np.zeros(shots.sent_ns.shape, dtype=np.int64)
        for row, packet in np.argwhere(self._asked).tolist():
            way = self._aim.field.ways.links[row]
            self._bps[row, packet] = self._flow(way, int(shots.sent_ns[row, packet]))

    def _flow(self, way: I64, at_ns: int) -> int:
        """Return what arrives of the test flow over some links."""
        links = self.wire.underlay.links
        real = way[(way >= 0) & (way != self.wire.neutral)]
        state = congest(
            Routes(np.array([0, len(real)], dtype=np.int64), real),
            rate_bps=np.array([2 * self.fault.rate_bps], dtype=np.int64),
            capacity_bps=capacities(links, self.wire.effects, at_ns),
            buffer_ns=links.buffer_ns,
        )
        return int(state.delivered_bps[0])

    def _values(self, mask: Bools) -> I64:
        here = mask & self._asked
        return np.stack([here.sum(axis=1), np.where(here, self._bps, 0).sum(axis=1)], axis=1)

    def _judge(self, sums: I64, aim: Aim, spans_ns: tuple[int, int], *, undone: bool) -> Reading:
        rate, shown = self.fault.rate_bps, [-1, -1, -1]
        means = np.where(sums[:, :, 0] > 0, sums[:, :, 1] // np.maximum(sums[:, :, 0], 1), -1)
        for when in When:
            seen = means[when][means[when] >= 0]
            shown[when] = int(seen.sum()) // len(seen) if len(seen) else -1
        # Only where more came through before can anything be seen.
        wide = means[When.BEFORE] > rate + rate // 100
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        during = means[When.DURING][wide & (means[When.DURING] >= 0)]
        after = means[When.AFTER][wide & (means[When.AFTER] >= 0)]
        if len(during):
            there = weigh(bool((abs(during - rate) <= rate // 100).all()), False)
        if undone and len(after):
            then = weigh(bool((after > rate + rate // 100).all()), False)
        return tell(shown, there, then)
