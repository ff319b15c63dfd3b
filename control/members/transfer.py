"""Bringing an announcement to a peer: sent again until acknowledged or superseded.

At most :data:`BURST` pieces are under way; an acknowledgement makes room for others. A
piece counts as lost after :data:`RESEND_NS`, so that one that was overtaken by others is
not sent again for each acknowledgement of those. An announcement of one burst is
superseded by a newer one at once. A longer one is brought to its end first, but for
:data:`FINISH_NS` at most: else a site that announces more often than a long way takes
would never get anything across.
"""

from dataclasses import dataclass
from typing import Final

from patronus.engine.units import MS, NEVER, SECOND

BURST: Final = 32
"""28 KiB: what a receive buffer of the kernel's usual size takes at once."""
FINISH_NS: Final = 2 * SECOND
KEPT_MAX: Final = 8
"""What so many newer ones have followed is given up: all that is on its way takes memory."""
RESEND_NS: Final = 250 * MS
"""Doubled with each attempt that brings no progress."""
ATTEMPTS_MAX: Final = 5
"""Eight seconds in all. Announcements are repeated by the engine, so the next one is near."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An announcement as it is sent to everybody: signed once."""

    number: int
    datagrams: tuple[bytes, ...]
    ordinal: int
    """Counts our announcements."""


class Transfer:
    """One announcement on its way to one peer."""

    def __init__(self, outgoing: Outgoing, now_ns: int) -> None:
        self.outgoing = outgoing
        self._started_ns = now_ns
        self._acked = 0
        self._sent_ns = [NEVER] * len(outgoing.datagrams)
        self._attempts = 0

    @property
    def done(self) -> bool:
        """Whether all pieces have arrived."""
        return self._acked == (1 << len(self.outgoing.datagrams)) - 1

    @property
    def given_up(self) -> bool:
        """Whether it was sent often enough in vain."""
        return self._attempts >= ATTEMPTS_MAX

    def yields(self, newer: Outgoing, now_ns: int) -> bool:
        """Return whether a newer announcement may take its place."""
        short = len(self.outgoing.datagrams) <= BURST
        old = newer.ordinal - self.outgoing.ordinal >= KEPT_MAX
        return short or old or now_ns - self._started_ns >= FINISH_NS

    def acknowledge(self, bitmap: int) -> bool:
        """Take note of what has arrived; return whether there is any progress."""
        acked = self._acked | (bitmap & ((1 << len(self.outgoing.datagrams)) - 1))
        if acked == self._acked:
            return False
        self._acked, self._attempts = acked, 0
        return True

    def burst(self, now_ns: int) -> list[bytes]:
        """Return the datagrams to send now: the first of those that are not under way."""
        missing = [n for n in range(len(self._sent_ns)) if not self._acked >> n & 1]
        due = [n for n in missing if not 0 <= now_ns - self._sent_ns[n] < RESEND_NS]
        room = BURST - (len(missing) - len(due))
        for number in due[:room]:
            self._sent_ns[number] = now_ns
        return [self.outgoing.datagrams[number] for number in due[:room]]

    def attempt_ns(self) -> int:
        """Count an attempt; return how long to wait for what comes of it."""
        self._attempts += 1
        return RESEND_NS << (self._attempts - 1)
