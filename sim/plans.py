"""What operators plan: transports taken out of service, policies rolled out half way.

Plans overlap as a set, so ending one never undoes another. An agent that is away, or
that the controller does not reach, hears of them when it is back.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.sim.agenda import Phase
from patronus.sim.timeline import Occurrence

if TYPE_CHECKING:
    from patronus.sim.world import World


class Plans:
    """Drains by row and policies by site."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._own: Counter[int] = Counter()
        """How many drains of its own site hold each row."""
        self._told: Counter[int] = Counter()
        """How many drains of the far end hold each row, as the controller tells."""
        self._policies: defaultdict[int, list[Occurrence]] = defaultdict(list)
        self._in_force: dict[int, Policy | None] = {}

    @property
    def special(self) -> Bools:
        """Which sites have a policy of their own in force."""
        special = np.zeros(len(self._world.overlay.sites), dtype=np.bool_)
        special[[site for site, policy in self._in_force.items() if policy is not None]] = True
        return special

    def catch_up(self, site: int) -> None:
        """Let a site hear of what was planned while it was away or out of reach."""
        first, last = self._world.overlay.site_start[site : site + 2].tolist()
        self._sync(row for row in {*self._own, *self._told} if first <= row < last)
        self._apply(site)

    # ------------------------------------------------------------ drains

    def drain(self, occurrence: Occurrence, *, on: bool) -> None:
        """Drain both ends of the tunnels of some attachments; the far ends hear of it later."""
        overlay, world = self._world.overlay, self._world
        mine = np.isin(overlay.src, occurrence.sites)
        mine &= np.isin(overlay.transport, occurrence.transports)
        rows = np.flatnonzero(mine)
        self._count(self._own, rows, on=on)
        self._sync(rows.tolist(), own=True)
        far = overlay.reverse[rows].astype(np.int64)
        control = world.scenario.control
        world.agenda.at(
            world.now_ns + control.delay_ns + control.jitter_ns, Phase.LEARN, len(overlay.sites),
            lambda: self._tell(far, on=on),
        )  # fmt: skip

    def _tell(self, rows: I64, *, on: bool) -> None:
        self._count(self._told, rows, on=on)
        self._sync(rows.tolist())

    def _count(self, held: Counter[int], rows: I64, *, on: bool) -> None:
        for row in rows.tolist():
            held[row] += 1 if on else -1

    def _sync(self, rows: Iterable[int], *, own: bool = False) -> None:
        """Let sites that can hear of it follow the plan; ``own``: it needs no controller."""
        world = self._world
        change: tuple[list[int], list[int]] = ([], [])
        reached, running = world.agents.reached, world.agents.running
        for row in sorted(rows):
            site = int(world.overlay.src[row])
            wanted = self._own[row] > 0 or self._told[row] > 0
            hears = running[site] and (own or reached[site] or self._own[row] > 0)
            if hears and wanted != world.engine.drained[row]:
                change[wanted].append(row)
        for on, some in enumerate(change):
            if some:
                world.engine.drain(np.array(some, dtype=np.int64), world.now_ns, on=bool(on))
                world.carry_out()

    # ------------------------------------------------------------ policies

    def configure(self, occurrence: Occurrence, *, on: bool) -> None:
        """Begin or end a half-applied policy; the one that came last is in force."""
        for site in occurrence.sites:
            if on:
                self._policies[site].append(occurrence)
            else:
                self._policies[site].remove(occurrence)
            self._world.checkers.configured((site,), self._wanted(site))
            self._apply(site)

    def _wanted(self, site: int) -> Policy | None:
        there = self._policies[site]
        return there[-1].fault.policy if there else None

    def _apply(self, site: int) -> None:
        world, wanted = self._world, self._wanted(site)
        if world.agents.running[site] and wanted is not self._in_force.get(site):
            self._in_force[site] = wanted
            world.rouse((site,))
            world.engine.configure((site,), wanted, world.now_ns)
            world.carry_out()
