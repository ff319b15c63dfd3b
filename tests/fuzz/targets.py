"""What a fuzzer throws bytes at: everything that reads what came from elsewhere.

Each target takes any bytes and fails, by any exception, only if something is wrong with the
reader: it crashed, read one thing from two forms, or believed what it must not.
"""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from patronus.control.members import certificate, envelope, store
from patronus.control.members.address import Address
from patronus.control.members.book import Book
from patronus.control.members.counter import Counter
from patronus.control.members.envelope import Envelope, Kind, seal
from patronus.control.members.membership import keyed_jitter
from patronus.control.members.messages import Ack, Join, Peers, Piece, pieces
from patronus.control.members.reason import Refused
from patronus.control.members.roster import Roster
from patronus.control.members.seeker import Places
from patronus.control.members.timing import Moment
from patronus.control.members.voice import Voice
from patronus.engine import announcement
from patronus.engine.announcement import AnnouncementError
from patronus.engine.units import MS, SECOND
from tests.control.members.fleet import OPERATOR, WALL_NS, identity, key, long

Target = Callable[[bytes], None]

SOURCE = Address("10.0.0.9", 5000)
OURS = 77
PEER = identity("peer")
PEER_SESSION = 5


def read_announcement(data: bytes) -> None:
    """An announcement has one form, or is refused."""
    try:
        told = announcement.decode(data)
    except AnnouncementError:
        return
    assert announcement.encode(told) == data


def read_envelope(data: bytes) -> None:
    """No bytes from nowhere carry a signature of an enrolled site."""
    try:
        told = envelope.decode(data)
    except Refused:
        return
    assert not told.authentic(PEER.public)
    assert envelope.seal(told, PEER)[:-64] == data[:-64]


def read_bodies(data: bytes) -> None:
    """Each body has one form, or is refused."""
    for kind in (Piece, Join, Peers, Ack):
        try:
            told = kind.decode(data)
        except Refused:
            continue
        assert told.encode() == data


def read_certificate(data: bytes) -> None:
    """No bytes from nowhere enrol anybody."""
    try:
        told = certificate.decode(data)
    except Refused:
        return
    assert told.encode() == data
    assert not told.signed_by(OPERATOR.public)


def read_memory(data: bytes) -> None:
    """A file of ours with any content in it, and the right sum before it, is refused or read."""
    whole = hashlib.sha256(data).hexdigest().encode() + b"\n" + data + b"\n"
    try:
        store.content(whole)
    except store.DAMAGE:
        return


class Victim:
    """A roster with one live peer that may say anything, and one that is a stranger."""

    def __init__(self) -> None:
        book = Book("us", key("us"), pinned={"peer": PEER.public}, operator=OPERATOR.public)
        voice = Voice("us", identity("us"), session=OURS, counter=Counter(0, WALL_NS))
        self.roster = Roster(
            voice, book, Places((SOURCE,)), here=np.array([0]), jitter=keyed_jitter(1)
        )
        self._now_ns = SECOND
        self._counter = 1
        self.roster.start(self.at)
        assert self.say(Kind.JOIN, Join("", None).encode()) is None
        assert self.roster.live() == ["peer"]

    @property
    def at(self) -> Moment:
        return Moment(self._now_ns, WALL_NS + self._now_ns)

    def say(self, kind: Kind, body: bytes) -> object:
        """Let the peer say something with its key."""
        self._counter += 1
        made = Envelope(
            kind, "peer", PEER.public.id, self._counter, PEER_SESSION, echo=OURS, body=body
        )
        return self.hear(seal(made, PEER))

    def hear(self, data: bytes) -> object:
        """Let a datagram arrive; whatever it is, it brings few and keeps little."""
        self._now_ns += 20 * MS
        self.roster.wake(self.at)
        self.roster.take()
        reason = self.roster.receive(data, SOURCE, self.at)
        out = self.roster.take()
        assert len(out.sends) <= 3
        assert self.roster.pending_bytes <= 256 * 1024
        assert all(told.origin == "peer" for _, told in out.received)
        for _, told in out.received:
            announcement.encode(told)
        return reason

    def from_nowhere(self, data: bytes) -> None:
        """Bytes without a key teach nothing and leave the peer where it was."""
        assert self.hear(data) is not None
        self.say(Kind.ACK, Ack(0, 0).encode())
        assert self.roster.live() == ["peer"]

    def from_the_peer(self, data: bytes) -> None:
        """A peer with a key may say anything; afterwards it can still be heard."""
        kind = Kind(1 + data[0] % 5) if data else Kind.ACK
        self.say(kind, data[1 : envelope.BODY_BYTES_MAX])
        assert self.say(Kind.JOIN, Join("", None).encode()) is None
        assert self.roster.live() == ["peer"]

    def whole(self, data: bytes) -> None:
        """An announcement in good pieces, with any content."""
        for piece in pieces(data[:3000]):
            made = Envelope(
                Kind.ANNOUNCE, "peer", PEER.public.id, self._counter + 1, PEER_SESSION, echo=0,
                body=piece.encode(),
            )  # fmt: skip
            self.hear(seal(made, PEER))
        self._counter += 1


def targets() -> Mapping[str, Target]:
    """Return all targets by name; those with a roster keep it from input to input."""
    victim = Victim()
    return {
        "announcement": read_announcement,
        "envelope": read_envelope,
        "bodies": read_bodies,
        "certificate": read_certificate,
        "memory": read_memory,
        "from-nowhere": victim.from_nowhere,
        "from-the-peer": victim.from_the_peer,
        "whole": victim.whole,
    }


def seeds() -> list[bytes]:
    """Return inputs to begin with: one good form of everything."""
    told = announcement.encode(long("peer", 1, 3))
    shown = certificate.Certificate.issue(
        identity("another operator"), "x", key("x"), serial=1, not_after_s=2**33
    )
    bodies = [Join("a", shown).encode(), Ack(7, 5).encode(), pieces(told)[0].encode()]
    bodies.append(Peers(more=False, certificate=shown, entries=()).encode())
    stranger = identity("stranger")
    made = Envelope(Kind.JOIN, "peer", PEER.public.id, 9, 9, echo=OURS, body=bodies[0])
    memory = b'{"format":1,"ceiling":1,"addresses":{"a":["10.0.0.1",1]},"certificates":[]}'
    return [told, shown.encode(), *bodies, seal(made, stranger), memory]
