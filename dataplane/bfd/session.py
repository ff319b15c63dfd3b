"""One BFD session (RFC 5880, 6.8) without a clock, a socket or luck.

A driver gives it packets, the time and draws, and takes packets and events out; one
question, :meth:`Session.next_deadline`, tells when it must be called again:

    packet ──► receive() ──┐                          ┌──► packets to send
    time ────► advance() ──┼─► state, intervals, peer ┼──► events
    admin ───► configure() ┘        │    take() ──────┘
                                    └─► next_deadline()

Every call that may send takes a draw: the jitter of the next interval. All sending goes
through :meth:`Session._send`, every change of state through :meth:`Session._enter`.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from patronus.dataplane.bfd.authentication import Authenticator
from patronus.dataplane.bfd.intervals import Intervals, Settings, jittered_ns
from patronus.dataplane.bfd.machine import AFTER_HEARING, AFTER_SILENCE, Diagnostic, State
from patronus.dataplane.bfd.packet import Discard, Discarded, Packet, encode
from patronus.engine.units import LONG_AGO, NEVER, US

REMOTE_MIN_RX_US: Final = 1
"""bfd.RemoteMinRxInterval before the peer has told it (6.8.1), and again when it has been
silent: its wish holds as long as it sends (6.8.18)."""

OUTBOX: Final = 16
"""Packets and events that may wait; a call makes two of each, so the driver has to take them."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A session changed its state."""

    at_ns: int
    before: State
    after: State
    diagnostic: Diagnostic
    """Why, as we see it."""
    remote_diagnostic: int
    """Why the peer changed its own last, as its last packet says; 0 before the first."""


class Taken(NamedTuple):
    """What a session wants done."""

    packets: list[bytes]
    """To be sent in this order."""
    events: list[StateChanged]


class Session:
    """One session; time is in nanoseconds of a clock that only goes forward."""

    def __init__(
        self,
        *,
        discriminator: int,
        settings: Settings,
        authenticator: Authenticator | None = None,
        passive: bool = False,
        enabled: bool = True,
    ) -> None:
        """Create a session; :meth:`advance` sends its first packet.

        Args:
            discriminator: ours; nonzero, and unique among the sessions of this system.
            settings: of the timers.
            authenticator: of this session, if both ends use authentication.
            passive: send nothing before the peer does (6.1).
            enabled: False: begin in AdminDown.
        """
        assert 0 < discriminator < 2**32
        self.discriminator = discriminator
        self.state = State.DOWN if enabled else State.ADMIN_DOWN
        self.diagnostic = Diagnostic.NO_DIAGNOSTIC if enabled else Diagnostic.ADMINISTRATIVELY_DOWN
        """bfd.LocalDiag: why the state is what it is."""
        self.remote: Packet | None = None
        """The last packet of the peer; it stays when the peer falls silent."""
        self.remote_discriminator = 0
        """bfd.RemoteDiscr: 0 while the peer is not heard."""
        self._intervals = Intervals(settings)
        self._authenticator = authenticator
        self._passive = passive
        self._heard_ns = LONG_AGO
        self._sent_ns = LONG_AGO
        self._sent: Packet | None = None
        """What the last one said, without P and F."""
        self._draw_ppm = 0
        self._packets: list[bytes] = []
        self._events: list[StateChanged] = []

    # What the driver asks

    def receive(self, packet: Packet, now_ns: int, *, draw_ppm: int) -> None:
        """Take a packet that was found to belong to this session.

        A packet that lay in the socket while the driver was late still counts as heard now.

        Raises:
            Discarded: a rule of 6.8.6 that needs the session refuses the packet.
        """
        assert packet.your_discriminator in (0, self.discriminator), "another session's packet"
        self._authenticate(packet, now_ns)
        self.remote, self.remote_discriminator = packet, packet.my_discriminator
        self._heard_ns = now_ns
        if packet.final:
            self._intervals.final(now_ns)
        if self.state is State.ADMIN_DOWN:
            self._send_if_due(now_ns, draw_ppm)
            raise Discarded(Discard.ADMIN_DOWN)
        self._enter(
            AFTER_HEARING[self.state][packet.state],
            Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN,
            now_ns,
        )
        if packet.poll:
            self._send(now_ns, final=True)
        self._send_if_due(now_ns, draw_ppm)

    def advance(self, now_ns: int, *, draw_ppm: int) -> None:
        """Do what is due: declare the peer silent, end waiting times, send."""
        if now_ns >= self._silent_from_ns():
            self.remote_discriminator = 0
            self._intervals.unheard()
            self._enter(
                AFTER_SILENCE[self.state], Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, now_ns
            )
        self._intervals.advance(now_ns)
        self._send_if_due(now_ns, draw_ppm)

    def configure(self, settings: Settings, now_ns: int, *, draw_ppm: int) -> None:
        """Change the timers; a session that is Up stays Up."""
        self._intervals.configure(settings, now_ns)
        self._send_if_due(now_ns, draw_ppm)

    def disable(self, now_ns: int, *, draw_ppm: int) -> None:
        """Go to AdminDown, and keep telling the peer (6.8.16)."""
        self._enter(State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN, now_ns)
        self._send_if_due(now_ns, draw_ppm)

    def enable(self, now_ns: int, *, draw_ppm: int) -> None:
        """Leave AdminDown; nothing else is changed."""
        if self.state is State.ADMIN_DOWN:
            self._enter(State.DOWN, Diagnostic.NO_DIAGNOSTIC, now_ns)
        self._send_if_due(now_ns, draw_ppm)

    def next_deadline(self) -> int:
        """Return when :meth:`advance` is needed next, ``NEVER`` if only a packet helps."""
        return min(self._due_ns(), self._silent_from_ns(), self._intervals.deadline_ns())

    def take(self) -> Taken:
        """Take out what is to be sent and told."""
        taken = Taken(self._packets, self._events)
        self._packets, self._events = [], []
        return taken

    # What may be looked at

    @property
    def polling(self) -> bool:
        """Whether a Poll Sequence is under way."""
        return self._intervals.polling

    @property
    def transmit_interval_us(self) -> int:
        """The negotiated interval of our packets, before jitter (6.8.2)."""
        return max(self._intervals.used.tx_us, self._remote_min_rx_us())

    @property
    def detection_time_ns(self) -> int:
        """How long the peer may be silent (6.8.4), ``NEVER`` before it was first heard."""
        if self.remote is None:
            return NEVER
        interval_us = max(self._intervals.used.rx_us, self.remote.desired_min_tx_us)
        return self.remote.detect_mult * interval_us * US

    # How it is done

    def _authenticate(self, packet: Packet, now_ns: int) -> None:
        if self._authenticator is None:
            if packet.auth:
                raise Discarded(Discard.AUTH_UNEXPECTED)
            return
        if not packet.auth:
            raise Discarded(Discard.AUTH_MISSING)
        if now_ns - self._heard_ns >= 2 * self.detection_time_ns:
            self._authenticator.forget()
        self._authenticator.verify(packet)

    def _enter(self, after: State, diagnostic: Diagnostic, now_ns: int) -> None:
        """Change the state; ``diagnostic`` is the reason in case that it is for the worse."""
        before = self.state
        if after is before:
            return
        self.state = after
        self.diagnostic = Diagnostic.NO_DIAGNOSTIC if after > before else diagnostic
        self._intervals.set_up(now_ns, up=after is State.UP)
        assert len(self._events) < OUTBOX, "the driver does not take the events"
        remote = self.remote.diagnostic if self.remote else 0
        self._events.append(StateChanged(now_ns, before, after, self.diagnostic, remote))

    def _silent_from_ns(self) -> int:
        if not self.remote_discriminator:
            return NEVER
        return self._heard_ns + self.detection_time_ns

    def _remote_min_rx_us(self) -> int:
        if self.remote is None or not self.remote_discriminator:
            return REMOTE_MIN_RX_US
        return self.remote.required_min_rx_us

    def _may_send(self) -> bool:
        """Say whether packets go out by themselves (6.8.7)."""
        if not self._remote_min_rx_us() or (self._passive and not self.remote_discriminator):
            return False
        return self.polling or not self._excused()

    def _excused(self) -> bool:
        """Say whether the peer is in Demand mode and both ends are Up (6.6)."""
        remote = self.remote
        return bool(remote and remote.demand and self.state is remote.state is State.UP)

    def _due_ns(self) -> int:
        if not self._may_send():
            return NEVER
        if self._news():
            return self._sent_ns
        return self._sent_ns + jittered_ns(
            self.transmit_interval_us,
            detect_mult=self._intervals.detect_mult,
            draw_ppm=self._draw_ppm,
        )

    def _news(self) -> bool:
        """Say whether a packet would tell what the last one did not (6.8.7)."""
        return self._sent != self._packet()

    def _send_if_due(self, now_ns: int, draw_ppm: int) -> None:
        if now_ns >= self._due_ns():
            self._send(now_ns, final=False)
            self._sent_ns, self._draw_ppm = now_ns, draw_ppm

    def _send(self, now_ns: int, *, final: bool) -> None:
        """Send a packet. A Final is extra: the periodic ones, polls among them, go on in time."""
        # Without its discriminator the peer is not there to answer.
        poll = self.polling and not final and bool(self.remote_discriminator)
        self._sent = self._packet()
        packet = replace(self._sent, poll=poll, final=final)
        if poll:
            self._intervals.polled(now_ns)
        assert len(self._packets) < OUTBOX, "the driver does not take the packets"
        sign = self._authenticator.sign if self._authenticator else encode
        self._packets.append(sign(packet))

    def _packet(self) -> Packet:
        """Return what there is to say, without P and F."""
        told = self._intervals.told
        return Packet(
            state=self.state,
            diagnostic=self.diagnostic,
            my_discriminator=self.discriminator,
            your_discriminator=self.remote_discriminator,
            detect_mult=self._intervals.detect_mult,
            desired_min_tx_us=told.tx_us,
            required_min_rx_us=told.rx_us,
        )
