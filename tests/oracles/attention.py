"""Marks as sets of (site, destination)."""

from collections.abc import Iterable

from tests.oracles.overlays import Plan


class Marks:
    """What has to be looked at again."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.marked: set[tuple[int, int]] = set()
        self.near: set[int] = set()
        """Sites of which the metric of a tunnel to a transit site has changed."""
        self.far: set[tuple[int, int]] = set()
        """Pairs of which the metric of a way beyond a transit site has changed."""
        self.told: set[int] = set()
        """Sites that were told anything new."""
        self.turns = dict.fromkeys(range(plan.sites), 0)
        self.last: dict[int, int] = {}

    def every(self, site: int) -> None:
        self.marked |= {(site, destination) for destination in self.plan.destinations}

    def ends(self, row: int) -> None:
        """Mark what the far end of a tunnel announces."""
        here, there, _ = self.plan.rows[row]
        self.marked |= {(here, d) for d in self.plan.destinations if there in self.plan.homes(d)}

    def tunnels(self, rows: Iterable[int]) -> None:
        for row in rows:
            here, there, _ = self.plan.rows[row]
            if there in self.plan.transit:
                self.every(here)
            self.ends(row)

    def metrics(self, rows: Iterable[int]) -> None:
        for row in rows:
            here, there, _ = self.plan.rows[row]
            if there in self.plan.transit:
                self.near.add(here)
            self.ends(row)

    def news(self, observers: Iterable[int], changed: Iterable[int], moved: Iterable[int]) -> None:
        self.told |= set(observers)
        self.marked |= {(o, d) for o in observers for d in changed}
        self.far |= {(o, d) for o in observers for d in moved}

    def turn(self, sites: Iterable[int], now_ns: int) -> list[int]:
        due = []
        for site in sites:
            self.last[site] = now_ns
            self.turns[site] += 1
            if self.turns[site] % 10 == 0 and site in self.near | self.told:
                due.append(site)
        return due

    def ways(self, sites: Iterable[int], pairs: Iterable[tuple[int, int]]) -> None:
        """Mark those of all ways of some sites that moved."""
        self.marked |= {pair for pair in pairs if pair[0] in self.near or pair in self.far}
        self.near -= set(sites)
        self.told -= set(sites)
        self.far = {pair for pair in self.far if pair[0] not in sites}

    def take(self, sites: Iterable[int]) -> list[tuple[int, int]]:
        taken = sorted(pair for pair in self.marked if pair[0] in sites)
        self.marked -= set(taken)
        return taken
