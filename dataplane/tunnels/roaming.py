"""Which peers are to be called again at the endpoint that is configured for them.

WireGuard moves a peer's endpoint to where its last authenticated packet came from, and that
is right as long as such packets arrive. The configured endpoint is set again in two cases:
it is another one than before, or nothing has come from the peer for so long that its session
has run out (REJECT_AFTER_TIME), so that where it was last is worth no more than where it was
configured to be.

Times are monotonic. The wall clock of a peer's last handshake serves only to see that there
was another one, so that a clock that jumps calls nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.spec import Endpoint, TunnelSpec
from patronus.engine.units import SECOND

REJECT_AFTER_TIME_NS: Final = 180 * SECOND
"""WireGuard paper, section 6.1: a session that is older is not used."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """The last sign of life of one peer."""

    configured: Endpoint | None
    rx_bytes: int
    handshake_ns: int
    since_ns: int


class Roaming:
    """Remembers, for the peers of one device, when each last gave a sign of life."""

    def __init__(self) -> None:
        self._seen: dict[bytes, _Sight] = {}

    def call_again(
        self, tunnels: Iterable[TunnelSpec], found: Iterable[PeerState], now_ns: int
    ) -> set[bytes]:
        """Return the peers whose endpoint is to be set; a peer not seen before is trusted.

        A restarted agent has seen nobody, and must not pull roamed peers back.
        """
        have = {peer.public_key: peer for peer in found}
        again: set[bytes] = set()
        seen: dict[bytes, _Sight] = {}
        for tunnel in tunnels:
            peer, before = have.get(tunnel.public_key), self._seen.get(tunnel.public_key)
            if peer is None:
                continue
            sight = _Sight(tunnel.remote, peer.rx_bytes, peer.handshake_ns, now_ns)
            if before is not None:
                if before.configured != tunnel.remote:
                    again.add(tunnel.public_key)
                elif (before.rx_bytes, before.handshake_ns) == (peer.rx_bytes, peer.handshake_ns):
                    if now_ns - before.since_ns > REJECT_AFTER_TIME_NS:
                        again.add(tunnel.public_key)
                    else:
                        sight = before
            seen[tunnel.public_key] = sight
        self._seen = seen
        return again
