"""What sites believe of each other, kept as the last letter in each one's drawer."""

from typing import NamedTuple

Cell = tuple[bool, int, int, int, int]
"""Usable, round trip, jitter, loss (-1: unknown) and verdict."""


class Letter(NamedTuple):
    """What one announcement says; lists are by destination, then by class."""

    counter: int
    announces: tuple[bool, ...]
    cells: tuple[tuple[Cell, ...], ...]


class News(NamedTuple):
    """What an observer did not know before."""

    lost: set[tuple[int, int]]
    changed: set[int]


class Drawer:
    """What one observer has of one site."""

    def __init__(self, destinations: int, classes: int) -> None:
        self.blank = Letter(
            0, (True,) * destinations, (((False, -1, -1, -1, 1),) * classes,) * destinations
        )
        self.forget()

    def forget(self) -> None:
        self.letter, self.heard_ns, self.fresh = self.blank, None, False

    letter: Letter
    heard_ns: int | None

    def hear(self, letter: Letter, now_ns: int) -> News:
        """Take a letter unless it is a replay."""
        if self.heard_ns is not None and letter.counter <= self.letter.counter:
            return News(set(), set())
        old, was_fresh = self.letter, self.fresh
        self.letter, self.heard_ns, self.fresh = letter, now_ns, True
        news = News(set(), set())
        for place, (had, has) in enumerate(zip(old.announces, letter.announces, strict=True)):
            rows = zip(old.cells[place], letter.cells[place], strict=True)
            if had != has:
                news.changed.add(place)
            for number, (before, after) in enumerate(rows):
                used = before[0] and was_fresh
                if used != after[0]:
                    news.changed.add(place)
                if (used and not after[0]) or (had and not has):
                    news.lost.add((place, number))
        return news

    def age(self, since_ns: int) -> bool:
        """Tell whether it goes stale now."""
        stale = self.fresh and self.heard_ns is not None and self.heard_ns < since_ns
        self.fresh = self.fresh and not stale
        return stale

    def worst(self, number: int) -> list[int]:
        """Return the worst figures of what the site says it reaches, 0 without any.

        An unknown round trip stays unknown; other unknown figures are worse than known ones.
        """
        told = [row[number] for row in self.letter.cells if row[number][0]]
        worst = []
        for place, unknown in ((1, -1), (2, 2**61), (3, 2**61)):
            figures = [cell[place] for cell in told]
            worst.append(unknown if -1 in figures else max(figures, default=0))
        return worst


def badness_ns(cell: Cell) -> int:
    """Return how bad the way behind a cell is; 2^42 where something is unknown."""
    _, rtt_ns, jitter_ns, loss_ppm, _ = cell
    if -1 in (rtt_ns, jitter_ns, loss_ppm):
        return 2**42
    return min(rtt_ns + 4 * jitter_ns + 10_000 * loss_ppm, 2**42 - 1)
