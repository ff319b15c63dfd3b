"""The candidates of a pair, found by going through the list of tunnels."""

from tests.oracles.overlays import Plan


def direct(plan: Plan, site: int, destination: int) -> set[tuple[int, int]]:
    """Return (row, place of its end among the destination's sites)."""
    homes = plan.homes(destination)
    if site in homes:
        return set()
    return {
        (row, homes.index(there))
        for row, (here, there, _) in enumerate(plan.rows)
        if here == site and there in homes
    }


def through(plan: Plan, site: int, destination: int) -> set[int]:
    """Return the rows to transit sites, from where the destination may be reached."""
    homes = plan.homes(destination)
    if site in homes:
        return set()
    return {
        row
        for row, (here, there, _) in enumerate(plan.rows)
        if here == site and there in plan.transit and there not in homes
    }
