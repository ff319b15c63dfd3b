"""Traffic on the wires: flows follow the forwarding tables, links fill, queues grow."""

from typing import Final

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.overlay import I32, I64
from patronus.engine.units import PPM
from patronus.sim.congestion import Congestion, Routes, capacities, congest
from patronus.sim.prober import Prober
from patronus.sim.traffic import Demands
from patronus.sim.wire import WINDOW_NS, Wire

_BITS: Final = 8

_COUNTED_PPS: Final = 40_000
"""A row counts no more data packets a second; the draws take at most 4096 a probe."""


class Load:
    """Carries the demands over the current paths; recomputed on the grid of 100 ms."""

    def __init__(self, demands: Demands, space: EntrySpace, wire: Wire) -> None:
        self.demands, self._space, self._wire = demands, space, wire
        self.entries: I64 = (
            demands.site.astype(np.int64) * space.destinations + demands.destination
        ) * space.classes + demands.traffic_class
        self.offered_bits: I64 = np.zeros(len(self.entries), dtype=np.int64)
        self._rows: I32 = np.full((len(self.entries), 2), NO_ROW, dtype=np.int32)
        self._capacity: I64 = np.zeros(0, dtype=np.int64)

    def changed(self, used: I32, now_ns: int) -> bool:
        """Take note of the paths in use; tell whether anything about the load is new."""
        if not len(self.entries):
            return False
        rows, effects = self._legs(used), self._wire.effects
        new = self._wire.rerouted or not np.array_equal(rows, self._rows)
        if not len(self._capacity) or len(effects.changing(now_ns - WINDOW_NS - 1, now_ns + 1)):
            self._capacity = capacities(self._wire.underlay.links, effects, now_ns)
            new = True
        self._rows = rows
        return new

    def _legs(self, used: I32) -> I32:
        """Return the tunnels of each flow: the first, and the second where it transits."""
        first = used[self.entries]
        end = np.where(first == NO_ROW, -1, self._wire.overlay.dst[first]).astype(np.int64)
        destination = self.demands.destination.astype(np.int64)
        onward = (first != NO_ROW) & ~self._wire.overlay.is_home(end, destination)
        entry = (end * self._space.destinations + destination) * self._space.classes
        second = np.where(onward, used[entry + self.demands.traffic_class], NO_ROW)
        return np.stack([first, second], axis=1).astype(np.int32)

    def spread(self, prober: Prober, now_ns: int) -> Congestion:
        """Put the flows on the wires and tell the prober what the dataplanes count."""
        routes = self._routes()
        links = self._wire.underlay.links
        state = congest(
            routes,
            rate_bps=self.demands.rate_bps,
            capacity_bps=self._capacity,
            buffer_ns=links.buffer_ns,
            wire_loss_ppm=self._wire.link_loss_ppm(now_ns),
        )
        self._wire.congest(state.delay_ns, state.loss_ppm)
        rate, too_large = self._packet_rates(now_ns)
        prober.carry(np.minimum(rate, _COUNTED_PPS), PPM * too_large // np.maximum(rate, 1))
        return state

    def _packet_rates(self, now_ns: int) -> tuple[I64, I64]:
        """Return the packets a second of each row, and how many of them it cannot carry."""
        size = self.demands.packet_bytes
        pps = self.demands.rate_bps // (_BITS * np.maximum(size, 1))
        rate = np.zeros((2, self._wire.overlay.rows), dtype=np.int64)
        for leg in self._rows.T:
            there = hits(leg != NO_ROW)
            rows = leg[there].astype(np.int64)
            mtu = self._wire.passage(rows, np.full(len(rows), now_ns, dtype=np.int64)).mtu
            np.add.at(rate[0], rows, pps[there])
            np.add.at(rate[1], rows, np.where(size[there] > mtu, pps[there], 0))
        return rate[0], rate[1]

    def _routes(self) -> Routes:
        """Return the links of each flow over both legs."""
        legs = [self._wire.links_of(leg.astype(np.int64)) for leg in self._rows.T]
        neutral = self._wire.neutral
        for leg, matrix in zip(self._rows.T, legs, strict=True):
            matrix[leg == NO_ROW] = neutral
        matrix = np.concatenate(legs, axis=1)
        real = (matrix != neutral) & (matrix >= 0)
        start = np.concatenate([[0], np.cumsum(real.sum(axis=1))])
        return Routes(start, matrix[real])
