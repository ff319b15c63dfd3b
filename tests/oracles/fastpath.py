"""One tunnel watched instant by instant, and one entry decided case by case."""

from collections.abc import Callable, Iterable


class Watcher:
    """A tunnel; :meth:`pass_to` visits every instant on the way."""

    def __init__(self, detect: int, hold: int) -> None:
        self.detect, self.hold = detect, hold
        self.now: int | None = None
        self.heard: int | None = None
        self.proof: int | None = None
        self.unbroken_since: int | None = None
        self.newest: int | None = None
        self.latched = True
        self.agent_stale = False

    def pass_to(self, now: int) -> None:
        """Let time pass up to and including an instant."""
        for instant in range(now if self.now is None else self.now + 1, now + 1):
            self.now = instant
            self._look()

    def packet(self, sequence: int, *, hears: bool, reflection: bool) -> None:
        """Receive a packet at the present instant."""
        silent_before = not self._young(self.heard)
        self.heard = self.now
        news = self.newest is None or silent_before or _after(sequence, self.newest)
        if news:
            self.newest = sequence
        if reflection or (hears and news):
            self.proof = self.now
            if self.unbroken_since is None:
                self.unbroken_since = self.now
        elif news:
            self.proof = None
        self._look()

    def clear(self) -> None:
        """Let the engine clear the latch."""
        if self.unbroken_since is not None:
            self.latched = False

    def agent(self, *, stale: bool) -> None:
        """Change what the kernel thinks of the agent."""
        self.agent_stale = stale
        self._look()

    def change_detect(self, detect: int) -> None:
        """Change the detect time."""
        self.detect = detect
        self._look()

    @property
    def usable(self) -> bool:
        return self._young(self.proof) and not self.latched

    @property
    def says_hears(self) -> bool:
        return self._young(self.heard)

    def _young(self, stamp: int | None) -> bool:
        assert self.now is not None
        return stamp is not None and self.now <= stamp + self.detect

    def _look(self) -> None:
        assert self.now is not None
        if not self._young(self.proof):
            self.latched, self.unbroken_since = True, None
        elif (
            self.agent_stale
            and self.unbroken_since is not None
            and self.unbroken_since + self.hold <= self.now
        ):
            self.latched = False


def _after(sequence: int, other: int) -> bool:
    """Compare on a ring of 32 bits: the shorter way round decides."""
    ahead, behind = (sequence - other) % 2**32, (other - sequence) % 2**32
    return 0 < ahead < behind


def destination(
    rows: Iterable[int], *, drop: bool, last: int, usable: Callable[[int], bool]
) -> tuple[int, str]:
    """Return (row or -1, name of the counter) of a packet."""
    primary, *backups = rows
    candidates = [row for row in (primary, *backups) if row >= 0]
    if primary >= 0 and usable(primary):
        return primary, "PRIMARY"
    for row in backups:
        if row >= 0 and usable(row):
            return row, "BACKUP"
    if drop:
        return -1, "DROPPED"
    if last in candidates:
        return last, "ALL_DEAD"
    return (candidates[0], "ALL_DEAD") if candidates else (-1, "NO_PATH")
