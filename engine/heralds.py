"""What the sites of one engine tell the others: whom they reach, and how well.

A site speaks for itself alone: of its own LAN, and of what it would do with traffic
that arrives for a destination, class by class. That is what its own forwarding table
does, and only a direct tunnel counts, since what came from a tunnel may leave on a
direct one alone.

New content is told at each evaluation, content that holds is repeated, and what is
*withdrawn* is told at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from patronus.engine.announcement import Announcement
from patronus.engine.forwarding import NO_ROW
from patronus.engine.knowledge import Knowledge
from patronus.engine.liveness import UP
from patronus.engine.policy import Policy
from patronus.engine.ranking import Ranking
from patronus.engine.reach import Interpreter, Reach, nothing
from patronus.engine.selection import Bools
from patronus.engine.steering import Steering
from patronus.engine.tunnels import Tunnels
from patronus.engine.verdict import UNKNOWN


@dataclass(frozen=True, eq=False, slots=True)
class _Said:
    """The last announcement of a site."""

    counter: int
    version: int
    at_ns: int
    reach: Reach


class Heralds:
    """Speak for the announcers among the sites of one engine."""

    def __init__(
        self,
        policy: Policy,
        *,
        interpreter: Interpreter,
        steering: Steering,
        tunnels: Tunnels,
        ranking: Ranking,
        knowledge: Knowledge,
    ) -> None:
        self._policy, self._interpreter = policy, interpreter
        self._steering, self._tunnels = steering, tunnels
        self._ranking, self._knowledge = ranking, knowledge
        self._overlay = steering.overlay
        self.lan_up: Bools = np.ones(len(self._overlay.sites), dtype=np.bool_)
        self._said: dict[int, _Said] = {}

    def speak(self, sites: Sequence[int], now_ns: int) -> list[Announcement]:
        """Return what announcers among some sites have to say at an evaluation."""
        found = ((s, self.reach(s)) for s in self._announcers(sites))
        return [self._say(s, r, now_ns) for s, r in found if self._due(s, r, now_ns)]

    def withdraw(self, sites: Sequence[int], now_ns: int) -> list[Announcement]:
        """Return what those must say now that offer less than they said."""
        found = ((s, self.reach(s)) for s in self._announcers(sites) if s in self._said)
        return [self._say(s, r, now_ns) for s, r in found if self._said[s].reach.loses(r)]

    def reach(self, site: int) -> Reach:
        """Return what a site can truthfully say of each destination and class."""
        space, overlay = self._steering.space, self._overlay
        shape = space.destinations, space.classes
        mine = (overlay.home == site).any(axis=1)
        announces = mine & self.lan_up[site]
        if not overlay.rows:
            return replace(nothing(*shape), announces=announces)
        rows = self._steering.wanted.rows[space.of_site(site), 0].reshape(shape)
        to, number = np.ogrid[: shape[0], : shape[1]]
        end = overlay.dst[rows].astype(np.int64)
        usable = (rows != NO_ROW) & (self._tunnels.state[rows] == UP)
        usable &= overlay.is_home(end, to) & self._knowledge.announces(
            np.full_like(end, site), end, to
        )
        # Of a drained tunnel nothing is told: it will do, but every other way is better.
        told = usable & ~self._tunnels.drained[rows]
        rtt_ns, jitter_ns, loss_ppm = np.where(told, self._ranking.told[:, rows], -1)
        verdict = np.where(told, self._ranking.verdict[number, rows], np.int8(UNKNOWN))
        return Reach(announces, usable, rtt_ns, jitter_ns, loss_ppm, verdict)

    def _announcers(self, sites: Sequence[int]) -> list[int]:
        return [s for s in sites if self._knowledge.slot[s] >= 0]

    def _due(self, site: int, reach: Reach, now_ns: int) -> bool:
        said = self._said.get(site)
        if said is None or not reach.same(said.reach):
            return True
        return now_ns - said.at_ns >= self._policy.announcement_ns

    def _say(self, site: int, reach: Reach, now_ns: int) -> Announcement:
        # Who starts again has forgotten how far it had counted; the clock has gone on.
        said, counter, version = self._said.get(site), max(1, now_ns), max(1, now_ns)
        if said is not None:
            counter = said.counter + 1
            version = said.version + (not reach.same(said.reach))
        self._said[site] = _Said(counter, version, now_ns, reach)
        return self._interpreter.announcement(
            site, reach, counter=counter, version=version, now_ns=now_ns
        )
