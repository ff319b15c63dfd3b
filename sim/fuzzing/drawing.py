"""One number of a seed is one schedule: a network, a policy, a storm, and quiet after it."""

from typing import Final

from patronus.engine.policy import Policy
from patronus.engine.units import SECOND
from patronus.sim.checks.rules import recovery_bounds_ns
from patronus.sim.fuzzing.dice import Dice
from patronus.sim.fuzzing.networks import Drawn, network
from patronus.sim.fuzzing.policies import policy
from patronus.sim.fuzzing.swarms import swarm
from patronus.sim.fuzzing.timing import Stage
from patronus.sim.luck import word
from patronus.sim.scenario import ExpectationSpec, Scenario, TrafficSpec

QUIET_NS: Final = 20 * SECOND
"""Where a number of sites is asked for the network is left alone for at least so long after
the storm; else for no longer than it takes to judge its recovery."""

STORM_NS: Final = (6 * SECOND, 20 * SECOND)
FULL_STORM_NS: Final = 52 * SECOND
"""Where a number of sites is asked for: with the quiet, 72 s and more."""

FAULTS: Final = (1, 40)
"""Fewest and most; half of the storms have less than eight, so that not every one is covered
up by what comes after it."""

INVARIANTS: Final = (
    "loops", "black_holes", "sla_misses", "hasty", "astray", "stale_fates", "conservation",
    "unrecovered",
)  # fmt: skip
"""Counts that a sound engine keeps at zero, whatever happens; names of metrics."""

_RTT_NS: Final = SECOND
"""No tunnel drawn here has a longer round trip when nothing is wrong."""

_BITS: Final = 63


def draw(
    seed: int, number: int, sites: int | None = None, *, faults: int | None = None
) -> Scenario:
    """Return a schedule of a seed as a scenario.

    Args:
        seed: of the search.
        number: which of its schedules, from 0.
        sites: a full mesh of so many over two transports, for a minute and more; None:
            a small network of any shape, for less.
        faults: draw so many, of which some do not fit into the storm; None: as it comes.
    """
    name = f"{number}" if sites is None else f"{number} of {sites} sites"
    dice = Dice(seed, name)
    drawn = network(dice.apart("network"), sites)
    names = [t.name for t in drawn.transports]
    asked = policy(dice.apart("policy"), names)
    luck = word(seed, "fuzz luck", name) % (1 << _BITS)
    storm_ns = FULL_STORM_NS if sites else dice.scale(*(n // SECOND for n in STORM_NS)) * SECOND
    stage = Stage(drawn, asked, luck, storm_ns)
    if faults is None:
        faults = dice.scale(*FAULTS) if sites is None else FAULTS[1]
    return Scenario(
        f"fuzz-{seed}-{number}",
        drawn.topology,
        drawn.transports,
        asked,
        duration_ns=storm_ns + max(QUIET_NS if sites else 0, quiet_ns(asked, drawn)),
        warmup_ns=_warmup_ns(asked),
        seed=luck,
        destinations=drawn.destinations,
        groups=drawn.groups,
        traffic=_traffic(dice.apart("traffic"), drawn, asked),
        faults=swarm(dice.apart("swarm"), stage, faults, every=sites is not None),
        expectations=tuple(ExpectationSpec(f"{count} == 0") for count in INVARIANTS),
        control=drawn.control,
    )


def quiet_ns(asked: Policy, drawn: Drawn) -> int:
    """Return how long to leave the network alone: its recovery is judged at the end.

    It is the bound of the class that takes the least time, since alarms of idle lines may
    take minutes; the others are then asked for everything but their order of ways.
    """
    bounds = recovery_bounds_ns(
        asked,
        [t.name for t in drawn.transports],
        spread_ns=drawn.control.delay_ns + drawn.control.jitter_ns,
        rtt_ns=_RTT_NS,
        reroute_ns=max(t.reroute_ns for t in drawn.transports),
    )
    return -(-int(bounds.min()) // SECOND) * SECOND


def _warmup_ns(asked: Policy) -> int:
    """Return how long all tunnels need to be up and ranked the first time."""
    return -(-(2 * SECOND + asked.damping.hold_ns + 4 * asked.evaluation_ns) // SECOND) * SECOND


def _traffic(dice: Dice, drawn: Drawn, asked: Policy) -> tuple[TrafficSpec, ...]:
    """Draw a little of everything: enough to be counted, too little to fill a line."""
    found = []
    for given in asked.classes:
        if dice.percent(50):
            rate = dice.scale(20, 200) * 1_000
            size = dice.between(100, 1_200)
            found.append(TrafficSpec(given.name, ("*",), ("*",), rate, size, peers=3))
    return tuple(found)
