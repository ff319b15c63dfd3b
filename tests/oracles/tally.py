"""What one stream of packets was worth, from the list of them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Packet(NamedTuple):
    sent_ns: int
    delay_ns: int | None
    """None: lost."""
    copies: int = 1


def outage_ns(packets: Sequence[Packet]) -> int:
    """Return 10 ms for each packet around which, two on each side, less than half arrived.

    Before the first one all was well; after the last one there are none.
    """
    arrived = [True, True, *(p.delay_ns is not None for p in packets)]
    total = 0
    for place in range(2, len(arrived)):
        around = arrived[place - 2 : place + 3]
        total += 10_000_000 * (2 * sum(around) < len(around))
    return total


class Worth(NamedTuple):
    offered: int
    delivered: int
    duplicated: int
    delay_ns: int
    jitter_ns: int


def second(packets: Sequence[Packet], before: Sequence[Packet]) -> Worth:
    """Sum up the packets of a second; ``before`` are all earlier ones of the stream."""
    delays = [p.delay_ns for p in packets if p.delay_ns is not None]
    earlier = [p.delay_ns for p in before if p.delay_ns is not None]
    chain = [*earlier[-1:], *delays]
    steps = [abs(b - a) for a, b in pairwise(chain)]
    return Worth(
        len(packets),
        len(delays),
        sum(p.copies - 1 for p in packets if p.delay_ns is not None),
        sum(delays) // len(delays) if delays else -1,
        sum(steps) // len(steps) if steps else -1,
    )
