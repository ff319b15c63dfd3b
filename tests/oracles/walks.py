"""Plain oracles of the checks on forwarding tables: dictionaries and one walk at a time."""

from collections.abc import Mapping

Hop = tuple[int, int]
"""A site, and the destination (with the class) that a packet there is for."""


def cycles(table: Mapping[Hop, int], homes: Mapping[int, set[int]]) -> set[tuple[int, ...]]:
    """Return the cycles of a table of next sites, each as its entries' hops in order.

    A packet stops at a home of its destination, or where the table has nothing.
    """
    found = set()
    for site, target in table:
        walk = [site]
        while walk[-1] not in homes[target] and (walk[-1], target) in table:
            after = table[walk[-1], target]
            if after in walk:
                cycle = walk[walk.index(after) :]
                first = cycle.index(min(cycle))
                found.add((target, *cycle[first:], *cycle[:first]))
                break
            walk.append(after)
    return found


def returns(moves: list[tuple[int, int]], window_ns: int, kept: int) -> int:
    """Count the moves back to one of the places left last, within a window.

    Args:
        moves: (time, where to), in order; the first one says where it begins.
        window_ns: between leaving and returning.
        kept: how many departures are remembered.
    """
    here, left, number = moves[0][1], list[tuple[int, int]](), 0
    for at_ns, to in moves[1:]:
        if to == here:
            continue
        number += any(place == to and at_ns - when <= window_ns for when, place in left[-kept:])
        left.append((at_ns, here))
        here = to
    return number
