"""Announcements on their way: ours to each live peer, theirs together and to the engine.

Everybody speaks for himself alone, directly to everybody who needs it; nothing is passed on.

The engine counts what it gets of a site and keeps contents by their version. Both are
counted anew here: a site that started again with its clock set back must not be taken for
its own past, nor its new content for an old one of the same number.
"""

from dataclasses import replace

import numpy as np

from patronus.control.members.actions import Actions, Agenda, Due
from patronus.control.members.assembly import Assembly
from patronus.control.members.envelope import Envelope, Kind
from patronus.control.members.messages import Ack, Piece, pieces
from patronus.control.members.peer import Peer
from patronus.control.members.reason import Reason, Refused
from patronus.control.members.timing import Moment, Timing
from patronus.control.members.transfer import Outgoing, Transfer
from patronus.control.members.voice import Voice
from patronus.engine.announcement import Announcement, AnnouncementError, decode, encode
from patronus.engine.overlay import I64


class Gossip:
    """What one site announces, and what it is told."""

    def __init__(
        self, voice: Voice, agenda: Agenda, *, here: I64, timing: Timing, out: Actions
    ) -> None:
        """Begin with nothing; ``here`` are the sites whose engine learns what arrives."""
        self._voice, self._agenda, self._timing = voice, agenda, timing
        self._here = here
        self.out = out
        self.assembly = Assembly()
        self._latest: Outgoing | None = None
        self._ordinal = 0
        self.unsent = 0
        """Announcements that were too long to be sent."""
        self.given_up = 0
        """Announcements that a peer did not acknowledge however often they were sent."""

    # ------------------------------------------------------------ ours

    def announce(self, announcement: Announcement, wall_ns: int) -> bool:
        """Cut and sign an announcement; return whether it can be sent.

        Raises:
            ValueError: it is of another site. (AnnouncementError, one of them: not well formed.)
        """
        if announcement.origin != self._voice.name:
            raise ValueError(f"{self._voice.name} does not speak for {announcement.origin}")
        try:
            parts = pieces(encode(announcement))
        except AnnouncementError:
            raise
        except ValueError:
            self.unsent += 1
            return False
        self._ordinal += 1
        number = self._voice.counter.next(wall_ns)
        datagrams = tuple(
            self._voice.repeat(Kind.ANNOUNCE, part.encode(), echo=0, number=number)
            for part in parts
        )
        self._latest = Outgoing(number, datagrams, self._ordinal)
        return True

    def bring(self, peer: Peer, now_ns: int) -> None:
        """Start bringing the latest announcement to a live peer, unless one is to be finished."""
        latest = self._latest
        if latest is None or (
            peer.transfer is not None and not peer.transfer.yields(latest, now_ns)
        ):
            return
        peer.transfer = Transfer(latest, now_ns)
        self._burst(peer, now_ns)

    def resend(self, peer: Peer, now_ns: int) -> None:
        """Repeat what has not been acknowledged in time."""
        assert peer.transfer is not None, "the timer goes with the transfer"
        if peer.transfer.given_up:
            self.given_up += 1
            self._finish(peer, now_ns)
        else:
            self._burst(peer, now_ns)

    def acknowledged(self, peer: Peer, ack: Ack, now_ns: int) -> None:
        """Take note of what a peer has got."""
        transfer = peer.transfer
        if transfer is None or transfer.outgoing.number != ack.number:
            return
        if not transfer.acknowledge(ack.bitmap):
            return
        if transfer.done:
            self._finish(peer, now_ns)
        else:
            self._burst(peer, now_ns)

    def _finish(self, peer: Peer, now_ns: int) -> None:
        transfer, peer.transfer = peer.transfer, None
        self._agenda.clear((Due.RESEND, peer.name))
        if transfer is not None and transfer.outgoing is not self._latest:
            self.bring(peer, now_ns)

    def _burst(self, peer: Peer, now_ns: int) -> None:
        assert peer.transfer is not None
        datagrams = peer.transfer.burst(now_ns)
        if datagrams:  # else the timer of the last burst stands
            self.out.sends.extend((peer.address, datagram) for datagram in datagrams)
            self._agenda.set((Due.RESEND, peer.name), now_ns + peer.transfer.attempt_ns())

    # ------------------------------------------------------------ theirs

    def hear(self, peer: Peer, piece: Piece, envelope: Envelope, at: Moment) -> None:
        """Take a piece of an announcement of a live peer.

        Raises:
            Refused: it is old, or not what it should be.
        """
        number = envelope.counter
        if number < peer.number:
            raise Refused(Reason.REPLAYED)
        if number == peer.number:
            self._owe(peer, number, at.now_ns)
            raise Refused(Reason.DUPLICATE)
        data = self.assembly.add(peer.name, number, piece)
        if data is None:
            self._owe(peer, number, at.now_ns)
            return
        # It counts as heard whatever it says: to repeat it would not make it better.
        peer.owed = peer.number = number
        peer.pieces = piece.count
        peer.mark = max(peer.mark, number)
        self.acknowledge(peer, at.wall_ns)
        self._deliver(peer, _understood(data, peer.name))

    def _owe(self, peer: Peer, number: int, now_ns: int) -> None:
        """Acknowledge soon, together with what comes until then."""
        peer.owed = number
        if (Due.ACK, peer.name) not in self._agenda:
            self._agenda.set((Due.ACK, peer.name), now_ns + self._timing.gather_ns)

    def acknowledge(self, peer: Peer, wall_ns: int) -> None:
        """Tell a live peer which pieces of its announcement are here."""
        self._agenda.clear((Due.ACK, peer.name))
        whole = peer.owed == peer.number
        bitmap = (1 << peer.pieces) - 1 if whole else self.assembly.bitmap(peer.name, peer.owed)
        self.tell(peer, Ack(peer.owed, bitmap), wall_ns)

    def tell(self, peer: Peer, ack: Ack, wall_ns: int) -> None:
        """Send an acknowledgement to a peer whose session is proven."""
        assert peer.session is not None
        body = ack.encode()
        datagram = self._voice.say(Kind.ACK, body, echo=peer.session, wall_ns=wall_ns)
        self.out.sends.append((peer.address, datagram))

    def _deliver(self, peer: Peer, announcement: Announcement) -> None:
        assert peer.session is not None
        content = peer.session, announcement.version
        peer.version += content != peer.content
        peer.content = content
        self._pass_on(peer, announcement)

    def withdraw(self, peer: Peer, now_ns: int) -> None:
        """Let the engine believe that a peer offers nothing: it said that it was leaving."""
        peer.version, peer.content = peer.version + 1, None
        self._pass_on(peer, _nothing(peer.name, now_ns))

    def _pass_on(self, peer: Peer, announcement: Announcement) -> None:
        peer.delivered += 1
        counted = replace(announcement, counter=peer.delivered, version=peer.version)
        self.out.received.append((self._here, counted))

    def forget(self, peer: Peer) -> None:
        """Stop everything that is under way from and to a peer."""
        self.assembly.drop(peer.name)
        peer.transfer = None
        for due in (Due.RESEND, Due.ACK):
            self._agenda.clear((due, peer.name))


def _understood(data: bytes, origin: str) -> Announcement:
    try:
        announcement = decode(data)
    except AnnouncementError:
        raise Refused(Reason.ANNOUNCEMENT) from None
    if announcement.origin != origin:
        raise Refused(Reason.FOREIGN)
    return announcement


def _nothing(origin: str, now_ns: int) -> Announcement:
    none = np.zeros((0, 0), dtype=np.int64)
    return Announcement(
        origin=origin,
        counter=0,
        version=0,
        sent_ns=now_ns,
        lan_up=False,
        destinations=(),
        classes=(),
        targets=(),
        usable=none.astype(np.bool_),
        rtt_ns=none,
        jitter_ns=none,
        loss_ppm=none.astype(np.int32),
        verdict=none.astype(np.int8),
    )
