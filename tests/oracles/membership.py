"""Whom a site may believe, told from everything that was believed so far.

Nothing is updated step by step here: each question goes through the whole log again.
"""

from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Said:
    """One datagram of the peer."""

    kind: str
    """``announce`` (of one piece), ``join``, ``peers``, ``leave`` or ``ack``."""
    session: int
    counter: int
    echo: str
    """``ours``, ``other`` or ``none``."""
    name: str = "peer"
    """``peer``, ``us`` or ``stranger``."""
    key: str = "peer"
    """Who signs."""
    forged: bool = False
    """The signature is of something else."""


@dataclass
class Judge:
    """The log of what was believed, and what follows from it."""

    stale_ns: int
    believed: list[tuple[int, Said]] = field(default_factory=list)
    sighted: bool = False
    """Something of the peer came without proof while it was not live."""

    def _heard_since(self, start: int, now_ns: int) -> bool:
        """Whether no silence was too long from an entry of the log on."""
        times = [at for at, _ in self.believed[start:]] + [now_ns]
        return all(later - at <= self.stale_ns for at, later in pairwise(times))

    def _beginning(self, now_ns: int) -> int | None:
        """Return where in the log the session begins that is proven now."""
        start = None
        for index, (at, said) in enumerate(self.believed):
            if said.kind == "leave":
                start = None
            elif said.kind != "announce":
                held = start is not None and self.believed[start][1].session == said.session
                if not held or not self._heard_since_to(start, index, at):
                    start = index
        if start is None or not self._heard_since(start, now_ns):
            return None
        return start

    def _heard_since_to(self, start: int | None, index: int, at_ns: int) -> bool:
        times = [at for at, _ in self.believed[start:index]] + [at_ns]
        return all(later - at <= self.stale_ns for at, later in pairwise(times))

    def proven(self, now_ns: int) -> int | None:
        """Return the session that is proven."""
        start = self._beginning(now_ns)
        return None if start is None else self.believed[start][1].session

    def standing(self, now_ns: int) -> str:
        """Return how the peer stands with us."""
        if self.proven(now_ns) is not None:
            return "live"
        proofs = [s.kind for _, s in self.believed if s.kind != "announce"]
        if proofs:
            return "left" if proofs[-1] == "leave" else "stale"
        return "joining" if self.sighted else "unknown"

    def _counters(self, *kinds: str, start: int = 0) -> int:
        found = [s.counter for _, s in self.believed[start:] if not kinds or s.kind in kinds]
        return max(found, default=0)

    def verdict(self, said: Said, now_ns: int) -> str | None:
        """Return why a datagram is not believed."""
        if said.name == "us":
            return "own-name"
        if said.name == "stranger":
            return "not-enrolled"
        if said.key != "peer":
            return "wrong-key"
        if said.forged:
            return "signature"
        if said.kind in ("announce", "leave"):
            return self._unaddressed(said, now_ns)
        if said.echo != "ours":
            if said.kind != "join":
                return "unproven"
            return "replayed" if said.counter <= self._counters() else None
        start = self._beginning(now_ns)
        if start is not None and self.believed[start][1].session == said.session:
            newest = self._counters(said.kind, start=start)
        else:
            newest = self._counters()
        return "replayed" if said.counter <= newest else None

    def _unaddressed(self, said: Said, now_ns: int) -> str | None:
        if said.kind == "leave":
            leaves = [s for _, s in self.believed if s.kind == "leave"]
            if leaves and (leaves[-1].session, leaves[-1].counter) == (said.session, said.counter):
                return "duplicate"
        if said.session != self.proven(now_ns):
            return "unproven"
        newest = self._counters(*["announce"] * (said.kind == "announce"))
        if said.kind == "announce" and said.counter == newest:
            return "duplicate"
        return "replayed" if said.counter <= newest else None

    def hear(self, said: Said, now_ns: int) -> str | None:
        """Take a datagram; return why it is not believed."""
        reason = self.verdict(said, now_ns)
        if reason == "unproven" and self.standing(now_ns) == "unknown":
            self.sighted = True
        met = said.kind == "join" and said.echo != "ours"
        if reason is None and not met:
            self.believed.append((now_ns, said))
        return reason

    def learned(self) -> list[int]:
        """Return the counters of what the engine was told, 0 for a withdrawal."""
        told = [s for _, s in self.believed if s.kind in ("announce", "leave")]
        return [s.counter if s.kind == "announce" else 0 for s in told]
