"""Ways through other sites that have come to break an SLA.

The verdict of such a way is that of the sum of two tunnels. It may fall while those of
both stand, whenever one of the two or what is told of the other moves, and there may be
thousands of ways over each tunnel. So first it is asked of each tunnel whether even the
worst destination behind it complies; where it does, as nearly always, none is looked at.
"""

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.configured import Configured
from patronus.engine.forwarding import NO_ROW
from patronus.engine.knowledge import BADNESS_BITS, Knowledge
from patronus.engine.liveness import I8, UP
from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Policy, SlaClass
from patronus.engine.ranking import Ranking
from patronus.engine.selection import Bools
from patronus.engine.steering import Steering
from patronus.engine.tunnels import Tunnels
from patronus.engine.verdict import COMPLIANT


class TransitWatch:
    """Looks at the ways in use through other sites."""

    def __init__(
        self,
        steering: Steering,
        *,
        configured: Configured,
        tunnels: Tunnels,
        ranking: Ranking,
        knowledge: Knowledge,
    ) -> None:
        self._tunnels = tunnels
        self._steering, self._configured = steering, configured
        self._ranking, self._knowledge = ranking, knowledge
        self._overlay, self._rows = steering.overlay, steering.candidates.transit
        self._through: I64 = np.array(steering.overlay.transit, dtype=np.int64)[:, None]
        self._place: I64 = np.full(len(self._overlay.sites), -1, dtype=np.int64)
        self._place[self._through[:, 0]] = np.arange(len(self._through))

    def fallen(self, sites: I64) -> I64:
        """Return the pairs of some sites whose way is worse than when it was looked at last."""
        found = [np.zeros(0, dtype=np.int64)]
        for policy, at in self._configured.split(sites):
            if policy.features.sla and policy.features.transit:
                found += [self._of_class(sites[at], policy, n) for n in range(len(policy.classes))]
        return distinct(np.concatenate(found) // self._steering.space.classes)

    def misses(self, observers: I64, sites: I64) -> I64:
        """Return the observers who could still reach a site that they have not heard for long."""
        carries = self._place[sites] >= 0
        observers, sites = observers[carries], sites[carries]
        return distinct(observers[self._reach(observers, sites)])

    def near(self, observers: I64, site: int) -> I64:
        """Return the observers to whom it matters what a site tells of the ways beyond it.

        Where all tunnels to it are down there is no such way; when one comes up, all ways
        through it are looked at anyway. A site that carries nothing speaks of itself.
        """
        if self._place[site] < 0:
            return observers
        return observers[self._reach(observers, np.full_like(observers, site))]

    def _reach(self, observers: I64, sites: I64) -> Bools:
        """Tell who has a tunnel to a transit site that is up."""
        rows = self._rows[self._place[sites], :, observers]
        up: Bools = ((rows != NO_ROW) & (self._tunnels.state[rows] == UP)).any(axis=1)
        return up

    def _of_class(self, sites: I64, policy: Policy, number: int) -> I64:
        """Return the entries of one class that are worse."""
        space, sla = self._steering.space, policy.classes[number].sla
        rows = self._suspects(sites, sla, number)
        if not len(rows):
            return np.zeros(0, dtype=np.int64)
        suspect = np.zeros(self._overlay.rows, dtype=np.bool_)
        suspect[rows] = True
        # Nearly always these are the tunnels of few sites, and only those are looked at.
        sites = distinct(self._overlay.src[rows].astype(np.int64))
        pairs = sites[:, None] * space.destinations + np.arange(space.destinations)
        entries = pairs.ravel() * space.classes + number
        primary = self._steering.wanted.rows[entries, 0]
        entries = entries[(primary != NO_ROW) & suspect[primary]]
        entries = entries[self._steering.leads_through(entries)]
        worse: I64 = entries[self._tier(entries, sla, number) > self._steering.tier[entries]]
        return worse

    def _suspects(self, sites: I64, sla: SlaClass, number: int) -> I32:
        """Return the tunnels of some sites behind which some destination may not comply."""
        rows = self._rows[:, :, sites]
        content = self._knowledge.content(sites, self._through)
        worst = self._knowledge.worst(content, number=number)[:, None]
        bad = (rows != NO_ROW) & (self._ranking.whole(rows, worst, sla) > COMPLIANT)
        suspects: I32 = rows[bad]
        return suspects

    def _tier(self, entries: I64, sla: SlaClass, number: int) -> I8:
        """Return the verdicts of the ways in use."""
        space = self._steering.space
        site, destination = np.divmod(entries // space.classes, space.destinations)
        rows = self._steering.wanted.rows[entries, 0]
        content = self._knowledge.content(site, self._overlay.dst[rows])
        offer = self._knowledge.offers(content, destination, number=number)
        told = self._knowledge.figures(content, destination, number=number)
        tier: I8 = np.maximum(
            self._ranking.verdict[number, rows], self._ranking.whole(rows, told, sla)
        )
        return np.maximum(tier, (offer >> BADNESS_BITS).astype(np.int8))
