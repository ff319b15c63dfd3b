"""One-way delays of tunnels, comparable among those to one peer.

A pinned flow that leaves its tunnel must not overtake itself, so the kernel asks by how much
the delays of two ways *out* differ. Half a round trip does not tell where the two directions
differ. But all probes to one peer are stamped by the same two clocks:

    out = reflected - sent = delay of the way out + offset of the peer's clock

so the offset falls out of the difference. It is taken to be such that the delays out of a peer's
tunnels are half their round trips on average. To peers of different sites no more than that
is known.
"""

from typing import Final

import numpy as np

from patronus.dataplane.stamp.columns import Columns
from patronus.engine.overlay import I32, I64
from patronus.engine.units import SECOND

GAIN_SHIFT: Final = 3
"""Smoothed over about eight samples: the kernel allows for 5 ms of jitter beyond this."""
STEP_NS: Final = SECOND
"""A change of the way out by more than this is one of the peer's clock: it started again."""


class OneWay:
    """What the probes of a site's tunnels tell of their ways out."""

    def __init__(self, peers: I32) -> None:
        """Know nothing.

        Args:
            peers: site at the far end of each row.
        """
        self._peers = peers
        self._out_ns: I64 = np.zeros(len(peers), dtype=np.int64)
        """With the offset of the peer's clock in it."""
        self._round_ns: I64 = np.zeros(len(peers), dtype=np.int64)
        self._known = np.zeros(len(peers), dtype=np.bool_)

    def take(self, samples: Columns) -> None:
        """Take probes that came back, one of each of some rows."""
        rows = samples.rows
        out_ns = samples.reflected_ns - samples.sent_ns
        round_ns = samples.arrived_ns - samples.sent_ns
        fresh = ~self._known[rows] | (np.abs(out_ns - self._out_ns[rows]) > STEP_NS)
        for kept, now in ((self._out_ns, out_ns), (self._round_ns, round_ns)):
            before = kept[rows]
            kept[rows] = np.where(fresh, now, before + ((now - before) >> GAIN_SHIFT))
        self._known[rows] = True

    def estimates(self) -> I64:
        """Return the delay out of each row in nanoseconds, 0 where nothing is known."""
        found: I64 = np.zeros(len(self._peers), dtype=np.int64)
        rows = np.flatnonzero(self._known)
        peers = self._peers[rows]
        sites = int(peers.max(initial=-1)) + 1
        sums: I64 = np.zeros(sites, dtype=np.int64)
        np.add.at(sums, peers, self._out_ns[rows] - self._round_ns[rows] // 2)
        offset_ns = sums // np.maximum(np.bincount(peers, minlength=sites), 1)
        found[rows] = np.maximum(self._out_ns[rows] - offset_ns[peers], 1)
        return found
