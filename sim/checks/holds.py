"""Holds: who was silent must prove itself before it carries traffic again.

Read off the stamps alone: a move onto a tunnel whose unbroken proof is younger than the
hold is *hasty*. What may rightly be hasty is left out, so that what counts is beyond
doubt:

- where somebody at the site may have had no other way: only moves count at sites from
  which every destination was reached for long over some tunnel that the class may use;
- what a kernel does alone: after its agent was away the kernel's own hold is enough, and
  an agent that starts anew has forgotten the failures, so a single hold is.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.engine.overlay import I32, I64
from patronus.engine.policy import WhenNone
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER
from patronus.sim.checks.rules import Rules
from patronus.sim.scenario import FaultKind

if TYPE_CHECKING:
    from patronus.sim.world import World

_AWAY: Final = (FaultKind.AGENT_PAUSE, FaultKind.AGENT_KILL, FaultKind.SITE_CRASH)


class Holds:
    """Looks at moves of one world."""

    def __init__(self, world: "World", rules: Rules) -> None:
        self._world, self._rules = world, rules
        policy = world.scenario.policy
        kinds = {o.fault.kind for o in world.timeline.occurrences}
        drops = any(c.sla.when_none is WhenNone.DROP for c in policy.classes)
        # Who drops, or hears of a LAN that is gone, may have no way though tunnels are up.
        self._applies = policy.features.damping and not drops and FaultKind.LAN_DOWN not in kinds
        hold_ns, longest_ns = policy.damping.hold_ns, policy.damping.hold_max_ns
        self._hold_ns = self._holds(min(2 * hold_ns, longest_ns), min(hold_ns, longest_ns))
        self._steady_ns = longest_ns + 2 * policy.evaluation_ns

    def _holds(self, after_ns: int, forgetful_ns: int) -> I64:
        """Return by site how long a tunnel must have been heard at least."""
        world = self._world
        holds = np.full(len(world.overlay.sites), after_ns, dtype=np.int64)
        for occurrence in world.timeline.occurrences:
            if occurrence.fault.kind in _AWAY:
                forgets = occurrence.fault.kind is not FaultKind.AGENT_PAUSE
                least_ns = min(
                    forgetful_ns if forgets else after_ns, world.scenario.policy.kernel_hold_ns
                )
                sites = list(occurrence.sites)
                holds[sites] = np.minimum(holds[sites], least_ns)
        return holds

    def hasty(self, at_ns: I64, entries: I64, rows: I32) -> I64:
        """Return the places of moves that came too early."""
        if not self._applies:
            return np.zeros(0, dtype=np.int64)
        since_ns = np.append(self._world.dataplane.since_ns, NEVER)[rows]
        site = entries // self._world.dataplane.space.per_site
        # What was heard before the scenario began is not held for anything in it. And a tunnel
        # that fell silent since is looked at when it is back.
        young = (since_ns > 0) & (since_ns < at_ns) & (at_ns - since_ns < self._hold_ns[site])
        places = np.flatnonzero(young)
        fine = [self._free(int(site[i]), int(since_ns[i])) for i in places]
        return places[np.array(fine, dtype=np.bool_)]

    def _free(self, site: int, since_ns: int) -> bool:
        """Tell whether every entry of a site had a way when some tunnel came back."""
        overlay, plane = self._world.overlay, self._world.dataplane
        start, stop = overlay.site_start[site : site + 2].tolist()
        steady = plane.since_ns[start:stop] <= since_ns - self._steady_ns
        steady &= ~plane.latched[start:stop]
        there, over = overlay.dst[start:stop][steady], overlay.transport[start:stop][steady]
        allowed = self._rules.allowed[self._rules.of_site[site]]
        return all(
            bool(self._reached(np.isin(there, homes.sites), allowed[:, over]))
            for homes in overlay.destinations
            if site not in homes.sites
        )

    @staticmethod
    def _reached(leads: Bools, allowed: Bools) -> np.bool_:
        """Tell whether each class may use some of the tunnels that lead there."""
        return (allowed & leads).any(axis=1).all()
