"""Recovery: some time after the last fault nothing may be left of any of them.

    latched   the kernel keeps traffic off a tunnel that works
    lost      packets of an entry are not delivered
    worse     an entry is on a way that its class ranks below one that keeps its SLA
    backup    an entry has no backup although there is another way
    fate      a backup counts as disjoint and is not, or the other way round, or it shares
              the fate of the primary though another way would not

What a class ranks is its configuration: the order of a destination's sites, direct ways
before those through other sites, preferred transports, costs. Everything else is read
off the tables and the wire.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Policy, SlaClass
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, PPM
from patronus.sim.checks.fates import Fates
from patronus.sim.checks.others import Detour, Others, Standing
from patronus.sim.checks.truth import Truth
from patronus.sim.checks.ways import Ways

if TYPE_CHECKING:
    from patronus.sim.world import World

PLACE: Final = 1 << 10
THROUGH: Final = 1 << 9
CARRIER: Final = 1 << 40
"""A transit site leads through another one only if it has no tunnel of its own."""


@dataclass(frozen=True, slots=True)
class Left:
    """Something that a fault left behind."""

    entry: int
    """-1 where it is about a tunnel."""
    row: int
    """The tunnel, or the one that the entry uses; -1 for none."""
    what: str


class Recovery:
    """Looks at a world whose last fault was over long ago."""

    def __init__(
        self,
        world: "World",
        *,
        ways: Ways,
        truth: Truth,
        others: Others,
        standing: Standing,
        fates: Fates,
    ) -> None:
        self._world, self._ways, self._truth = world, ways, truth
        self._others, self._standing = others, standing
        self._overlay, self._space = world.overlay, world.dataplane.space
        self._fates = fates
        self._ranks = _ranks(world.scenario.policy, world.overlay.transports)

    def left(self, classes: Bools) -> list[Left]:
        """Return what is left.

        Args:
            classes: shape (classes,), those of which all is asked. Of the others preference
                is not, and nothing is of those that drop: they may still be waiting for a
                verdict.
        """
        entries = self._entries()
        entries = entries[classes[entries % self._space.classes] | ~self._others.drops(entries)]
        found = [*self._latched(), *self._lost(entries)]
        lost = np.array([f.entry for f in found if f.entry >= 0], dtype=np.int64)
        entries = entries[~np.isin(entries, lost)]
        found += self._worse(entries[classes[entries % self._space.classes]])
        if self._world.scenario.policy.features.backups:
            found += self._backups(entries)
        return found

    def _entries(self) -> I64:
        """Return the entries that lead somewhere else."""
        entries = np.arange(self._space.entries, dtype=np.int64)
        site, rest = np.divmod(entries, self._space.per_site)
        elsewhere: I64 = entries[~self._overlay.is_home(site, rest // self._space.classes)]
        return elsewhere

    # ------------------------------------------------------------ the five questions

    def _latched(self) -> Iterator[Left]:
        rows = np.arange(self._overlay.rows, dtype=np.int64)
        for row in hits(self._world.dataplane.latched & self._truth.works(rows)).tolist():
            yield Left(-1, row, "works, and the kernel keeps traffic off it")

    def _lost(self, entries: I64) -> Iterator[Left]:
        loss = self._truth.loss_ppm
        first, second = self._ways.first[entries], self._ways.second[entries]
        dead = (loss[first] >= PPM) | (loss[second] >= PPM)
        entries, first = entries[dead], first[dead]
        could = self._others.deliver(entries, self._standing)
        for entry, row in zip(entries[could].tolist(), first[could].tolist(), strict=True):
            yield Left(entry, row, "still delivers nothing")

    def _worse(self, entries: I64) -> Iterator[Left]:
        best = self._others.best(entries, self._standing, self._cost)
        rows = self._ways.first[entries]
        for entry, row in zip(*self._behind(entries, rows, best), strict=True):
            yield Left(entry, row, "is still used, though a way that ranks before it would do")

    def _behind(self, entries: I64, rows: I32, best: I64) -> tuple[list[int], list[int]]:
        end = np.where(rows == NO_ROW, -1, self._overlay.dst[rows]).astype(np.int64)
        destination = entries // self._space.classes % self._space.destinations
        homes = self._overlay.home[destination]
        here = homes == end[:, None]
        place = np.where(here.any(axis=1), here.argmax(axis=1), 0)
        mine = np.full(len(entries), NEVER, dtype=np.int64)
        for through in (False, True):
            for number in np.unique(place).tolist():
                some = (place == number) & (here.any(axis=1) != through) & (rows != NO_ROW)
                detour = Detour(number, 0 if through else -1)
                mine[some] = self._cost(entries[some], rows[some], detour)
        behind = best < mine
        return entries[behind].tolist(), rows[behind].tolist()

    def _cost(self, entries: I64, rows: I32, detour: Detour) -> I64:
        number = entries % self._space.classes
        cost: I64 = self._ranks[number, self._overlay.transport[rows]]
        if not detour.through:
            return cost + detour.place * PLACE
        carries = np.isin(entries // self._space.per_site, self._overlay.transit)
        return cost + THROUGH + carries * CARRIER

    def _backups(self, entries: I64) -> Iterator[Left]:
        table = self._world.dataplane.table
        primary, backup = table.rows[entries, 0], table.rows[entries, 1]
        bare = (backup == NO_ROW) & (primary != NO_ROW) & ~table.drop[entries]
        some = entries[bare]
        lacking = some[self._others.besides(some, primary[bare], self._standing)]
        for entry in lacking.tolist():
            yield Left(entry, int(table.rows[entry, 0]), "has no backup, though there is another")
        wrong = self._fates.mistaken(entries)
        for entry in wrong.tolist():
            row, flag = int(table.rows[entry, 0]), bool(table.shared_fate[entry])
            what = "apart from it, and counts as sharing its fate" if flag else "sharing its fate"
            yield Left(entry, row, f"has a backup {what}")
        sharing = table.shared_fate[entries] & (primary != NO_ROW) & (backup != NO_ROW)
        entries = entries[sharing & ~np.isin(entries, wrong)]
        rows = table.rows[entries, 0]
        could = self._others.besides(entries, rows, self._standing, self._fates.apart)
        for entry in entries[could].tolist():
            what = "has a backup sharing its fate, though one is apart from it"
            yield Left(entry, int(table.rows[entry, 0]), what)


def _ranks(policy: Policy, transports: tuple[str, ...]) -> I64:
    """Rank transports for each class, shape (classes, transports): equals have equal ranks."""
    return np.array([_of_class(policy, c.sla, transports) for c in policy.classes], dtype=np.int64)


def _of_class(policy: Policy, sla: SlaClass, transports: tuple[str, ...]) -> list[int]:
    def wish(name: str) -> tuple[int, int]:
        place = sla.prefer.index(name) if name in sla.prefer else len(transports)
        return place, policy.cost.get(name, 0)

    order = sorted({wish(name) for name in transports})
    return [order.index(wish(name)) for name in transports]
