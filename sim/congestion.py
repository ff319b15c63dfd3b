"""Congestion as a fluid: which links are overloaded, what they drop, how long they queue.

A flow crosses its links in order. Below capacity a link holds a packet as an
M/M/1 queue does on average, ``service x load / (capacity - load)``, but never
longer than its buffer. At or above capacity the buffer is full and the excess is
dropped, from all flows alike (drop-tail sees no difference between them).

What one link drops the next one does not have to carry. Losses and loads depend
on each other, so they are computed in turn, a fixed number of times. Each turn
settles one more overloaded link along every route, and a route hardly ever meets
more than two. Where flows relieve each other in a circle the turns could swing
between two states for ever; hence later turns go half the way only. The last
turn's losses are those that count, so delivered and dropped always add up to what
was offered.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.units import PPM, SECOND
from patronus.sim.faults.effects import LinkEffects
from patronus.sim.underlay import Links

TURNS: Final = 12
"""Most turns; fewer when nothing changes any more."""

WHOLE_TURNS: Final = 4
"""Turns that go the whole way."""

PACKET_BITS: Final = 8_000
"""Size of the packets that queue, 1000 bytes: it scales the delay below capacity."""


@dataclass(frozen=True, eq=False)
class Congestion:
    """The state of all links under given flows."""

    loss_ppm: I64
    """By link: what overload drops."""
    delay_ns: I64
    """By link: queueing delay."""
    offered_bps: I64
    """By link: what arrives at it."""
    dropped_bps: I64
    """By link: what overload drops of it."""
    wire_lost_bps: I64
    """By link: what the wire itself loses of the rest."""
    delivered_bps: I64
    """By flow: what arrives at the end of its route."""


@dataclass(frozen=True, eq=False)
class Routes:
    """The directed links of each flow, as one CSR table.

    Flow ``i`` crosses ``links[start[i]:start[i + 1]]`` in order.
    """

    start: I64
    links: I32 | I64


def capacities(links: Links, effects: LinkEffects, t_ns: int) -> I64:
    """Return what each link carries at an instant, in bit/s, faults included."""
    every = np.arange(len(links.names))
    return np.minimum(links.rate_bps, effects.at(every, t_ns).rate_bps)


def congest(
    routes: Routes,
    *,
    rate_bps: I64,
    capacity_bps: I64,
    buffer_ns: I64,
    wire_loss_ppm: I64 | None = None,
) -> Congestion:
    """Return what the links do to flows of given rates.

    Args:
        routes: links by flow.
        rate_bps: offered, by flow; the sum over a link must stay below 2^62.
        capacity_bps: by link, 0 or more.
        buffer_ns: longest queueing delay, by link.
        wire_loss_ppm: by link, what is lost for other reasons after the queue (1,000,000
            on a cut link); it relieves the links behind.
    """
    wire = np.zeros_like(capacity_bps) if wire_loss_ppm is None else wire_loss_ppm
    loss = np.zeros_like(capacity_bps)
    for turn in range(TURNS):
        aim = _overload(_flow(routes, rate_bps, loss, wire)[0], capacity_bps)
        if np.array_equal(aim, loss):
            break
        loss = aim if turn < WHOLE_TURNS else (loss + aim + 1) // 2
    offered, dropped, lost, delivered = _flow(routes, rate_bps, loss, wire)
    delay = queueing_ns(offered, capacity_bps, buffer_ns)
    return Congestion(loss, delay, offered, dropped, lost, delivered)


def _flow(routes: Routes, rate_bps: I64, loss: I64, wire: I64) -> tuple[I64, I64, I64, I64]:
    # Carry all flows over their first links, then over their second ones, and so on.
    offered, dropped, lost = (np.zeros_like(loss) for _ in range(3))
    rate, length = rate_bps.copy(), np.diff(routes.start)
    for hop in range(int(length.max(initial=0))):
        flow = np.flatnonzero(length > hop)
        link = routes.links[routes.start[flow] + hop]
        arrived = rate[flow]
        queued = _part(arrived, PPM - loss[link])
        rate[flow] = _part(queued, PPM - wire[link])
        np.add.at(offered, link, arrived)
        np.add.at(dropped, link, arrived - queued)
        np.add.at(lost, link, queued - rate[flow])
    return offered, dropped, lost, rate


def _part(rate_bps: I64, share_ppm: I64) -> I64:
    # Rounded down, so that rounding never carries more than the capacity; in two parts, so
    # that no product overflows.
    whole, rest = np.divmod(rate_bps, PPM)
    part: I64 = whole * share_ppm + rest * share_ppm // PPM
    return part


def _overload(load_bps: I64, capacity_bps: I64) -> I64:
    # Rounded up, so that what is left does not exceed the capacity. Loads beyond 2^42 are
    # scaled down first: the product with a million has to stay below 2^63.
    shift = np.where(load_bps >> 42, 20, 0)
    over = -(-np.maximum(load_bps - capacity_bps, 0) >> shift)
    loss: I64 = -(-over * PPM // np.maximum(load_bps >> shift, 1))
    return np.minimum(loss, PPM)


def queueing_ns(load_bps: I64, capacity_bps: I64, buffer_ns: I64) -> I64:
    """Return how long a packet waits at links; never falls as load grows."""
    service_ns = PACKET_BITS * SECOND // np.maximum(capacity_bps, 1)
    room = capacity_bps - load_bps
    # Below capacity, service x load is at most the bits of a packet in ns: no overflow.
    carried = np.where(room > 0, load_bps, 0)
    wait = np.minimum(service_ns * carried // np.maximum(room, 1), buffer_ns)
    return np.where((room <= 0) & (load_bps > 0), buffer_ns, wait)
