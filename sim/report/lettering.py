"""Room for names on a map: beside their dots, over no other name or dot, at best over no line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LETTER, LINE = 6.6, 13.0
"""Room that a letter takes across and a line of text down, in pixels."""

F64 = npt.NDArray[np.float64]

Place = tuple[float, float]
"""Shares of width and height."""

DOT = 5.0
"""Half the room that a site takes."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Where a name stands, seen from its dot."""

    anchor: str
    dx: int
    dy: int


CHOICES = (
    Beside("start", 11, 4),
    Beside("end", -11, 4),
    Beside("middle", 0, -12),
    Beside("middle", 0, 21),
)


class Lettering:
    """Hands out places for names on a map of some pixels, first come, first served."""

    def __init__(
        self,
        width: float,
        height: float,
        dots: Sequence[Place],
        lines: Sequence[tuple[Place, Place]],
    ) -> None:
        self._size = np.array([width, height])
        centres = np.array(dots, dtype=np.float64).reshape(-1, 2) * self._size
        self._dots = np.hstack([centres - DOT, centres + DOT])
        self._names = np.empty((0, 4))
        ends = np.array(lines, dtype=np.float64).reshape(-1, 2, 2) * self._size
        self._low, self._high = ends.min(axis=1), ends.max(axis=1)
        self._start, self._along = ends[:, 0], ends[:, 1] - ends[:, 0]

    def find(self, name: str, x: float, y: float, *, important: bool = False) -> Beside | None:
        """Return where the name of the dot at these shares fits, and keep that room for it.

        Where dots are dense an important name may cover some of them, but no other name.
        """
        centre = np.array([x, y]) * self._size
        rooms = [(choice, _room(name, centre, choice)) for choice in CHOICES]
        open_ = [(c, r) for c, r in rooms if self._inside(r) and not _covers(r, self._names)]
        free = [(c, r) for c, r in open_ if not _covers(r, self._dots)]
        if not (candidates := free or (open_ if important else [])):
            return None
        choice, room = min(candidates, key=lambda c: self._crossed(c[1]))
        self._names = np.vstack([self._names, room])
        return choice

    def _inside(self, room: F64) -> bool:
        return bool(room[:2].min() >= 0 and np.all(room[2:] <= self._size))

    def _crossed(self, room: F64) -> int:
        """Return how many lines cross a room: its corners lie on both sides of them, nearby."""
        left, top, right, bottom = room
        near = (self._low[:, 0] < right) & (self._high[:, 0] > left)
        near &= (self._low[:, 1] < bottom) & (self._high[:, 1] > top)
        start, along = self._start[near], self._along[near]
        corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)])
        away = corners[:, None, :] - start
        side = along[:, 0] * away[..., 1] - along[:, 1] * away[..., 0]
        return int(np.count_nonzero((side.min(axis=0) < 0) & (side.max(axis=0) > 0)))


def _covers(room: F64, others: F64) -> bool:
    apart = np.any((others[:, :2] >= room[2:]) | (others[:, 2:] <= room[:2]), axis=1)
    return not apart.all()


def _room(name: str, centre: F64, beside: Beside) -> F64:
    length = LETTER * len(name)
    back = {"start": 0.0, "end": length, "middle": length / 2}[beside.anchor]
    left, base = centre[0] + beside.dx - back, centre[1] + beside.dy
    return np.array([left, base - LINE + 3, left + length, base + 3])
