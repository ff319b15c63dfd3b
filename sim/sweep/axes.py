"""What is varied, as it is written: ``policy.hold=1s,2s,4s`` and ``1..20``."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

VALUES_MOST: Final = 1_000_000
"""Values of one range; more is a slip of the keyboard."""

SEED_LAST: Final = 2**63 - 1

_KEY: Final = re.compile(r"[^\s=]+")
_RANGE: Final = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})(?:/(\d{1,18}))?")
_SEEDS: Final = re.compile(r"\d{1,19}(\.\.\d{1,19}(/\d{1,18})?)?")
_OPENING: Final = "[{("
_CLOSING: Final = "]})"


class GridError(ValueError):
    """What is to be varied makes no sense; the message says why."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter and its values, in the words of scenario files."""

    key: str
    """As ``--set`` has it: ``policy.hold``, ``faults.0.at``."""
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            GridError: no key, no values, or a value twice.
        """
        if not _KEY.fullmatch(self.key):
            raise GridError(f"{self.key!r} is no key of a scenario, such as `policy.hold`")
        if self.key == "seed":
            raise GridError("`seed` is no parameter of a sweep: give the seeds as seeds")
        if not self.values:
            raise GridError(f"`{self.key}` has no values")
        _check_once(f"`{self.key}`", self.values)

    def settings(self) -> tuple[str, ...]:
        """Return what sets each of the values."""
        return tuple(f"{self.key}={value}" for value in self.values)


def axis(text: str) -> Axis:
    """Return the axis of ``KEY=VALUE,VALUE…``.

    A value may be a range of whole numbers, ``10..50`` or ``10..50/10``, both ends included.
    Commas inside brackets and quotes belong to a value: ``[mpls, lte],[lte]``.

    Raises:
        GridError: it cannot be understood, or it has no values.
    """
    key, equals, rest = text.partition("=")
    if not equals or not key:
        raise GridError(f"{text!r} is not KEY=VALUE,VALUE… such as `policy.hold=1s,2s,4s`")
    if not rest.strip():
        raise GridError(f"`{key}` has no values; give some, as in `{key}=1s,2s`")
    words = [word.strip() for word in _split(rest)]
    if not all(words):
        raise GridError(f"`{key}`: there is nothing between two commas of {rest!r}")
    return Axis(key, tuple(value for word in words for value in _values(key, word)))


def seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of ``1..20``, ``7`` or ``1,5,10..20/2``, in the order given.

    Raises:
        GridError: it cannot be understood, a range is empty, or a seed comes twice.
    """
    found: list[int] = []
    for word in text.split(","):
        if not _SEEDS.fullmatch(word.strip()):
            raise GridError(f"{word.strip()!r} is no seed and no range such as 1..20")
        found += (int(value) for value in _values("seeds", word.strip()))
    return checked(found)


def checked(given: Iterable[int]) -> tuple[int, ...]:
    """Return seeds that can be used.

    Raises:
        GridError: there are none, one comes twice, or one is out of range.
    """
    found = tuple(given)
    if not found:
        raise GridError("there are no seeds")
    if min(found) < 0 or max(found) > SEED_LAST:
        raise GridError(f"a seed lies between 0 and {SEED_LAST}")
    _check_once("the seeds", found)
    return found


def _values(key: str, word: str) -> Iterator[str]:
    whole = _RANGE.fullmatch(word)
    if not whole:
        yield word
        return
    first, last, step = int(whole[1]), int(whole[2]), int(whole[3] or 1)
    if not step:
        raise GridError(f"`{key}`: the step of {word} is 0")
    span = range(first, last + 1, step)
    if not span:
        raise GridError(f"`{key}`: the range {word} is empty, since it runs upwards")
    if len(span) > VALUES_MOST:
        raise GridError(f"`{key}`: {word} has {len(span):,} values, at most {VALUES_MOST:,} can be")
    yield from map(str, span)


def _split(text: str) -> Iterator[str]:
    """Yield what stands between commas that are in no brackets and no quotes."""
    depth, quote, start = 0, "", 0
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth -= 1
        elif sign == "," and depth <= 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _check_once(where: str, values: Iterable[object]) -> None:
    twice = [value for value, times in Counter(values).items() if times > 1]
    if twice:
        raise GridError(f"{where}: {twice[0]} is given twice")
