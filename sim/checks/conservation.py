"""Conservation: nothing that is offered vanishes, and nothing arrives that was not sent.

Packets are counted twice: how many teeth the comb owes follows from its phase alone,
and each must have met exactly one fate. The fluid must add up to the bit.
"""

import numpy as np

from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER
from patronus.sim.comb import TOOTH_NS, Teeth
from patronus.sim.congestion import Congestion
from patronus.sim.tally import Second


def owed(keys: U64, start_ns: int, until_ns: int) -> I64:
    """Return how many packets each comb sends within [start, until)."""
    phase = (keys % np.uint64(TOOTH_NS)).astype(np.int64)
    teeth: I64 = (until_ns - 1 - phase) // TOOTH_NS - (start_ns - 1 - phase) // TOOTH_NS
    return teeth


def leaking(keys: U64, start_ns: int, until_ns: int, teeth: Teeth) -> Bools:
    """Return which combs do not balance: offered = delivered + lost, duplicates apart."""
    arrived = teeth.arrived_ns != NEVER
    delivered = arrived & (teeth.copies > 0) & (teeth.arrived_ns >= teeth.sent_ns)
    lost = ~arrived & (teeth.copies == 0)
    fates = (teeth.inside & (delivered | lost)).sum(axis=1)
    uninvited = (~teeth.inside & (arrived | (teeth.copies > 0))).any(axis=1)
    wrong: Bools = (fates != owed(keys, start_ns, until_ns)) | uninvited
    return wrong


def spilt_bps(offered_bps: I64, state: Congestion) -> int:
    """Return by how much delivered, dropped and lost together differ from what was offered."""
    seen = state.delivered_bps.sum() + state.dropped_bps.sum() + state.wire_lost_bps.sum()
    return int(offered_bps.sum() - seen)


class Ledger:
    """Our own count of the flows' packets, to hold against the tally's, second by second."""

    def __init__(self, flows: int) -> None:
        self._count: I64 = np.zeros((2, flows), dtype=np.int64)

    def book(self, keys: U64, start_ns: int, until_ns: int, teeth: Teeth) -> None:
        """Count a slot; the flows are the first of the combs."""
        flows = self._count.shape[1]
        arrived = (teeth.arrived_ns != NEVER) & teeth.inside
        self._count[0] += owed(keys[:flows], start_ns, until_ns)
        self._count[1] += arrived[:flows].sum(axis=1)

    def close(self, second: Second) -> Bools:
        """Return the flows of which the tally says something else; begin the next second."""
        told = np.stack([second.offered, second.delivered])
        differ: Bools = (told != self._count).any(axis=0)
        self._count[:] = 0
        return differ
