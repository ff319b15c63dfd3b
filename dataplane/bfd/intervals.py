"""The intervals of one BFD session: what is wanted, what is told, and what is in force.

A new interval may not simply be used: the peer's Detection Time must follow before we
send more slowly, and the peer must send faster before we expect it to (RFC 5880, 6.8.3). So

- *wanted* is what the configuration asks for,
- *told* is what our packets say (bfd.DesiredMinTxInterval, bfd.RequiredMinRxInterval),
- *used* is what we send and detect by: while a Poll Sequence tells the peer something
  new in a session that is Up, the faster of both for sending, the slower for detecting.

Only one Poll Sequence runs at a time. What is wanted meanwhile waits for its end, and then
as long again as it took (6.5 lets several polls be on their way, and nothing in a Final
says which one it answers: an answer to the old poll must not end the new one).
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from patronus.engine.units import NEVER, PPM, SECOND

SLOW_TX_US: Final = 1_000_000
"""Least bfd.DesiredMinTxInterval of a session that is not Up (6.8.3)."""

INTERVAL_US_MAX: Final = 2**32 - 1

FINALS_LATE_NS_MAX: Final = SECOND
"""Longest wait for Finals that are still on their way. A Poll Sequence can last for hours while
the peer does not hear us, which says nothing of the round trip; on one link, that is
less than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration of a session's timers.

    Raises:
        ValueError: a value that the packet has no room for, or that the RFC excludes.
    """

    desired_min_tx_us: int
    """We would like to send as often as this."""
    required_min_rx_us: int
    """We can receive as often as this; 0: the peer is to send nothing, which holds it down."""
    detect_mult: int = 3
    """So many packets missed in a row mean that the session is down."""

    def __post_init__(self) -> None:
        limits = {
            "desired_min_tx_us": (1, INTERVAL_US_MAX),
            "required_min_rx_us": (0, INTERVAL_US_MAX),
            "detect_mult": (1, 255),
        }
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(
                    f"BFD {name} is {getattr(self, name)}; {least} to {most} are possible"
                )


class Pair(NamedTuple):
    """bfd.DesiredMinTxInterval and bfd.RequiredMinRxInterval."""

    tx_us: int
    rx_us: int


class Intervals:
    """Follows the rules of 6.8.3 and 6.5 for one session."""

    __slots__ = ("_first_poll_ns", "_quiet_until_ns", "_wanted", "polling", "told", "up", "used")

    def __init__(self, settings: Settings) -> None:
        self._wanted = settings
        self.up = False
        self.told = self._target()
        self.used = self.told
        self.polling = False
        """A Poll Sequence is under way."""
        self._first_poll_ns = NEVER
        """When its first poll was sent."""
        self._quiet_until_ns = 0
        """Until then, Finals of the last one may come in; 0: none is on its way."""

    @property
    def detect_mult(self) -> int:
        """What our next packet says; a change of it needs no Poll Sequence (6.8.12)."""
        return self._wanted.detect_mult

    def configure(self, settings: Settings, now_ns: int) -> None:
        """Ask for other intervals."""
        self._wanted = settings
        self.advance(now_ns)

    def set_up(self, now_ns: int, *, up: bool) -> None:
        """Note that the session is Up now, or is not."""
        self.up = up
        self.advance(now_ns)

    def polled(self, now_ns: int) -> None:
        """Note that a packet with the P bit was sent."""
        self._first_poll_ns = min(self._first_poll_ns, now_ns)

    def unheard(self) -> None:
        """The peer has been silent for a Detection Time: nothing we sent will be answered."""
        self._first_poll_ns = NEVER

    def final(self, now_ns: int) -> None:
        """Note that a packet with the F bit came: the peer knows what we told it."""
        if self._first_poll_ns == NEVER:
            return
        took_ns = min(now_ns - self._first_poll_ns, FINALS_LATE_NS_MAX)
        self._quiet_until_ns = now_ns + took_ns
        self.polling, self._first_poll_ns = False, NEVER
        self.used = self.told
        self.advance(now_ns)

    def advance(self, now_ns: int) -> None:
        """Tell the peer what is wanted, as soon as that is allowed."""
        if not self.up:
            self.used = self.told
        target = self._target()
        if target == self.told or now_ns < self.deadline_ns():
            return
        before, self.told = self.told, target
        self.polling, self._first_poll_ns = True, NEVER
        self.used = target
        if self.up:
            self.used = Pair(min(before.tx_us, target.tx_us), max(before.rx_us, target.rx_us))

    def deadline_ns(self) -> int:
        """Return when :meth:`advance` has something to do."""
        if self._target() == self.told:
            return NEVER
        if not self.up:
            return 0  # nothing that is in force can be lost by a change
        return NEVER if self.polling else self._quiet_until_ns

    def _target(self) -> Pair:
        tx_us, rx_us = self._wanted.desired_min_tx_us, self._wanted.required_min_rx_us
        return Pair(tx_us if self.up else max(tx_us, SLOW_TX_US), rx_us)


def jittered_ns(interval_us: int, *, detect_mult: int, draw_ppm: int) -> int:
    """Return the time to the next packet (6.8.7).

    Args:
        interval_us: the interval that was negotiated.
        detect_mult: our own; with 1, no packet may come as late as the peer's detection.
        draw_ppm: luck, from 0 (the longest time) to one below ``PPM`` (the shortest).
    """
    assert 0 <= draw_ppm < PPM
    interval_ns = interval_us * 1_000
    if detect_mult == 1:  # 75 to 90 %
        return interval_ns * 9 // 10 - interval_ns * 15 * draw_ppm // (100 * PPM)
    return interval_ns - interval_ns * draw_ppm // (4 * PPM)  # 75 to 100 %
