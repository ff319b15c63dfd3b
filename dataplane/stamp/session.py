"""One end of a STAMP session, without socket or clock: when to probe, and what came back.

A session sends probes at ``phase + k * interval`` for whole k. The phase follows from the
tunnel's name, so the probes of many tunnels spread over the interval in the same way each
time. A driver that is late sends one probe, not all that it missed; what was never sent has
no sequence number, since a gap of those means loss.

Reflections are matched by sequence among the probes that are still out, at most
``OUTSTANDING_MAX`` of them; one that names a time or a session other than its probe's is
forged or of a former life. What passes comes out in the columns of ``Engine.observe``:

    T1 ------ probe -----> T2        sent_ns       T1 + (T3 - T2)
                           |         reflected_ns  T3
    T4 <--- reflection --- T3        arrived_ns    T4

so that the time spent in the reflector is in neither the round trip nor the way out.

Stamps that are taken in user space wait for the scheduler, milliseconds of it on a busy
machine. So such a session measures brownouts but is no blackout detector: ``detects`` is
False, and an interval that only a detector would want is refused.
"""

from enum import Enum
from typing import Final, NamedTuple

from patronus.dataplane.stamp.fields import ErrorEstimate, Format, Stamp, since_ns
from patronus.dataplane.stamp.packet import Probe, Reflection
from patronus.dataplane.stamp.tlv import Liveness
from patronus.engine.fingerprint import name_key
from patronus.engine.units import MS

OUTSTANDING_MAX: Final = 1024
"""Ten seconds of probes at 10 ms; a reflection that takes longer is as good as lost."""

USER_INTERVAL_NS_MIN: Final = 100 * MS
"""Between probes stamped in user space: ten times the noise of a busy scheduler."""


class Sample(NamedTuple):
    """A probe that came back, in the terms of ``Engine.observe``."""

    sent_ns: int
    reflected_ns: int
    """By the peer's clock."""
    arrived_ns: int
    sequence: int
    heard_count: int
    """Probes of this session that the reflector had heard, this one included."""
    dwell_ns: int
    """Time in the reflector, which is not in the round trip."""
    hops: int
    """Routers on the way out, if the TTL began at 255."""

    @property
    def rtt_ns(self) -> int:
        """The round trip."""
        return self.arrived_ns - self.sent_ns


class Stray(Enum):
    """Why a correct reflection is no sample; each is a counter of this name."""

    UNEXPECTED = "unexpected"
    """Nothing of this sequence is out: a duplicate, too late, or not ours."""
    OTHER_SESSION = "other_session"
    """The identifier is not that of the session."""
    OTHER_STAMP = "other_stamp"
    """It does not echo what the probe said."""
    BACKWARDS = "backwards"
    """It came before it was sent, or spent longer in the reflector than under way."""


def phase_ns(name: str, interval_ns: int) -> int:
    """Return when in its interval a tunnel probes."""
    return name_key("phase", name) % interval_ns


class Session:
    """The Session-Sender of one tunnel."""

    def __init__(
        self,
        name: str,
        interval_ns: int,
        *,
        ssid: int,
        session: int | None = None,
        in_kernel: bool = False,
        kind: Format = Format.PTP,
    ) -> None:
        """Create a session that has sent nothing.

        Args:
            name: of the tunnel.
            interval_ns: between probes.
            ssid: identifier of RFC 8972 section 3, not zero.
            session: 64-bit identifier that the liveness TLV of reflections must carry; None
                for a reflector of others, that knows no such TLV.
            in_kernel: stamps are taken by the kernel.
            kind: format of our timestamps.

        Raises:
            ValueError: the interval is too short for stamps of user space.
        """
        assert interval_ns > 0
        assert 0 < ssid < 2**16
        if not in_kernel and interval_ns < USER_INTERVAL_NS_MIN:
            raise ValueError(
                f"{name}: probes stamped in user space need an interval of at least "
                f"{USER_INTERVAL_NS_MIN // MS} ms, not {interval_ns / MS:g} ms"
            )
        self.interval_ns, self.phase_ns = interval_ns, phase_ns(name, interval_ns)
        self.detects = in_kernel
        """Whether silence of it may count as a blackout within milliseconds."""
        self.ssid, self.session = ssid, session
        self.sent = 0
        """Probes; the next one's sequence number."""
        self.skipped = 0
        """Times at which a probe was due but the driver came too late."""
        self.unanswered = 0
        """Probes that fell out of the window."""
        self.strays = dict.fromkeys(Stray, 0)
        self._error = ErrorEstimate(format=kind)
        self._out: dict[int, tuple[Stamp, int]] = {}
        self._slot: int | None = None

    @property
    def outstanding(self) -> int:
        """Probes that may still come back."""
        return len(self._out)

    def due_ns(self, now_ns: int) -> int:
        """Return when the next probe is due; in the past if it is overdue.

        The first time this is asked begins the session.
        """
        if self._slot is None:
            self._slot = self._slot_of(now_ns - 1)
        return (self._slot + 1) * self.interval_ns + self.phase_ns

    def send(self, now_ns: int, tlvs: bytes = b"") -> Probe:
        """Return the probe that leaves now, at or after :meth:`due_ns`."""
        slot = self._slot_of(now_ns)
        assert self._slot is not None, "ask when it is due"
        assert slot > self._slot, "not due"
        self.skipped += slot - self._slot - 1
        self._slot = slot
        stamp, sequence = Stamp.of(now_ns, self._error.format), self.sent % 2**32
        self._out[sequence] = stamp, now_ns
        if len(self._out) > OUTSTANDING_MAX:
            del self._out[next(iter(self._out))]
            self.unanswered += 1
        self.sent += 1
        return Probe(sequence, stamp, self._error, self.ssid, tlvs)

    def _slot_of(self, time_ns: int) -> int:
        return (time_ns - self.phase_ns) // self.interval_ns

    def take(
        self, reflection: Reflection, arrived_ns: int, liveness: Liveness | None = None
    ) -> Sample | Stray:
        """Return what a reflection tells.

        Args:
            reflection: as it was read, in authenticated mode with the key.
            arrived_ns: when it came.
            liveness: of the reflector, if it knows that TLV.
        """
        found = self._match(reflection, arrived_ns, liveness)
        if isinstance(found, Stray):
            self.strays[found] += 1
        return found

    def _match(
        self, back: Reflection, arrived_ns: int, liveness: Liveness | None
    ) -> Sample | Stray:
        told = None if liveness is None else liveness.session
        if back.ssid != self.ssid or told != self.session:
            return Stray.OTHER_SESSION
        out = self._out.get(back.sender_sequence)
        if out is None:
            return Stray.UNEXPECTED
        stamp, sent_ns = out
        if back.sender_sent != stamp:
            return Stray.OTHER_STAMP
        dwell_ns = since_ns(back.reflected, back.received)
        if not 0 <= dwell_ns <= arrived_ns - sent_ns:
            return Stray.BACKWARDS
        del self._out[back.sender_sequence]
        return Sample(
            sent_ns=sent_ns + dwell_ns,
            reflected_ns=back.reflected.time_ns,
            arrived_ns=arrived_ns,
            sequence=back.sender_sequence,
            # A stateful reflector numbers its reflections from zero (RFC 8762 section 4.3).
            heard_count=liveness.probes_heard if liveness else back.sequence + 1,
            dwell_ns=dwell_ns,
            hops=255 - back.sender_ttl,
        )
