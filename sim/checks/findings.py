"""What checkers found: every violation is counted, the first ones are told."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

KEPT: Final = 20
"""Findings of each check that are kept in words; the rest are only counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of an invariant."""

    at_ns: int
    check: str
    """``loops``, ``black_holes``, ``flaps``, ``sla_misses`` or ``conservation``."""
    entry: int
    """The forwarding entry, -1 where it is about none."""
    path: str
    text: str
    """A sentence that can be printed as it is."""


class Findings:
    """Violations of a run by check."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._kept: list[Finding] = []
        self._told: Counter[str] = Counter()

    def count(self, check: str) -> int:
        """Return how often a check was violated."""
        return self._count[check]

    def add(self, check: str, number: int = 1) -> None:
        """Count violations."""
        self._count[check] += number

    def room(self, check: str) -> int:
        """Return how many more findings of a check will be kept."""
        return KEPT - self._told[check]

    def tell(self, finding: Finding) -> None:
        """Keep a violation in words, if there is room; it is counted by :meth:`add`."""
        if self.room(finding.check) > 0:
            self._told[finding.check] += 1
            self._kept.append(finding)

    @property
    def kept(self) -> tuple[Finding, ...]:
        """The first findings of each check, in order of time."""
        return tuple(sorted(self._kept, key=lambda f: (f.at_ns, f.check, f.entry)))
