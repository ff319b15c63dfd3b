"""Who is harmed by a fault: the wire's truth about paths, tables and LANs.

Nothing here asks the engine what it believes, not even whether an entry had another
path at all: a path that works counts, also when nobody knows or dares to use it yet.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from patronus.engine.arrays import distinct
from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import PPM
from patronus.engine.verdict import COMPLIANT, Figures, verdict
from patronus.sim.exposures import Exposed
from patronus.sim.lookup import numbered
from patronus.sim.outlook import Outlook
from patronus.sim.pointers import Pointers
from patronus.sim.scenario import FaultKind
from patronus.sim.tally import has_limits
from patronus.sim.timeline import Occurrence

if TYPE_CHECKING:
    from patronus.sim.world import World

NOISE_MEAN_MILLI: Final = 113
NOISE_STEP_MILLI: Final = 128
"""Of the delay noise, in thousandths of its bound: its mean, and the mean difference of
successive ones (``luck.noise_ns``)."""

_AT_ONCE: Final = 65_536


class State(NamedTuple):
    """What some tunnels do for each class; arrays of shape (classes, tunnels)."""

    alive: Bools
    """At least half is delivered."""
    fine: Bools
    """The SLA is kept."""
    lost: Bools
    """Nothing is delivered."""
    both: Bools
    """Both ways deliver at least half, so that the ends can know it."""


class Harm:
    """Judges paths by what packets would meet on them."""

    def __init__(self, world: "World", packet_bytes: I64) -> None:
        """Prepare; ``packet_bytes`` is the usual size by class."""
        self._world, self._packet_bytes = world, packet_bytes
        self.foresee()
        policy, names = world.scenario.policy, world.overlay.transports
        allowed = [[t not in c.sla.forbid for t in names] for c in policy.classes]
        self._allowed: Bools = np.array(allowed, dtype=np.bool_)
        self.among: I64 | None = None
        """Only these entries can be exposed, ascending; None: all."""
        self.unavoidable = 0
        """Entries that a fault harmed and that had no other path, counted once a fault."""

    def foresee(self) -> None:
        """Take note of the world's timeline."""
        self._outlook = Outlook(self._world.wire, self._world.timeline, self._world.seed)

    # ------------------------------------------------------------ tunnels

    def rows(self, occurrence: Occurrence) -> I64:
        """Return the rows whose packets meet a fault, ascending."""
        wire, overlay = self._world.wire, self._world.overlay
        muted = np.array(occurrence.rows, dtype=np.int64)
        found = [muted, overlay.reverse[muted].astype(np.int64)]
        if occurrence.links:
            found.append(wire.rows_of(np.array(occurrence.links, dtype=np.int64)))
        return distinct(np.concatenate(found))

    def state(self, rows: I64, at_ns: int | I64) -> State:
        """Return what tunnels do at instants of the wire's window, or just before it."""
        times = np.broadcast_to(np.asarray(at_ns, dtype=np.int64), len(rows))
        out = self._outlook.way(rows, times)
        home = self._outlook.way(self._world.overlay.reverse[rows].astype(np.int64), times)
        noise = (out.jitter_ns + home.jitter_ns) * NOISE_MEAN_MILLI // 1000
        figures = Figures(
            out.delay_ns + home.delay_ns + noise,
            out.jitter_ns * NOISE_STEP_MILLI // 1000,
            out.loss_ppm,
        )
        fits = out.mtu >= self._packet_bytes[:, None]
        alive = fits & (out.loss_ppm < PPM // 2)
        keeps = [
            (verdict(figures, c.sla) == COMPLIANT) | (not has_limits(c.sla))
            for c in self._world.scenario.policy.classes
        ]
        return State(
            alive,
            alive & np.array(keeps, dtype=np.bool_),
            ~fits | (out.loss_ppm >= PPM),
            alive & (home.loss_ppm < PPM // 2),
        )

    # ------------------------------------------------------------ paths

    def path_truth(
        self, pointers: Pointers, entries: I64, rows: I64, at_ns: I64
    ) -> tuple[Bools, Bools]:
        """Return whether paths deliver at least half, and whether they keep their class's SLA.

        A path is an entry and its first tunnel; the rest is read off the tables of the slot.
        """
        world, space = self._world, self._world.engine.space
        number = entries % space.classes
        there = rows != NO_ROW
        alive, fine = self._at(number, np.maximum(rows, 0), at_ns)
        end = np.where(there, world.overlay.dst[rows], -1).astype(np.int64)
        destination = (entries // space.classes) % space.destinations
        onward = there & ~world.overlay.is_home(end, destination)
        alive &= there
        at = np.flatnonzero(onward)
        if len(at):
            second = (end[at] * space.destinations + destination[at]) * space.classes + number[at]
            beyond = pointers.at(second, at_ns[at]).astype(np.int64)
            far_alive, far_fine = self._at(number[at], np.maximum(beyond, 0), at_ns[at])
            alive[at] &= far_alive & (beyond != NO_ROW)
            fine[at] &= far_fine
            end[at] = world.overlay.dst[beyond]
            # Transit has a budget of one: what a transit site would send on is dropped.
            alive[at] &= world.overlay.is_home(end[at], destination[at])
        alive &= world.agents.lan_up[end]
        return alive, fine

    def _at(self, number: I64, rows: I64, at_ns: I64) -> tuple[Bools, Bools]:
        """Return whether tunnels are alive and fine for one class each; they may repeat."""
        times, step = self._outlook.moments(at_ns)
        code = rows * len(times) + step
        pairs, place = numbered(code, self._world.overlay.rows * len(times))
        state = self.state(pairs // len(times), times[pairs % len(times)])
        return state.alive[number, place], state.fine[number, place]

    # ------------------------------------------------------------ exposures

    def exposed(self, occurrence: Occurrence, harmed: I64, before: State) -> Exposed:
        """Return the entries that a fault that has just begun harms, and that could be saved.

        Args:
            occurrence: the fault.
            harmed: the rows whose packets meet it.
            before: what they did without it. What was bad already is not its doing.
        """
        world, space = self._world, self._world.engine.space
        dead, bad, lost = self._worse(harmed, before)
        dark = np.zeros(len(world.overlay.sites), dtype=np.bool_)
        if occurrence.fault.kind is FaultKind.LAN_DOWN:
            dark[list(occurrence.sites)] = True
        used = world.dataplane.used
        worse: Bools = np.logical_or.reduce(dead | bad, axis=0)
        few = self.among
        suspects = np.flatnonzero(self._touched(used if few is None else used[few], worse, dark))
        suspects = suspects if few is None else few[suspects]
        number, row = suspects % space.classes, used[suspects].astype(np.int64)
        second, onward = world.second_leg(suspects.astype(np.int64))
        beyond = np.where(onward, used[np.where(onward, second, 0)], NO_ROW).astype(np.int64)
        far = onward & (beyond != NO_ROW)
        end = world.overlay.dst[np.where(onward, beyond, row)]

        def met(rows: Bools) -> Bools:
            found: Bools = rows[number, row] | (far & rows[number, beyond])
            return found

        hard = met(dead) | dark[end]
        hit = np.flatnonzero(hard | met(bad))
        other = self._has_other(suspects[hit].astype(np.int64), hard[hit])
        self.unavoidable += int(np.count_nonzero(~other))
        hit = hit[other]
        return Exposed(
            suspects[hit].astype(np.int64),
            row[hit].astype(np.int32),
            hard[hit],
            (met(lost) | dark[end])[hit],
        )

    def _worse(self, harmed: I64, before: State) -> tuple[Bools, Bools, Bools]:
        """Return by (class, row) what has died, what breaks the SLA anew, what loses all now."""
        rows, classes = self._world.overlay.rows, self._world.engine.space.classes
        dead, bad, lost = np.zeros((3, classes, rows), dtype=np.bool_)
        if len(harmed):
            now = self.state(harmed, self._world.now_ns)
            dead[:, harmed] = before.alive & ~now.alive
            bad[:, harmed] = before.fine & ~now.fine
            lost[:, harmed] = now.lost
        return dead, bad, lost

    def _touched(self, used: I32, met: Bools, dark: Bools) -> Bools:
        """Tell which entries may be harmed: by their first tunnel, or somewhere behind it."""
        there = used != NO_ROW
        hit: Bools = there & met[used]
        overlay = self._world.overlay
        if len(overlay.transit) or dark.any():
            # Sites from which some tunnel is met, or whose LAN is dark, may be in between.
            risky = dark.copy()
            risky[overlay.src[met]] = True
            hit |= there & risky[overlay.dst[used]]
        return hit

    def _has_other(self, entries: I64, hard: Bools) -> Bools:
        """Tell which entries have a path at all that works now, whoever knows it."""
        parts = [
            self._other(entries[at : at + _AT_ONCE], hard[at : at + _AT_ONCE])
            for at in range(0, len(entries), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)

    def _other(self, entries: I64, hard: Bools) -> Bools:
        """Tell it of not too many entries.

        What is asked of a tunnel to a site in between is asked once for each site and class,
        and of the ways beyond once for each destination and class: there are few of both.
        """
        world = self._world
        space, columns = world.engine.space, world.engine.steering.candidates
        pair, number = np.divmod(entries, space.classes)
        site, destination = np.divmod(pair, space.destinations)
        kind = number * 2 + hard
        direct = columns.direct[:, site, destination]
        found: Bools = np.logical_or.reduce(self._ends_well(direct, kind), axis=0)
        if not (world.scenario.policy.features.transit and columns.transit.size):
            return found
        sites, at_site = np.unique(site, return_inverse=True)
        targets, at_target = np.unique(destination, return_inverse=True)
        kinds = np.arange(2 * space.classes)
        via = np.array(world.overlay.transit, dtype=np.int64)
        ways = self._works(columns.transit[:, :, sites, None], kinds)
        first: Bools = np.logical_or.reduce(ways, axis=1)
        beyond = columns.direct[:, via[:, None], targets]
        second: Bools = np.logical_or.reduce(self._ends_well(beyond[..., None], kinds), axis=0)
        second &= ~columns.behind[:, targets, None]
        through = np.zeros(len(entries), dtype=np.bool_)
        for there, onward in zip(first, second, strict=True):
            through |= there[at_site, kind] & onward[at_target, kind]
        through &= ~world.overlay.is_home(site, destination)
        found |= through
        return found

    def _ends_well(self, rows: I32, kind: I64) -> Bools:
        """Tell which tunnels work and lead to a LAN that is up."""
        lan_up: Bools = self._world.agents.lan_up[self._world.overlay.dst[rows]]
        return lan_up & self._works(rows, kind)

    def _works(self, rows: I32, kind: I64) -> Bools:
        """Tell which tunnels a class may use and would be saved by.

        ``kind`` is twice the class, and 1 more where it is enough that half is delivered;
        shapes broadcast.
        """
        some = np.zeros(self._world.overlay.rows + 1, dtype=np.bool_)  # the last for no row
        some[rows] = True
        every = np.flatnonzero(some[:-1])
        works = np.zeros((2 * self._world.engine.space.classes, len(some)), dtype=np.bool_)
        if len(every):
            state = self.state(every, self._world.now_ns)
            may = self._allowed[:, self._world.overlay.transport[every]] & state.both
            works[1::2, every], works[::2, every] = may, may & state.fine
        found: Bools = works[kind, rows]
        return found
