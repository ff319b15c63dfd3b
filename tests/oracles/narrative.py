"""What a move is called, and which moves are one."""

from collections.abc import Sequence
from typing import NamedTuple

from tests.oracles.overlays import LANES, SITES, Plan

UP = 3


class Move(NamedTuple):
    """One entry that left a row for another (-1: none)."""

    site: int
    destination: int
    number: int
    before: int
    after: int
    cause: str
    """``rank``, ``lost`` or ``violated``."""


class Told(NamedTuple):
    site: str
    destination: str
    number: int
    before: str
    after: str
    reason: str
    together: int


def name_of(plan: Plan, destination: int) -> str:
    sites = plan.sites
    return SITES[destination] if destination < sites else f"net{destination - sites}"


def path(plan: Plan, row: int, destination: int | None) -> str:
    """Return the name of a path; None: to several destinations."""
    if row < 0:
        return ""
    _, end, lane = plan.rows[row]
    words = [LANES[lane], SITES[end]]
    if destination is None:
        words.append("*")
    elif end not in plan.homes(destination):
        words.append(name_of(plan, destination))
    return ">".join(words)


def leads_through(plan: Plan, move: Move) -> bool:
    """Tell whether neither path ends at the destination."""
    ends = [plan.rows[row][1] for row in (move.before, move.after) if row >= 0]
    return not any(end in plan.homes(move.destination) for end in ends)


def reason(
    plan: Plan,
    move: Move,
    *,
    states: Sequence[int],
    drained: Sequence[bool],
    prefer: Sequence[str],
) -> str:
    """Return why an entry moved, from the two paths."""
    if move.before < 0:
        return "start"
    if move.after < 0:
        return "no_path"
    if move.cause == "lost":
        if states[move.before] != UP:
            return "liveness_down"
        home = plan.rows[move.before][1] in plan.homes(move.destination)
        return "withdrawn" if home else "transit_lost"
    if drained[move.before] and not drained[move.after]:
        return "drained"
    if drained[move.after] and not drained[move.before]:
        return "undrained"
    if move.cause == "violated":
        return "sla_violated"
    order = [*prefer, *(lane for lane in LANES if lane not in prefer)]
    liked = [
        min(order.index(LANES[plan.rows[row][2]]), len(prefer)) for row in (move.before, move.after)
    ]
    return "returned" if liked[1] < liked[0] else "better_path"


def tell(plan: Plan, moves: Sequence[Move], reasons: Sequence[str]) -> list[Told]:
    """Return what is told, in order of entries."""
    told: list[Told] = []
    for place, (move, why) in enumerate(zip(moves, reasons, strict=True)):
        alike = [place]
        if leads_through(plan, move):
            alike = [
                other
                for other, one in enumerate(moves)
                if one._replace(destination=move.destination) == move and leads_through(plan, one)
            ]
        if place == alike[0]:
            several = len(alike) > 1
            where = None if several else move.destination
            told.append(
                Told(
                    SITES[move.site],
                    "*" if several else name_of(plan, move.destination),
                    move.number,
                    path(plan, move.before, where),
                    path(plan, move.after, where),
                    why,
                    len(alike),
                )
            )
    return told
