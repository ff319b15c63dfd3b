"""Where drawn things lie: near the cities of a map, or anywhere in a box.

Every place is a function of (seed, purpose, name), so a further site moves no
other. The land itself follows from the scenario's maps; without any, from the
places given for sites, rounded outwards to 5 degrees; without those it is a piece
of middle Europe.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.fingerprint import U64, name_key
from patronus.engine.overlay import I64
from patronus.sim.luck import object_keys, words
from patronus.sim.topology.maps import DEGREE, Map, Place
from patronus.sim.topology.sphere import cosine

GRID: Final = 5 * DEGREE
EUROPE: Final = ((40 * DEGREE, -5 * DEGREE), (55 * DEGREE, 25 * DEGREE))

NEAR_CITY: Final = DEGREE // 2
"""A site lies within this of its city, in latitude and in longitude at the equator."""
NEAR_CENTRE: Final = 2 * DEGREE
"""... and within this of the centre of its region."""


@dataclass(frozen=True, slots=True)
class Land:
    """A seeded piece of the Earth."""

    seed: int
    cities: Map | None
    corners: tuple[Place, Place] = EUROPE
    """South-west and north-east; used where there are no cities."""

    def scatter(self, purpose: str, names: Sequence[str]) -> I64:
        """Return a place for each name, shape (n, 2): near a city or anywhere in the box."""
        if self.cities is None:
            low, high = np.array(self.corners, dtype=np.int64)
            place: I64 = self._shares(purpose, names, high - low) + low
            return place
        count = np.array([len(self.cities.nodes), 1], dtype=np.int64)
        city = self._shares(f"{purpose}-city", names, count)[:, 0]
        return self.around(purpose, names, self.cities.position[city], NEAR_CITY)

    def around(self, purpose: str, names: Sequence[str], centre: I64, spread: int) -> I64:
        """Return a place for each name in a square around its centre."""
        wide = np.full((len(names), 2), 2 * spread)
        offset = self._shares(purpose, names, wide) - spread
        # A degree of longitude shrinks towards the poles; close to them it is left small.
        offset[:, 1] = (offset[:, 1] << 30) // np.maximum(cosine(centre[:, 0]), 1 << 27)
        place = centre + offset
        place[:, 0] = place[:, 0].clip(-90 * DEGREE, 90 * DEGREE)
        place[:, 1] = (place[:, 1] + 180 * DEGREE) % (360 * DEGREE) - 180 * DEGREE
        return place

    def centres(self, names: Iterable[str]) -> dict[str, Place]:
        """Return a centre for each region; regions of a map lie around different cities.

        A region that is added at the end moves no other.
        """
        unique = list(dict.fromkeys(names))
        if self.cities is None:
            places = self.scatter("region", unique)
        else:
            taken: list[int] = []
            for name in unique:
                order = self.ranking(f"region-{name}", self.cities.nodes).tolist()
                taken.append(next((c for c in order if c not in taken), order[0]))
            places = self.cities.position[taken]
        return {name: (int(a), int(b)) for name, (a, b) in zip(unique, places, strict=True)}

    def ranking(self, purpose: str, names: Sequence[str]) -> I64:
        """Return the positions of names in an order that is drawn for this purpose."""
        return np.argsort(object_keys(self.seed, purpose, keys(names)), kind="stable")

    def _shares(self, purpose: str, names: Sequence[str], span: I64) -> I64:
        # Two draws a name, each scaled to [0, span) with span below 2^32.
        own = object_keys(self.seed, f"place-{purpose}", keys(names))
        drawn = np.stack([words(own, 0), words(own, 1)], axis=1) >> np.uint64(32)
        shares: U64 = drawn * np.broadcast_to(span, drawn.shape).astype(np.uint64)
        return (shares >> np.uint64(32)).astype(np.int64)


def keys(names: Iterable[str]) -> U64:
    """Return the key of each name."""
    return np.array([name_key(name) for name in names], dtype=np.uint64)


def box(places: Sequence[Place]) -> tuple[Place, Place]:
    """Return the corners of the land around given places, rounded outwards to 5 degrees."""
    if not places:
        return EUROPE
    at = np.array(places, dtype=np.int64)
    last = np.array([90 * DEGREE, 180 * DEGREE], dtype=np.int64) - GRID
    low = np.minimum(at.min(axis=0) // GRID * GRID, last)
    high = np.maximum(-(-at.max(axis=0) // GRID * GRID), low + GRID)
    (south, west), (north, east) = low.tolist(), high.tolist()
    return (south, west), (north, east)
