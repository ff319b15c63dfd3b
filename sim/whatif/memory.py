"""How much memory a study takes, told before it begins: a world, and what children change of it."""

from typing import Final

from patronus.sim.footprint import ENTRY, PROCESS, ROW, RoomError, footprint
from patronus.sim.scenario import Scenario

_CHILD_PER_CENT: Final = 80
"""Of the world, what one child changes at worst (``docs/benchmarks.md``)."""


def needed(scenario: Scenario, jobs: int) -> int:
    """Return what a study takes at most, about, in bytes.

    Raises:
        ValueError: the scenario describes no sites.
    """
    need = footprint(scenario)
    world = ROW * need.tunnels + ENTRY * need.entries
    return PROCESS + world + jobs * (world * _CHILD_PER_CENT // 100)


def check(scenario: Scenario, jobs: int, free: int) -> None:
    """Refuse a study that this machine has not the memory for.

    Raises:
        RoomError: with the estimate.
    """
    try:
        whole = needed(scenario, jobs)
    except ValueError:
        return  # building the network tells what is wrong, and better
    if whole > free:
        advice = "use --jobs 1, fewer sites" if jobs > 1 else "use fewer sites"
        raise RoomError(
            f"{scenario.name} takes about {whole / 1e9:.1f} GB with {jobs} at a time, and "
            f"{free / 1e9:.1f} GB are free; {advice} or a mesh with hubs"
        )
