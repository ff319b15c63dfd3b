"""What an engine has to choose from for one entry, and why it does not take the others.

It reads the engine's public state and ranks by the documented order itself, so it
would notice if the engine did something else: an alternative that ought to be better
is shown as such.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np

from patronus.engine.forwarding import NO_ROW
from patronus.engine.knowledge import BADNESS_BITS
from patronus.engine.liveness import State
from patronus.engine.narrative import path_name
from patronus.engine.overlay import I64
from patronus.engine.policy import TrafficClass, WhenNone
from patronus.engine.ranking import join_figures
from patronus.engine.units import MS, PPM
from patronus.engine.verdict import (
    UNKNOWN_BADNESS_NS,
    VIOLATING,
    Figures,
    badness_ns,
    verdict,
)
from patronus.sim.world import World

VERDICTS: Final = ("compliant", "unknown", "violating", "outage")


class Rank(IntEnum):
    """What counts, the most important first."""

    USABLE = 0
    DRAINED = 1
    VERDICT = 2
    ORDER = 3
    TRANSIT = 4
    PREFERENCE = 5
    COST = 6
    METRIC = 7


_WORSE: Final = {
    Rank.DRAINED: "its tunnel is drained",
    Rank.ORDER: "its site comes later in the order of the destination",
    Rank.TRANSIT: "it goes through another site",
    Rank.PREFERENCE: "the class prefers another transport",
    Rank.COST: "its transport costs more",
}


@dataclass(frozen=True, slots=True)
class Alternative:
    """One path that an entry could take."""

    path: str
    chosen: bool
    """By the engine."""
    used: bool
    """By packets; the kernel may have moved them before the engine did."""
    backup: int
    """1 or 2 for a backup, else 0."""
    state: str
    verdict: str
    rtt_ns: int
    """This and the next two of the whole way as believed, -1 where unknown."""
    jitter_ns: int
    loss_ppm: int
    why: str
    """Why it is not the one chosen; of that one, why it cannot be used, if so."""
    key: tuple[int, ...]
    """By ``Rank``; less is better."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A candidate, and what is known of the whole way over it."""

    row: int
    end: int
    home: bool
    """Its end announces the destination itself."""
    reached: bool
    """Its end does, or says that it reaches the destination."""
    figures: Figures
    tier: int
    """Code of the verdict."""


class Alternatives:
    """Asks the engine of a world that has run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._engine, self._overlay = world.engine, world.overlay
        self._policy = world.scenario.policy

    def classes(self) -> list[str]:
        """Return the names of all classes."""
        return [c.name for c in self._policy.classes]

    def of(self, site: str, destination: str, traffic_class: str) -> list[Alternative]:
        """Return all paths of an entry, the one chosen first, then from best to worst.

        Raises:
            KeyError: the world has no such site, destination or class.
        """
        targets = {d.name: i for i, d in enumerate(self._overlay.destinations)}
        numbers = {name: i for i, name in enumerate(self.classes())}
        here, to = self._overlay.site_index[site], targets[destination]
        number = numbers[traffic_class]
        found = list(self._all(here, to, number))
        chosen = next((a for a in found if a.chosen), None)
        if chosen is not None:
            found = [self._explained(a, chosen, self._policy.classes[number]) for a in found]
        return sorted(found, key=lambda a: (not a.chosen, a.key))

    def _all(self, site: int, destination: int, number: int) -> Iterator[Alternative]:
        space = self._engine.space
        entry = (site * space.destinations + destination) * space.classes + number
        wanted: list[int] = self._engine.steering.wanted.rows[entry].tolist()
        used = int(self._world.dataplane.used[entry])
        for row in self._rows(site, destination).tolist():
            way = self._way(row, site, destination, number)
            refusal = self._refusal(way, site, destination, number)
            rtt, jitter, loss = (int(figure[0]) for figure in way.figures)
            yield Alternative(
                path=path_name(self._overlay, row, destination),
                chosen=row == wanted[0],
                used=row == used,
                backup=wanted.index(row) if row in wanted else 0,
                state=State(int(self._engine.state[row])).name.lower(),
                verdict=VERDICTS[way.tier],
                rtt_ns=rtt,
                jitter_ns=jitter,
                loss_ppm=loss,
                why=refusal,
                key=self._key(way, destination, number, usable=not refusal),
            )

    def _rows(self, site: int, destination: int) -> I64:
        rows = self._engine.steering.candidates.rows(
            np.array([site]),
            np.array([destination]),
            with_transit=self._policy.features.transit,
        )[:, 0]
        there: I64 = rows[rows != NO_ROW]
        return there

    def _way(self, row: int, site: int, destination: int, number: int) -> _Way:
        engine, now = self._engine, self._world.now_ns
        end = int(self._overlay.dst[row])
        own = engine.figures(np.array([row]), now)
        tier = int(engine.ranking.verdict[number, row])
        if end in self._overlay.destinations[destination].sites:
            return _Way(row, end, home=True, reached=True, figures=own, tier=tier)
        policy = self._policy
        here, via, to = (np.array([x]) for x in (site, end, destination))
        content = engine.knowledge.content(here, via)
        offer = int(engine.knowledge.offers(content, to, number=number)[0])
        rest = engine.knowledge.figures(content, to, number=number)
        whole = join_figures(own, Figures(*rest.T))
        if policy.features.sla and offer >= 0:
            beyond = offer >> BADNESS_BITS
            tier = max(tier, beyond, int(verdict(whole, policy.classes[number].sla)[0]))
        return _Way(row, end, home=False, reached=offer >= 0, figures=whole, tier=tier)

    def _refusal(self, way: _Way, site: int, destination: int, number: int) -> str:
        """Return why a path cannot be used at all, "" if it can."""
        overlay, engine = self._overlay, self._engine
        state = int(engine.state[way.row])
        transport = overlay.transports[overlay.transport[way.row]]
        name, target = overlay.sites[way.end], overlay.destinations[destination].name
        if transport in self._policy.classes[number].sla.forbid:
            return f"the class forbids {transport}"
        if state == State.INIT:
            return "its tunnel is back, but must prove itself first"
        if state != State.UP:
            return "its tunnel is down"
        if not way.reached:
            return f"{name} does not say that it reaches {target}"
        if self._waits(way, site, destination):
            return f"{name} may count on this site; it is asked when the tunnels here stay down"
        entry = (np.array([x]) for x in (site, way.end, destination))
        if way.home and not engine.knowledge.announces(*entry)[0]:
            return f"{name} does not announce {target} at present"
        return ""

    def _waits(self, way: _Way, site: int, destination: int) -> bool:
        """Tell whether a transit site may not send through an earlier one yet."""
        overlay = self._overlay
        if way.home or site not in overlay.transit or way.end > site:
            return False
        home = overlay.is_home(overlay.dst.astype(np.int64), np.full(overlay.rows, destination))
        mine = np.flatnonzero((overlay.src == site) & home)
        return not self._engine.tunnels.settled[mine].all()

    def _key(self, way: _Way, destination: int, number: int, *, usable: bool) -> tuple[int, ...]:
        sla, overlay = self._policy.classes[number].sla, self._overlay
        transport = overlay.transports[overlay.transport[way.row]]
        place = overlay.destinations[destination].sites.index(way.end) if way.home else 0
        prefer = sla.prefer.index(transport) if transport in sla.prefer else len(sla.prefer)
        static = (place, int(not way.home), prefer, self._policy.cost.get(transport, 0))
        if way.tier >= VIOLATING:  # among those only how bad they are counts
            static = (0, 0, 0, 0)
        metric = int(badness_ns(way.figures)[0])
        if way.home:
            metric = int(self._engine.ranking.metric_published[way.row])
        return (int(not usable), int(self._engine.drained[way.row]), way.tier, *static, metric)

    def _explained(
        self, other: Alternative, chosen: Alternative, wanted: TrafficClass
    ) -> Alternative:
        """Return an alternative with the first thing in which the chosen one is better."""
        if other.chosen or other.why:
            return other
        return replace(other, why=self._why(other, chosen, wanted))

    def _why(self, other: Alternative, chosen: Alternative, wanted: TrafficClass) -> str:
        rank = next((r for r in Rank if other.key[r] != chosen.key[r]), None)
        if wanted.share and rank in (None, Rank.METRIC):
            return "the weights of the class gave this pair to the chosen one"
        if rank is None:
            return "it is equal; names decide"
        gain_ns = chosen.key[rank] - other.key[rank]
        if rank is Rank.METRIC and gain_ns > 0:
            return f"it is better by {_ms(gain_ns)}; to move takes {_ms(self._margin_ns(chosen))}"
        if gain_ns > 0:
            stays = wanted.sla.when_none is WhenNone.STAY and chosen.verdict == "violating"
            return "the class stays where it is" if stays else "it ranks first from now on"
        if rank is Rank.METRIC:
            unknown = other.key[rank] >= UNKNOWN_BADNESS_NS
            return "too little is known of it" if unknown else f"it is worse by {_ms(-gain_ns)}"
        if rank is Rank.VERDICT:
            return f"it is {other.verdict}, the chosen one {chosen.verdict}"
        return _WORSE[rank]

    def _margin_ns(self, chosen: Alternative) -> int:
        policy = self._policy
        if not policy.features.hysteresis:
            return 0
        return max(policy.margin_ns, chosen.key[Rank.METRIC] * policy.margin_ppm // PPM)


def _ms(ns: int) -> str:
    return f"{ns / MS:.3g} ms"
