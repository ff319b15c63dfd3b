"""What the links under each tunnel do when nothing is the matter.

Links have delays, jitter, loss and an MTU of their own, and queues that the traffic
makes. Summed up for each row once, they need no look at the links again before
congestion or a route changes.
"""

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER, PPM
from patronus.sim.passage import Passage
from patronus.sim.underlay import Links


class Usual:
    """Arrays by row; call :meth:`lay` for rows whose links or whose queues have changed."""

    def __init__(self, links: Links, rows: int) -> None:
        # By link, and at the end the padding and -1, which stands for a missing route.
        pad = np.zeros(2, dtype=np.int64)
        self._loss_ppm = np.concatenate([links.loss_ppm, pad])
        self._link_own_ns = np.concatenate([links.delay_ns, pad])
        self._link_delay_ns = self._link_own_ns
        self._link_jitter_ns = np.concatenate([links.jitter_ns, pad])
        self._link_mtu = np.concatenate([links.mtu, pad + NEVER])
        self._link_survive = PPM - self._loss_ppm
        self.delay_ns, self.jitter_ns, self.survive_ppm, self.mtu = np.zeros(
            (4, rows), dtype=np.int64
        )

    def congest(self, delay_ns: I64, loss_ppm: I64) -> None:
        """Set what queues add on each link."""
        self._link_delay_ns = self._link_own_ns.copy()
        self._link_delay_ns[:-2] += delay_ns
        self._link_survive = PPM - self._loss_ppm
        self._link_survive[:-2] = self._link_survive[:-2] * (PPM - loss_ppm) // PPM

    def lay(self, rows: I64, links: I32) -> None:
        """Sum up the links of some rows, shape (rows, width)."""
        survive = np.full(len(rows), PPM, dtype=np.int64)
        for link in links.T:
            survive *= self._link_survive[link]
            survive //= PPM
        self.survive_ppm[rows] = survive
        self.delay_ns[rows] = self._link_delay_ns[links].sum(axis=1)
        self.jitter_ns[rows] = self._link_jitter_ns[links].sum(axis=1)
        self.mtu[rows] = self._link_mtu[links].min(axis=1)

    def passage(self, rows: I64) -> Passage:
        """Return what packets on some rows meet; what survives stands in place of the loss."""
        nothing = np.zeros((3, len(rows)), dtype=np.int64)
        return Passage(
            delay_ns=self.delay_ns[rows],
            jitter_ns=self.jitter_ns[rows],
            loss_ppm=self.survive_ppm[rows],
            mtu=self.mtu[rows],
            duplicate_ppm=nothing[0],
            reorder_ppm=nothing[1],
            reorder_ns=nothing[2],
        )
