"""Which of either end's two keys a tunnel uses, and when it may change.

While a key is replaced, its device has a twin with the new one, and as the peer may be doing
the same, up to four pairs of devices can carry a tunnel. All of them receive; packets are sent by
one. A tunnel leaves its pair only for one of which it is proven that packets pass both ways, or
when there is no such pair any more.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from patronus.dataplane.linux.records import Twin
from patronus.dataplane.tunnels.driver import DeviceState
from patronus.engine.units import SECOND

PROBE_S: Final = 1
"""Between keepalives of a pair that is not in use, so that its life is seen ..."""
FRESH_NS: Final = 5 * SECOND
"""... within this."""

There = tuple[bool, bool]
"""Which of an end's two devices there are."""


def pair_of(own: int, peer: int) -> Twin:
    """Return the pair of our device in one place and the peer's in another, each 0 or 1."""
    return Twin(own | peer << 1)


def decide(now: Twin, wanted: Twin, *, own: There, peer: There, proven: Callable[[Twin], bool]
           ) -> Twin:  # fmt: skip
    """Return which pair to send by.

    Args:
        now: the one in use.
        wanted: what both ends want to come to.
        own: our devices.
        peer: its devices.
        proven: tells whether packets pass both ways on a pair.
    """

    def possible(pair: Twin) -> bool:
        return own[bool(pair & Twin.OWN)] and peer[bool(pair & Twin.PEER)]

    for pair in _steps(now, wanted):
        if pair == now or (possible(pair) and proven(pair)):
            return pair if possible(pair) else _first(wanted, possible, now)
    raise AssertionError("the pair in use is always a step")


def _steps(now: Twin, wanted: Twin) -> Iterator[Twin]:
    """Yield where to go, the best first: both changes, one of them, none."""
    yield wanted
    yield wanted & Twin.OWN | now & Twin.PEER
    yield now & Twin.OWN | wanted & Twin.PEER
    yield now


def _first(wanted: Twin, possible: Callable[[Twin], bool], otherwise: Twin) -> Twin:
    every = (wanted, wanted ^ Twin.PEER, wanted ^ Twin.OWN, wanted ^ (Twin.OWN | Twin.PEER))
    return next((pair for pair in every if possible(pair)), otherwise)


@dataclass(frozen=True, slots=True)
class _Sight:
    rx_bytes: int
    handshake_ns: int
    since_ns: int
    """When these figures were new; before the first change nothing is known."""


class Sessions:
    """When the sessions of WireGuard devices last showed that they live.

    Times are monotonic; the wall clock of handshakes serves only to see that there was another.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bytes], _Sight] = {}

    def look(self, states: Iterable[DeviceState], now_ns: int) -> None:
        """Take what devices know of their peers."""
        seen = {}
        for device in states:
            for peer in device.peers:
                key = device.name, peer.public_key
                before = self._seen.get(key)
                figures = peer.rx_bytes, peer.handshake_ns
                if before is None:
                    # One that is new to us may have been silent for long, or be just made.
                    seen[key] = _Sight(*figures, now_ns - FRESH_NS)
                elif figures != (before.rx_bytes, before.handshake_ns):
                    seen[key] = _Sight(*figures, now_ns)
                else:
                    seen[key] = before
        self._seen = seen

    def fresh(self, device: str, public: bytes, now_ns: int) -> bool:
        """Tell whether a device has lately heard a peer in a session that both have agreed on."""
        sight = self._seen.get((device, public))
        return sight is not None and sight.handshake_ns > 0 and now_ns - sight.since_ns < FRESH_NS
