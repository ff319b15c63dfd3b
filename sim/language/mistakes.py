"""Mistakes in what was written: where they are, what was expected, and how to say so.

Everything read from a file keeps a ``Mark`` of its place, so that a mistake found
late (an unknown site, a fault after the end) still names its line. All mistakes
of a scenario or a configuration are gathered in one list and raised together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

SHOWN: Final = 20
"""Mistakes printed in full; a wrong column of a long table has thousands."""

WINDOW: Final = 100
"""Characters of an offending line that are shown."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake; ``line`` and ``column`` count from 1, ``line`` 0 means the whole file."""

    file: str
    line: int
    column: int
    what: str
    expected: str = ""
    suggestion: str = ""
    text: str = field(default="", compare=False, repr=False)
    """The offending line."""
    width: int = field(default=1, compare=False, repr=False)
    """Characters of it to underline."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.what}"


class MistakesError(ValueError):
    """Something cannot be used; ``mistakes`` says all that is wrong with it."""

    outcome: ClassVar[str]
    """What follows from it, for whoever reads the message."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        # A base policy may be read once a fault that changes it: one mistake, many sightings.
        unique = dict.fromkeys(mistakes)
        self.mistakes: tuple[Mistake, ...] = tuple(
            sorted(unique, key=lambda m: (m.file, m.line, m.column))
        )
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return describe(self.mistakes)


class ScenarioError(MistakesError):
    """The scenario cannot be run."""

    outcome = "nothing was run"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A text and the name under which it is reported."""

    name: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A place in a source; ``line`` 0 means the source as a whole."""

    source: Source
    line: int = 0
    column: int = 0
    width: int = 1

    def mistake(self, what: str, expected: str = "", suggestion: str = "") -> Mistake:
        """Return a mistake at this place."""
        text = self.source.lines[self.line - 1] if 0 < self.line <= len(self.source.lines) else ""
        return Mistake(
            self.source.name, self.line, self.column, what, expected, suggestion, text, self.width
        )

    def within(self, text: str, column: int, width: int) -> "Mark":
        """Return the place of a part of a text that begins here, perhaps after a quote."""
        lines = self.source.lines
        start = lines[self.line - 1].find(text, self.column - 1) if self.line else -1
        if start < 0:
            return self
        return Mark(self.source, self.line, start + column, width)


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known word nearest to a misspelt one, "" when none is near."""
    from difflib import get_close_matches  # only paid for when something is wrong

    folded = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold()[:80], folded, n=1, cutoff=0.5)
    return folded[near[0]] if near else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion to write the nearest known word, "" when none is near."""
    near = closest(word, known)
    return f"did you mean `{near}`?" if near else ""


def one_of(words: Sequence[str], limit: int = 24) -> str:
    """Return the allowed words for a message, shortened when there are many."""
    shown = ", ".join(words[:limit])
    return f"{shown}, … ({len(words)} in all)" if len(words) > limit else shown


def quoted(text: str, limit: int = 60) -> str:
    """Return user text for a message: shortened, without control characters."""
    return f"`{_printable(text[:limit])}{'…' if len(text) > limit else ''}`"


def describe(mistakes: Sequence[Mistake]) -> str:
    """Return the mistakes for a terminal, each with its line and a caret beneath it."""
    parts = [_describe(mistake) for mistake in mistakes[:SHOWN]]
    if len(mistakes) > SHOWN:
        parts.append(f"… and {len(mistakes) - SHOWN} more")
    return "\n\n".join(parts)


def _describe(mistake: Mistake) -> str:
    lines = [_printable(str(mistake))]
    if mistake.text.strip():
        number = f"{mistake.line:>5} | "
        start = max(0, mistake.column - WINDOW // 2) if len(mistake.text) > WINDOW else 0
        shown = _printable(mistake.text[start : start + WINDOW])
        caret = mistake.column - 1 - start
        under = max(1, min(mistake.width, len(shown) - caret))
        lines.append(f"{number}{shown}")
        lines.append(f"{'|':>{len(number) - 1}} {' ' * caret}{'^' * under}")
    if mistake.expected:
        lines.append(f"  expected: {_printable(mistake.expected)}")
    if mistake.suggestion:
        lines.append(f"  help: {_printable(mistake.suggestion)}")
    return "\n".join(lines)


def _printable(text: str) -> str:
    # A file must not be able to steer the terminal; tabs stay one column wide.
    return "".join(c if c.isprintable() else " " if c == "\t" else "�" for c in text)
