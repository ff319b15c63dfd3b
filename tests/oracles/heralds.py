"""What one site says, written down as sentences; when it says it, by a plain memory."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

UP = 3
UNKNOWN = 1


class Tunnel(NamedTuple):
    """One tunnel as its site knows it."""

    end: int
    state: int
    drained: bool
    told: tuple[int, int, int]
    verdict: tuple[int, ...]
    """By class."""


class Content(NamedTuple):
    announces: frozenset[int]
    """Destinations of its own."""
    reaches: Mapping[tuple[int, int], tuple[int, int, int, int]]
    """By destination and class: round trip, jitter, loss, verdict."""

    def offers(self) -> set[object]:
        return {*self.announces, *self.reaches}


def content(
    site: int,
    homes: Mapping[int, tuple[int, ...]],
    primaries: Mapping[tuple[int, int], Tunnel | None],
    *,
    lan_up: bool,
    believes: Callable[[int, int], bool],
) -> Content:
    """Return what a site can truthfully say.

    Args:
        site: who speaks.
        homes: sites of each destination.
        primaries: the tunnel in use by destination and class.
        lan_up: its own side works.
        believes: whether it believes that a site announces a destination.
    """
    reaches = {}
    for (destination, number), tunnel in primaries.items():
        if tunnel is None or tunnel.state != UP or tunnel.end not in homes[destination]:
            continue
        if not believes(tunnel.end, destination):
            continue
        figures = (-1, -1, -1, UNKNOWN)
        if not tunnel.drained:
            figures = (*tunnel.told, tunnel.verdict[number])
        reaches[destination, number] = figures
    own = frozenset(d for d, sites in homes.items() if site in sites and lan_up)
    return Content(own, reaches)


class Herald:
    """Remembers what it said, and decides whether to speak."""

    def __init__(self, repeat_ns: int) -> None:
        self.repeat_ns = repeat_ns
        self.said: Content | None = None
        self.counter = self.version = self.at_ns = 0

    def evaluate(self, news: Content, now_ns: int) -> bool:
        """Speak when there is something new or the old has not been said for long."""
        if news == self.said and now_ns < self.at_ns + self.repeat_ns:
            return False
        return self._say(news, now_ns)

    def withdraw(self, news: Content, now_ns: int) -> bool:
        """Speak at once when less is offered than was said."""
        if self.said is None or self.said.offers() <= news.offers():
            return False
        return self._say(news, now_ns)

    def _say(self, news: Content, now_ns: int) -> bool:
        if self.said is None:
            self.counter = self.version = max(1, now_ns)
        else:
            self.version += news != self.said
            self.counter += 1
        self.said, self.at_ns = news, now_ns
        return True
