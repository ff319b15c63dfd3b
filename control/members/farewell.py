"""Our own going: said to every live peer until it has heard, but not for ever."""

from typing import Final

ATTEMPTS_MAX: Final = 3
"""Then we go without having heard from all of them: they will see that we are silent."""


class Farewell:
    """One LEAVE, signed once, and who has not acknowledged it."""

    def __init__(self, number: int, datagram: bytes, waiting: set[str]) -> None:
        self.number, self.datagram = number, datagram
        self._waiting, self._attempts = waiting, 0

    @property
    def over(self) -> bool:
        """Whether there is nobody left to wait for."""
        return not self._waiting

    def bid(self) -> list[str]:
        """Return the peers to send it to now, ascending."""
        if self._attempts == ATTEMPTS_MAX:
            self._waiting.clear()
        self._attempts += 1
        return sorted(self._waiting)

    def heard(self, name: str) -> None:
        """Take note of a peer that knows."""
        self._waiting.discard(name)
