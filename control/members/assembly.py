"""Putting announcements together from their pieces, within bounds.

Only pieces whose signature is verified come here. A peer has one announcement under way,
a newer one replaces it; all of them together have :data:`BYTES_MAX`, beyond which the one
that was touched longest ago is given up: its sender will repeat it.
"""

from typing import Final

from patronus.control.members.messages import PIECE_BYTES, PIECES_MAX, Piece
from patronus.control.members.reason import Reason, Refused

BYTES_MAX: Final = 16 << 20
"""About a hundred announcements of the greatest length, or thousands of usual ones."""

PIECE_COST: Final = PIECE_BYTES + 160
"""A piece counts as a whole one, with what Python needs to keep it."""


class _Partial:
    """The pieces of one announcement that have come."""

    def __init__(self, number: int, count: int) -> None:
        self.number, self.count = number, count
        self.pieces: dict[int, bytes] = {}


class Assembly:
    """The announcements under way, by origin; the one touched last stands last."""

    def __init__(self) -> None:
        self._partial: dict[str, _Partial] = {}
        self.bytes = 0
        """What all pieces cost together."""
        self.given_up = 0
        """Announcements that had to make room for others."""

    def add(self, origin: str, number: int, piece: Piece) -> bytes | None:
        """Take a piece; return the announcement once it is complete.

        Raises:
            Refused: older than the one under way, or its pieces contradict each other.
        """
        partial = self._partial.pop(origin, None)
        if partial is not None and number > partial.number:
            self._release(partial)
            partial = None
        partial = partial or _Partial(number, piece.count)
        self._partial[origin] = partial  # touched: it stands last now
        _check(partial, number, piece)
        if piece.index not in partial.pieces:
            self.bytes += PIECE_COST
            partial.pieces[piece.index] = piece.data
        if len(partial.pieces) < partial.count:
            self._make_room(origin)
            return None
        self.drop(origin)
        return b"".join(partial.pieces[index] for index in range(partial.count))

    def bitmap(self, origin: str, number: int) -> int:
        """Return which pieces of an announcement are here."""
        partial = self._partial.get(origin)
        if partial is None or partial.number != number:
            return 0
        return sum(1 << index for index in partial.pieces)

    def drop(self, origin: str) -> None:
        """Forget what an origin has under way."""
        partial = self._partial.pop(origin, None)
        if partial is not None:
            self._release(partial)

    def _release(self, partial: _Partial) -> None:
        self.bytes -= PIECE_COST * len(partial.pieces)

    def _make_room(self, origin: str) -> None:
        while self.bytes > BYTES_MAX:
            oldest = next(iter(self._partial))
            assert oldest != origin, "one announcement alone never fills the room"
            self.drop(oldest)
            self.given_up += 1


assert PIECE_COST * PIECES_MAX * 2 < BYTES_MAX


def _check(partial: _Partial, number: int, piece: Piece) -> None:
    if number < partial.number:
        raise Refused(Reason.REPLAYED)
    known = partial.pieces.get(piece.index, piece.data)
    if piece.count != partial.count or piece.data != known:
        raise Refused(Reason.INCONSISTENT)
