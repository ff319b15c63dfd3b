"""Choosing for one pair by reading down a list."""

from collections.abc import Sequence
from typing import NamedTuple

LAST_RESORT = 2**18


class Way(NamedTuple):
    """One candidate."""

    usable: bool
    grade: int
    now: int
    smooth: int
    tie: int
    lane: int
    fates: frozenset[int]
    end: int


class Chosen(NamedTuple):
    places: list[int]
    shared_fate: bool
    waiting: bool


def choose(ways: Sequence[Way], current: int | None, margin_ns: int, margin_ppm: int) -> Chosen:
    """Return the places of primary and backups, -1 for none; ``current`` is a place."""
    best_first = sorted(
        (place for place, way in enumerate(ways) if way.usable),
        key=lambda place: (ways[place].grade, ways[place].smooth, ways[place].tie),
    )
    if not best_first:
        return Chosen([-1, -1, -1], shared_fate=False, waiting=False)
    primary, waiting = best_first[0], False
    if current in best_first and current != primary:
        old, new = ways[current], ways[primary]
        margin = max(margin_ns, old.smooth * margin_ppm // 10**6)
        if new.grade == old.grade:
            clear = old.smooth - new.smooth > margin
            if not clear or new.now > old.now:
                primary = current
                waiting = clear
    places, first_choice = [primary], True
    shared_fate = True
    rest = [place for place in best_first if place != primary]
    while len(places) < 3 and rest:
        good = [place for place in rest if ways[place].grade < LAST_RESORT] or rest
        alone = [p for p in good if all(apart(ways[p], ways[taken]) for taken in places)]
        if first_choice:
            shared_fate = not alone
        first_choice = False
        places.append((alone or good)[0])
        rest.remove(places[-1])
    return Chosen(places + [-1] * (3 - len(places)), shared_fate, waiting)


def apart(one: Way, other: Way) -> bool:
    """Tell whether no single thing takes both: line, group or far end."""
    same_end = one.end == other.end and one.end != -1
    return one.lane != other.lane and not one.fates & other.fates and not same_end
