"""Who speaks? Names, keys and signatures, in order of what they cost to look at."""

from collections.abc import Callable, Mapping
from typing import Final

from patronus.control.members.book import Book
from patronus.control.members.certificate import Certificate
from patronus.control.members.envelope import Envelope, Kind
from patronus.control.members.messages import Ack, Join, Peers, Piece
from patronus.control.members.reason import Reason, Refused
from patronus.control.members.voice import Voice

Body = Piece | Join | Peers | Ack | None

_READERS: Final[Mapping[Kind, Callable[[bytes], Body]]] = {
    Kind.ANNOUNCE: Piece.decode,
    Kind.JOIN: Join.decode,
    Kind.PEERS: Peers.decode,
    Kind.ACK: Ack.decode,
}


class Gate:
    """Believes enrolled sites, under their own keys."""

    def __init__(self, voice: Voice, book: Book) -> None:
        self._voice, self._book = voice, book

    def check(self, envelope: Envelope, body: Body, wall_ns: int) -> Certificate | None:
        """Assert that an envelope is of the site that it names.

        Returns:
            The certificate that it shows, if that enrols the site anew; it is not admitted yet.

        Raises:
            Refused: it is not to be believed.
        """
        if envelope.origin == self._voice.name:
            raise Refused(self._impostor(envelope))
        if envelope.key_id == self._voice.public.id:
            raise Refused(Reason.OWN_KEY)
        fresh = self._shown(envelope, body, wall_ns)
        key = self._book.key(envelope.origin) if fresh is None else fresh.public
        if key.id != envelope.key_id:
            raise Refused(Reason.WRONG_KEY)
        if not envelope.authentic(key):
            raise Refused(Reason.SIGNATURE)
        if fresh is None:
            self._book.check_date(envelope.origin, wall_ns)
        return fresh

    def _shown(self, envelope: Envelope, body: Body, wall_ns: int) -> Certificate | None:
        shown = body.certificate if isinstance(body, Join | Peers) else None
        if shown is None:
            return None
        if shown.name != envelope.origin:
            raise Refused(Reason.CERTIFICATE)
        return shown if self._book.judge(shown, wall_ns) else None

    def _impostor(self, envelope: Envelope) -> Reason:
        """Tell who speaks under our name."""
        if envelope.key_id != self._voice.public.id:
            return Reason.OWN_NAME
        if not envelope.authentic(self._voice.public):
            return Reason.SIGNATURE
        ours = envelope.session == self._voice.session or envelope.counter <= self._voice.first
        return Reason.OWN_ECHO if ours else Reason.TWIN


def body_of(envelope: Envelope) -> Body:
    """Return what an envelope says.

    Raises:
        Refused: it is not what its kind says.
    """
    if envelope.kind is not Kind.LEAVE:
        return _READERS[envelope.kind](envelope.body)
    if envelope.body:
        raise Refused(Reason.TRAILING)
    return None
