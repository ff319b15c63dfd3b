"""Ways through a site that has not been heard for longer than anybody waits.

An announcement older than the policy's patience is too old to send traffic through its
site: what that site lost since, nobody knows. Who has another way must take it. As
everywhere here the tables say where packets go, and the faults who hears whom. What
counts is beyond doubt:

- the other way is one of proven tunnels: each has been heard without a break for longer than
  any hold, and is not latched;
- the site and whoever is in between on that other way have heard each other all that time.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO
from patronus.sim.checks.lasting import Lasting
from patronus.sim.checks.others import Others, Standing
from patronus.sim.checks.ways import Ways
from patronus.sim.scenario import FaultKind

if TYPE_CHECKING:
    from patronus.sim.world import World

_MUTES: Final = (
    FaultKind.AGENT_PAUSE,
    FaultKind.AGENT_KILL,
    FaultKind.SITE_CRASH,
    FaultKind.CONTROLLER_PARTITION,
)
"""What keeps a site from telling the others."""


class Astray:
    """Looks at one world on the grid of 100 ms."""

    def __init__(self, world: "World", ways: Ways, others: Others) -> None:
        self._world, self._ways, self._others = world, ways, others
        policy, control = world.scenario.policy, world.scenario.control
        spread_ns = control.delay_ns + control.jitter_ns
        turn_ns = policy.evaluation_ns
        self.bound_ns = policy.patience_ns + 3 * turn_ns + spread_ns
        """What a site must have noticed, and acted upon, by then."""
        self._heard_ns = policy.announcement_ns + 4 * turn_ns + spread_ns
        hold_ns = policy.damping.hold_max_ns if policy.features.damping else 0
        self._proof_ns = max(hold_ns, self._heard_ns) + 2 * turn_ns
        self._carriers = list(world.overlay.transit)
        self.well_ns: I64 = np.full((3, ways.space.sites), LONG_AGO, dtype=np.int64)
        """Since when each agent runs, is reached, and its LAN is up."""
        self._lasting = Lasting(ways.space.entries, self.bound_ns)
        self._bad: I64 = np.zeros(0, dtype=np.int64)

    def look(self, standing: Standing, now_ns: int) -> I64:
        """Return the entries that have been astray for too long just now."""
        for since_ns, well in zip(self.well_ns, standing[:3], strict=True):
            since_ns[~well] = now_ns
        silent = ~(standing.reached & standing.running)
        if not (silent[self._carriers].any() or ~standing.reached.all() or len(self._bad)):
            return self._bad
        entries = self._unheard(standing, silent)
        bad = entries[self._others.proven(entries, self.steady(now_ns), self._proven(now_ns))]
        both = distinct(np.concatenate([self._bad, bad]))
        self._lasting.update(both, np.isin(both, bad), now_ns)
        self._bad = bad
        return self._lasting.over(now_ns)

    def _unheard(self, standing: Standing, silent: Bools) -> I64:
        """Return the entries of running agents that lead through somebody they do not hear."""
        ways = self._ways
        entries = np.flatnonzero((ways.second != ways.nowhere) & (ways.first != NO_ROW))
        site = entries // ways.space.per_site
        via = self._world.overlay.dst[ways.first[entries]]
        unheard = standing.running[site] & (silent[via] | ~standing.reached[site])
        found: I64 = entries[unheard]
        return found

    def steady(self, now_ns: int) -> Standing:
        """Return who has been well for so long that the others have heard of it."""
        running, reached, lan_up = self.well_ns <= now_ns - self._heard_ns
        return Standing(running, reached, lan_up, self.well_ns[0])

    def blinked(self, sites: Sequence[int], at_ns: int) -> bool:
        """Tell whether some site was not heard a moment ago, be it between two looks."""
        from_ns = at_ns - self._heard_ns
        return any(
            o.fault.kind in _MUTES
            and o.start_ns <= at_ns
            and o.end_ns > from_ns
            and not set(sites).isdisjoint(o.sites)
            for o in self._world.timeline.occurrences
        )

    def _proven(self, now_ns: int) -> Bools:
        """Tell which tunnels must count as good; at the end: no leg, and a missing one."""
        plane = self._world.dataplane
        proven = ~plane.latched & (plane.since_ns <= now_ns - self._proof_ns)
        return np.append(proven, [True, False])
