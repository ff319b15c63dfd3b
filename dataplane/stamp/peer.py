"""What one end of a session in user space knows of the other: stamps, H bit and counters.

The packet-time rule is that of :mod:`patronus.engine.fastpath`; here it runs in Python for
tunnels whose probes the kernel cannot authenticate. Both kinds of packets, the peer's probes
and our own reflected ones, carry the peer's :class:`Liveness` and end up in :meth:`arrive`.
"""

from patronus.dataplane.stamp.tlv import NEVER_HEARD, Liveness
from patronus.engine import fastpath
from patronus.engine.fastpath import Packet, Tunnel
from patronus.engine.units import LONG_AGO, US


class Peer:
    """The other end of one tunnel."""

    def __init__(self, session: int, detect_ns: int) -> None:
        """Create a peer that was never heard.

        Args:
            session: 64-bit identifier of the tunnel, equal at both ends.
            detect_ns: silence that counts as such.
        """
        self.session = session
        self.tunnel = Tunnel(detect_ns)
        self.probes_heard = 0
        self.probes_sent = 0
        self.data_sent = 0
        """Data packets, told by whoever sends them."""
        self.data_heard = 0
        self._sequence = 0
        self._told = (0, 0, 0)
        """Probes sent; data sent, and data heard at that time."""

    def liveness(self, now_ns: int) -> Liveness:
        """Return what the next packet to the peer says."""
        self._sequence += 1
        probes_told, data_told, data_heard = self._told
        return Liveness(
            hears=fastpath.hears(self.tunnel, now_ns),
            sequence=(self._sequence - 1) % 2**32,
            session=self.session,
            heard_age_us=self._age_us(now_ns),
            probes_sent=self.probes_sent,
            probes_told=probes_told,
            probes_heard=self.probes_heard,
            data_sent=self.data_sent,
            data_told=data_told,
            data_heard=data_heard,
        )

    def _age_us(self, now_ns: int) -> int:
        if self.tunnel.heard_ns == LONG_AGO:
            return NEVER_HEARD
        return min((now_ns - self.tunnel.heard_ns) // US, NEVER_HEARD)

    def arrive(self, told: Liveness, now_ns: int, *, reflection: bool) -> None:
        """Take an authenticated packet of the peer that arrived now."""
        assert told.session == self.session
        newest = fastpath.newer(told.sequence, self.tunnel.sequence)
        packet = Packet(told.sequence, told.hears, reflection)
        self.tunnel = fastpath.arrive(self.tunnel, packet, now_ns)
        self.probes_heard += not reflection
        if newest:
            self._told = (told.probes_sent, told.data_sent, self.data_heard)
