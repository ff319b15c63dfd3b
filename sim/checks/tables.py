"""The checks on forwarding tables: walks, moves, and what a way is worth in truth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from patronus.engine.arrays import distinct, hits
from patronus.engine.forwarding import NO_ROW
from patronus.engine.narrative import path_name
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO, MS, PPM
from patronus.sim.checks.astray import Astray
from patronus.sim.checks.fates import Fates
from patronus.sim.checks.findings import Finding, Findings
from patronus.sim.checks.flaps import Flaps
from patronus.sim.checks.holds import Holds
from patronus.sim.checks.lasting import Patience
from patronus.sim.checks.loops import Cycle, Loops
from patronus.sim.checks.others import Others, Standing
from patronus.sim.checks.recovery import Recovery
from patronus.sim.checks.rules import Rules
from patronus.sim.checks.truth import Truth
from patronus.sim.checks.ways import Ways

if TYPE_CHECKING:
    from patronus.sim.world import World

_ENTRIES_AT_ONCE = 65_536

Moves = tuple[I64, I64, I32]
"""Times, entries, and the rows that they use from then on."""


class Tables:
    """The tables of all sites, as they were last seen.

    Moves are looked at slot by slot, what lasts is judged on the grid of 100 ms. Only
    entries that moved, or whose ways cross a tunnel that changed, are judged anew.
    """

    def __init__(
        self,
        world: "World",
        rules: Rules,
        found: Findings,
        *,
        bound_ns: int,
        sla_bound_ns: int,
        shut_bound_ns: int,
    ) -> None:
        """Begin to watch.

        Args:
            world: whose tables.
            rules: what its policies ask.
            found: where to tell.
            bound_ns: how long an entry may lead nowhere.
            sla_bound_ns: how long it may break its SLA.
            shut_bound_ns: how long a class that drops may send nothing: whatever spoils a
                verdict must be over.
        """
        self._world, self._rules, self._found = world, rules, found
        overlay = world.overlay
        self._space = space = world.dataplane.space
        self.truth = Truth(world.wire, world.timeline, world.seed)
        self._ways = Ways(overlay, space, world.dataplane.used)
        self._holds = Holds(world, rules)
        self._loops, self._flaps = Loops(self._ways), Flaps(space.entries)
        self._others = Others(
            overlay,
            space,
            world.dataplane.table,
            world.dataplane.used,
            truth=self.truth,
            rules=rules,
            features=world.scenario.policy.features,
            bound_ns=bound_ns,
        )
        self._astray = Astray(world, self._ways, self._others)
        self._fates = Fates(world)
        self._holes = Patience(space.entries, bound_ns, self._could_deliver)
        self._shut = Patience(space.entries, shut_bound_ns, self._could_deliver)
        self._misses = Patience(space.entries, sla_bound_ns, self._could_keep)
        self._new: list[I64] = [np.arange(space.entries, dtype=np.int64)]
        """Entries to be judged at the next turn."""
        self._again: list[I64] = []
        """Entries that may have other ways than before."""
        well = np.ones(space.sites, dtype=np.bool_)
        away_ns = np.full(space.sites, LONG_AGO, dtype=np.int64)
        self._standing = Standing(well, well, well, away_ns)
        for cycle in self._loops.at_start():
            self._looped(world.now_ns, cycle)

    # ------------------------------------------------------------ moves

    def take(self, moves: list[tuple[I64, I64, I32]]) -> None:
        """Look at the moves of a slot."""
        moves = [m for m in moves if len(m[0])]
        if not moves:
            return
        at_ns, entries, rows = (np.concatenate([m[i] for m in moves]) for i in range(3))
        order = np.argsort(entries, kind="stable")
        if np.any(at_ns[1:] < at_ns[:-1]):  # mostly they come in order of time
            order = np.lexsort((at_ns, entries))
        at_ns, entries, rows = at_ns[order], entries[order], rows[order]
        before = np.roll(rows, 1)
        new = np.diff(entries, prepend=-1) != 0
        before[new] = self._ways.first[entries[new]]
        real = before != rows
        at_ns, entries, rows, before = at_ns[real], entries[real], rows[real], before[real]
        if not len(entries):
            return
        self._flapped(at_ns, entries, before, rows)
        self._hurried(at_ns, entries, rows)
        in_time = np.argsort(at_ns, kind="stable")
        for when, cycle in self._loops.replay(at_ns[in_time], entries[in_time], rows[in_time]):
            self._looped(when, cycle)
        last = np.diff(entries, append=-1) != 0
        self._new.append(self._ways.move(entries[last], rows[last]))

    def audit(self, now_ns: int) -> None:
        """Compare all tables, in case one changed that nobody told of."""
        used = self._world.dataplane.used
        entries = hits(used != self._ways.first)
        if len(entries):
            self.take([(np.full(len(entries), now_ns, dtype=np.int64), entries, used[entries])])

    def _flapped(self, at_ns: I64, entries: I64, before: I32, rows: I32) -> None:
        flaps = _in_time(hits(self._flaps.see(at_ns, entries, before, rows)), at_ns)
        self._found.add("flaps", len(flaps))
        for i in flaps[: self._found.room("flaps")].tolist():
            path, left = (
                self._path(int(entries[i]), rows[i]),
                self._path(int(entries[i]), before[i]),
            )
            self._tell("flaps", int(at_ns[i]), int(entries[i]), f"back from {left} to {path}", path)

    def _hurried(self, at_ns: I64, entries: I64, rows: I32) -> None:
        hasty = _in_time(self._holds.hasty(at_ns, entries, rows), at_ns)
        self._found.add("hasty", len(hasty))
        for i in hasty[: self._found.room("hasty")].tolist():
            path = self._path(int(entries[i]), rows[i])
            self._tell("hasty", int(at_ns[i]), int(entries[i]), f"goes to {path} too soon", path)

    def _looped(self, at_ns: int, cycle: Cycle) -> None:
        overlay, agents = self._world.overlay, self._world.agents
        sites = [self._space.key(entry).site for entry in (*cycle, cycle[0])]
        # Who cannot be heard cannot say that it has lost its way, nor can who could not until
        # just now; packets do not loop anyway.
        steady = self._astray.steady(at_ns)
        well = agents.running & agents.reached & steady.running & steady.reached
        if not well[sites].all() or self._astray.blinked(sites, at_ns):
            return
        self._found.add("loops")
        names = [overlay.sites[site] for site in sites]
        self._tell("loops", at_ns, cycle[0], f"packets would go {' > '.join(names)}")

    # ------------------------------------------------------------ the end

    def left(self, classes: Bools) -> int:
        """Count, and tell, what is left of faults that are over; see :mod:`recovery`."""
        recovery = Recovery(
            self._world,
            ways=self._ways,
            truth=self.truth,
            others=self._others,
            standing=self._standing,
            fates=self._fates,
        )
        found, now = recovery.left(classes), self._world.now_ns
        self._found.add("unrecovered", len(found))
        for left in found[: self._found.room("unrecovered")]:
            if left.entry >= 0:
                path = self._path(left.entry, left.row)
                self._tell("unrecovered", now, left.entry, f"{path or 'no path'} {left.what}", path)
            else:
                text = f"{self._world.overlay.label(left.row)} {left.what}"
                self._found.tell(Finding(now, "unrecovered", -1, "", text))
        return len(found)

    # ------------------------------------------------------------ states

    def configured(self, sites: Sequence[int]) -> None:
        """Judge the entries of some sites anew: the rules there have changed."""
        every = np.arange(self._space.per_site, dtype=np.int64)
        self._new += [site * self._space.per_site + every for site in sites]

    def rerouted(self, rows: I64, now_ns: int) -> None:
        """Take note that the routes under some rows have changed."""
        self.truth.rerouted(rows)
        self._fates.rerouted(rows, now_ns)

    def judge(self, now_ns: int) -> None:
        """Judge the ways that may have become better or worse."""
        self._follow(now_ns)
        entries, self._new = distinct(np.concatenate(self._new)), [np.zeros(0, dtype=np.int64)]
        for start in range(0, len(entries), _ENTRIES_AT_ONCE):
            part = entries[start : start + _ENTRIES_AT_ONCE]
            dead, ill = self._states(part)
            shut = dead & (self._ways.first[part] == NO_ROW) & self._others.drops(part)
            self._holes.update(part, dead & ~shut, now_ns)
            self._shut.update(part, shut, now_ns)
            self._misses.update(part, ill & ~shut, now_ns)
        again = distinct(np.concatenate([entries[:0], *self._again]))
        self._again = []
        for patience in (self._holes, self._shut, self._misses):
            self._violated(patience, patience.examine(again, now_ns), now_ns)
        self._led_astray(self._astray.look(self._standing, now_ns), now_ns)
        self._outdated(self._fates.look(self._astray.well_ns[0], now_ns), now_ns)

    def _follow(self, now_ns: int) -> None:
        """Find the entries whose ways, or whose choices, are not what they were."""
        rows = self.truth.refresh(now_ns)
        if len(rows):
            both = np.concatenate([rows, self.truth.reverse[rows]])
            self._new.append(self._ways.crossing(both))
            watched = self._watched()
            self._again.append(watched[self._others.concerned(watched, both)])
        agents, before = self._world.agents, self._standing
        away_ns = np.where(before.running & ~agents.running, now_ns, before.away_ns)
        now = Standing(agents.running.copy(), agents.reached.copy(), agents.lan_up.copy(), away_ns)
        self._standing = now
        if any(not np.array_equal(a, b) for a, b in zip(now[:3], before[:3], strict=True)):
            sites = before.running != now.running
            own = hits(np.repeat(sites, self._space.per_site))
            self._new += [own, self._towards(~now.lan_up | ~before.lan_up)]
            self._again.append(self._watched())

    def _watched(self) -> I64:
        return np.concatenate([p.examined for p in (self._holes, self._shut, self._misses)])

    def _towards(self, sites: Bools) -> I64:
        """Return the entries of all sites whose destination has any of some sites for a home."""
        homes = sites[self._world.overlay.home].any(axis=1)
        own = hits(np.repeat(homes, self._space.classes))
        first = np.arange(self._space.sites, dtype=np.int64) * self._space.per_site
        return (first[:, None] + own[None, :]).ravel()

    def _states(self, entries: I64) -> tuple[Bools, Bools]:
        """Tell whose ways deliver nothing, and whose break the SLA, whatever else there is."""
        rules = self._rules
        site, number = entries // self._space.per_site, entries % self._space.classes
        variant = rules.of_site[site]
        first, second = self._ways.first[entries], self._ways.second[entries]
        away = ~self._is_home(entries)
        dead = away & self._delivers_nothing(entries, first, second)
        ill = away & rules.limited[variant, number] & self._standing.running[site]
        at = hits(ill)
        figures = self.truth.figures(first[at], second[at])
        ill[at] = rules.violates(figures, variant[at], number[at])
        return dead, ill

    def _could_deliver(self, entries: I64) -> Bools:
        return self._others.deliver(entries, self._standing)

    def _could_keep(self, entries: I64) -> Bools:
        return self._others.keep(entries, self._standing)

    def _is_home(self, entries: I64) -> Bools:
        site, rest = np.divmod(entries, self._space.per_site)
        return self._world.overlay.is_home(site, rest // self._space.classes)

    def _delivers_nothing(self, entries: I64, first: I32, second: I32) -> Bools:
        """Tell which ways are dead, or end at a dead LAN of which the sender could know."""
        loss, stand = self.truth.loss_ppm, self._standing
        dead = (loss[first] >= PPM) | (loss[second] >= PPM)
        if not stand.lan_up.all():
            end, site = self._ways.ends(entries), entries // self._space.per_site
            both = stand.reached & stand.running
            dead |= (end >= 0) & ~stand.lan_up[end] & both[end] & both[site]
        return dead

    # ------------------------------------------------------------ words

    def _violated(self, patience: Patience, entries: I64, now_ns: int) -> None:
        keeps = patience is self._misses
        check = "sla_misses" if keeps else "black_holes"
        self._found.add(check, len(entries))
        what, would = (
            ("breaks the SLA", "would keep it") if keeps else ("delivers nothing", "would deliver")
        )
        for entry in entries[: self._found.room(check)].tolist():
            other = self._others.example(entry, self._standing, keeps=keeps)
            path, better = self._path(entry, int(self._ways.first[entry])), self._path(entry, other)
            since = f"for more than {patience.bound_ns // MS} ms, though {better} {would}"
            self._tell(check, now_ns, entry, f"{path or 'no path'} {what} {since}", path)

    def _led_astray(self, entries: I64, now_ns: int) -> None:
        self._found.add("astray", len(entries))
        for entry in entries[: self._found.room("astray")].tolist():
            path = self._path(entry, int(self._ways.first[entry]))
            bound_ms = self._astray.bound_ns // MS
            what = f"{path} leads through a site unheard for more than {bound_ms} ms"
            self._tell("astray", now_ns, entry, f"{what}, though there is another way", path)

    def _outdated(self, entries: I64, now_ns: int) -> None:
        self._found.add("stale_fates", len(entries))
        for entry in entries[: self._found.room("stale_fates")].tolist():
            path = self._path(entry, int(self._world.dataplane.table.rows[entry, 0]))
            what = f"{path} has a backup that is called disjoint, or not, by routes of before"
            self._tell("stale_fates", now_ns, entry, what, path)

    def _path(self, entry: int, row: int) -> str:
        return path_name(self._world.overlay, row, self._space.key(entry).destination)

    def _tell(self, check: str, at_ns: int, entry: int, what: str, path: str = "") -> None:
        overlay, key = self._world.overlay, self._space.key(entry)
        name = self._world.scenario.policy.classes[key.traffic_class].name
        whom = f"{overlay.sites[key.site]} to {overlay.destinations[key.destination].name}, {name}"
        self._found.tell(Finding(at_ns, check, entry, path, f"{whom}: {what}"))


def _in_time(places: I64, at_ns: I64) -> I64:
    """Return places of moves, earliest first: how wide a slot is must not say which are told."""
    return places[np.argsort(at_ns[places], kind="stable")]
