"""A stateful Session-Reflector in user space, authenticated: bytes in, bytes out.

Sessions are made known beforehand, by their SSID; a probe of another one is counted and
gets no answer. So the table is bounded by the configuration and nobody can fill it.
"""

from typing import Final

from patronus.dataplane.stamp.fields import ErrorEstimate, Malformed, Refusal, Stamp
from patronus.dataplane.stamp.packet import Probe, Reflection
from patronus.dataplane.stamp.peer import Peer
from patronus.dataplane.stamp.tlv import Tlv, Type, liveness_of, reflect

OUR_CLOCK: Final = ErrorEstimate()


class Reflector:
    """Answers the probes of one session."""

    def __init__(self, key: bytes, ssid: int, peer: Peer) -> None:
        self._key, self._ssid, self._peer = key, ssid, peer
        self.reflected = 0
        self.refused = dict.fromkeys(Refusal, 0)
        self.other_session = 0

    def take(self, data: bytes, *, ttl: int, received_ns: int, now_ns: int) -> bytes | None:
        """Return the reflection of a probe, None for what deserves none; both are counted.

        Args:
            data: the payload that came.
            ttl: with which it came.
            received_ns: when it came.
            now_ns: when its reflection leaves, by the same clock.
        """
        try:
            probe = Probe.parse(data, self._key)
            told = liveness_of(probe.tlvs)
        except Malformed as error:
            self.refused[error.refusal] += 1
            return None
        if probe.ssid != self._ssid or told.session != self._peer.session:
            self.other_session += 1
            return None
        self._peer.arrive(told, received_ns, reflection=False)
        return self._answer(probe, ttl, received_ns, now_ns).pack(self._key)

    def _answer(self, probe: Probe, ttl: int, received_ns: int, now_ns: int) -> Reflection:
        own = self._peer.liveness(now_ns).pack()
        self.reflected += 1
        return Reflection(
            sequence=(self.reflected - 1) % 2**32,
            reflected=Stamp.of(now_ns),
            received=Stamp.of(received_ns),
            sender_sequence=probe.sequence,
            sender_sent=probe.sent,
            error=OUR_CLOCK,
            sender_error=probe.error,
            ssid=probe.ssid,
            sender_ttl=ttl,
            tlvs=reflect(probe.tlvs, lambda tlv: _value(tlv, own)),
        )


def _value(tlv: Tlv, own: bytes) -> bytes | None:
    if tlv.type == Type.LIVENESS:
        return own
    return tlv.value if tlv.type == Type.EXTRA_PADDING else None
