"""Who is harmed by a fault: the wire's truth about paths, tables and LANs.

Nothing here asks the engine what it believes, except which tunnels it hears when it is
asked whether an entry had another path at all.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.forwarding import NO_ROW
from patronus.engine.liveness import State
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import PPM
from patronus.engine.verdict import COMPLIANT, Figures, verdict
from patronus.sim.exposures import Exposed
from patronus.sim.pointers import Pointers
from patronus.sim.tally import has_limits
from patronus.sim.timeline import Occurrence

if TYPE_CHECKING:
    from patronus.sim.world import World

NOISE_MEAN_MILLI: Final = 113
NOISE_STEP_MILLI: Final = 128
"""Of the delay noise, in thousandths of its bound: its mean, and the mean difference of
successive ones (``luck.noise_ns``)."""

_AT_ONCE: Final = 65_536


class Harm:
    """Judges paths by what packets would meet on them."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.unavoidable = 0
        """Entries that a fault harmed and that had no other path, counted once a fault."""

    # ------------------------------------------------------------ tunnels

    def rows(self, occurrence: Occurrence) -> I64:
        """Return the rows whose packets meet a fault, ascending."""
        wire, overlay = self._world.wire, self._world.overlay
        muted = np.array(occurrence.rows, dtype=np.int64)
        found = [muted, overlay.reverse[muted].astype(np.int64)]
        if occurrence.links:
            found.append(wire.rows_of(np.array(occurrence.links, dtype=np.int64)))
        return distinct(np.concatenate(found))

    def truth(self, rows: I64, at_ns: I64) -> tuple[Bools, Bools]:
        """Return whether tunnels deliver at least half, and by class whether they keep the SLA.

        Rows and times may repeat; shapes are (n,) and (classes, n).
        """
        times, when = np.unique(at_ns, return_inverse=True)
        pairs, place = np.unique(rows * len(times) + when, return_inverse=True)
        alive, fine = self._truth(pairs // len(times), times[pairs % len(times)])
        return alive[place], fine[:, place]

    def _truth(self, rows: I64, at_ns: I64) -> tuple[Bools, Bools]:
        wire, policy = self._world.wire, self._world.scenario.policy
        out = wire.passage(rows, at_ns)
        home = wire.passage(self._world.overlay.reverse[rows].astype(np.int64), at_ns)
        noise = (out.jitter_ns + home.jitter_ns) * NOISE_MEAN_MILLI // 1000
        figures = Figures(
            out.delay_ns + home.delay_ns + noise,
            out.jitter_ns * NOISE_STEP_MILLI // 1000,
            out.loss_ppm,
        )
        alive: Bools = out.loss_ppm < PPM // 2
        fine = [
            (verdict(figures, c.sla) == COMPLIANT) if has_limits(c.sla) else alive
            for c in policy.classes
        ]
        return alive, np.array(fine, dtype=np.bool_)

    # ------------------------------------------------------------ paths

    def path_truth(
        self, pointers: Pointers, entries: I64, rows: I64, at_ns: I64
    ) -> tuple[Bools, Bools]:
        """Return whether paths deliver at least half, and whether they keep their class's SLA.

        A path is an entry and its first tunnel; the rest is read off the tables of the slot.
        """
        world, space = self._world, self._world.engine.space
        number, here = entries % space.classes, np.arange(len(entries))
        there = rows != NO_ROW
        alive, fine = self.truth(np.maximum(rows, 0), at_ns)
        keeps = fine[number, here]
        end = np.where(there, world.overlay.dst[rows], -1).astype(np.int64)
        destination = (entries // space.classes) % space.destinations
        onward = there & ~world.overlay.is_home(end, destination)
        alive &= there
        at = np.flatnonzero(onward)
        if len(at):
            second = (end[at] * space.destinations + destination[at]) * space.classes + number[at]
            beyond = pointers.at(second, at_ns[at]).astype(np.int64)
            far_alive, far_fine = self.truth(np.maximum(beyond, 0), at_ns[at])
            alive[at] &= far_alive & (beyond != NO_ROW)
            keeps[at] &= far_fine[number[at], np.arange(len(at))]
            end[at] = world.overlay.dst[beyond]
            # Transit has a budget of one: what a transit site would send on is dropped.
            alive[at] &= world.overlay.is_home(end[at], destination[at])
        alive &= world.agents.lan_up[end]
        return alive, keeps

    # ------------------------------------------------------------ exposures

    def exposed(self, occurrence: Occurrence, harmed: I64) -> Exposed:
        """Return the entries that a fault that begins now harms, and that could be saved."""
        world, now = self._world, self._world.now_ns
        space, used = world.engine.space, world.dataplane.used
        hard, soft = self._bad_rows(harmed, now)
        met = hard | soft.any(axis=0)
        dead_lan = ~world.agents.lan_up
        suspects = np.flatnonzero(self._touched(used, met, dead_lan)).astype(np.int64)
        row = used[suspects].astype(np.int64)
        second, onward = world.second_leg(suspects)
        beyond = np.where(onward, used[np.where(onward, second, 0)], NO_ROW).astype(np.int64)
        end = world.overlay.dst[np.where(onward, beyond, row)]
        far = onward & (beyond != NO_ROW)
        number = suspects % space.classes
        black = hard[row] | (far & hard[beyond]) | dead_lan[end]
        bad = black | soft[number, row] | (far & soft[number, beyond])
        entries, row, black = suspects[bad], row[bad], black[bad]
        other = self._has_other(entries, hard, soft, dead_lan)
        self.unavoidable += int(np.count_nonzero(~other))
        return Exposed(entries[other], row[other].astype(np.int32), black[other])

    def _touched(self, used: I32, met: Bools, dead_lan: Bools) -> Bools:
        """Tell which entries may be harmed: by their first tunnel, or somewhere behind it."""
        there = used != NO_ROW
        hit: Bools = there & met[used]
        overlay = self._world.overlay
        if len(overlay.transit) or dead_lan.any():
            # Sites from which some tunnel is met, or whose LAN is dead, may be in between.
            risky = dead_lan.copy()
            risky[overlay.src[met]] = True
            hit |= there & risky[overlay.dst[used]]
        return hit

    def _bad_rows(self, harmed: I64, now_ns: int) -> tuple[Bools, Bools]:
        """Return by row what is dead now, and by (class, row) what breaks the SLA."""
        rows, classes = self._world.overlay.rows, self._world.engine.space.classes
        hard = np.zeros(rows, dtype=np.bool_)
        soft = np.zeros((classes, rows), dtype=np.bool_)
        if len(harmed):
            alive, fine = self._truth(harmed, np.full(len(harmed), now_ns, dtype=np.int64))
            hard[harmed] = ~alive
            soft[:, harmed] = ~fine
        return hard, soft

    def _has_other(self, entries: I64, hard: Bools, soft: Bools, dead_lan: Bools) -> Bools:
        """Tell which entries have a path at all that the fault does not harm."""
        parts = [
            self._other(entries[at : at + _AT_ONCE], hard, soft, dead_lan)
            for at in range(0, len(entries), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)

    def _other(self, entries: I64, hard: Bools, soft: Bools, dead_lan: Bools) -> Bools:
        world = self._world
        space, columns = world.engine.space, world.engine.steering.candidates
        pair, number = np.divmod(entries, space.classes)
        site, destination = np.divmod(pair, space.destinations)
        features = world.scenario.policy.features
        rows = columns.rows(site, destination, with_transit=features.transit)
        up = world.engine.state >= State.INIT
        fine = (rows != NO_ROW) & up[rows] & ~hard[rows] & ~soft[number[:, None], rows]
        fine &= ~dead_lan[world.overlay.dst[rows]]
        for column in range(columns.direct.shape[2], rows.shape[1]):
            via = world.overlay.dst[rows[:, column]].astype(np.int64)
            onward = columns.direct[via, destination]
            good = (onward != NO_ROW) & up[onward] & ~hard[onward]
            good &= ~dead_lan[world.overlay.dst[onward]]
            fine[:, column] &= np.any(good & ~soft[number[:, None], onward], axis=1)
        found: Bools = fine.any(axis=1)
        return found
