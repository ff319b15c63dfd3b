"""Invariants, watched from outside: forwarding tables and the wire's truth, no engine state.

    loops         a walk of the tables comes back to a site
    black_holes   packets vanish for longer than the bound though another way delivers
    flaps         an entry returns to a tunnel that it left within the last 10 s
    sla_misses    an SLA is broken for longer than its bound though another way keeps it
    hasty         an entry moves onto a tunnel that has not kept its proof for the hold
    astray        a way leads through a site unheard for longer than the policy's patience
    stale_fates   a backup is called disjoint, or not, by routes that are no more
    unrecovered   something is left of the faults long after the last one
    conservation  packets or bits that are offered do not add up with their fates

Moves come in as they happen and are looked at when a slot has ended; what lasts is
judged on the grid of 100 ms, so nothing depends on how time is cut into slots. Only
entries that moved, or whose ways cross a tunnel that changed, are looked at; once a
second all tables are compared, in case one moved that nobody told of.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from patronus.dataplane.protocol import KernelMoves
from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.engine.policy import Policy
from patronus.engine.units import SECOND
from patronus.sim.checks import conservation
from patronus.sim.checks.findings import Finding, Findings
from patronus.sim.checks.rules import Rules, bound_ns, recovery_bounds_ns, sla_bound_ns, slack_ppm
from patronus.sim.checks.tables import Tables
from patronus.sim.checks.truth import longest_ns
from patronus.sim.comb import Teeth
from patronus.sim.congestion import Congestion
from patronus.sim.tally import Second
from patronus.sim.wire import WINDOW_NS

if TYPE_CHECKING:
    from patronus.sim.world import World


class Checkers:
    """Counts what must not happen, from the start of the scenario on."""

    def __init__(self, world: "World") -> None:
        self._world = world
        policy, control = world.scenario.policy, world.scenario.control
        spread_ns, rtt_ns = control.delay_ns + control.jitter_ns, longest_ns(world.wire)
        transports = world.overlay.transports
        self.bound_ns = bound_ns(policy, transports, spread_ns=spread_ns, rtt_ns=rtt_ns)
        self.recovery_bounds_ns = recovery_bounds_ns(
            policy,
            transports,
            spread_ns=spread_ns,
            rtt_ns=rtt_ns,
            reroute_ns=max(p.reroute_ns for p in world.underlay.providers),
        )
        """By class."""
        self.sla_bound_ns = sla_bound_ns(policy, self.bound_ns)
        slack = slack_ppm(policy, world.overlay.transports, self.sla_bound_ns)
        self._rules = Rules(world.overlay, policy, slack_ppm=slack)
        self._found = Findings()
        self._moves: list[tuple[I64, I64, I32]] = []
        self._tables: Tables | None = None
        self._ledger = conservation.Ledger(len(world.load.entries))
        if world.scenario.cold:
            self.start()

    # ------------------------------------------------------------ results

    @property
    def loops(self) -> int:
        """Cycles in the tables, each counted once per appearance."""
        return self._found.count("loops")

    @property
    def black_holes(self) -> int:
        """Entries that lost everything for too long, each counted once per time."""
        return self._found.count("black_holes")

    @property
    def flaps(self) -> int:
        """Returns to a tunnel that was left shortly before."""
        return self._found.count("flaps")

    @property
    def sla_misses(self) -> int:
        """Entries outside their SLA for too long, each counted once per time."""
        return self._found.count("sla_misses")

    @property
    def hasty(self) -> int:
        """Moves onto tunnels that had not proven themselves for their hold."""
        return self._found.count("hasty")

    @property
    def astray(self) -> int:
        """Entries that led through a site unheard for too long, each counted once per time."""
        return self._found.count("astray")

    @property
    def stale_fates(self) -> int:
        """Entries that went by old routes, each counted once per change of a route."""
        return self._found.count("stale_fates")

    @property
    def conservation(self) -> int:
        """Slots of a comb, seconds of a flow, and turns of the fluid that do not balance."""
        return self._found.count("conservation")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The first violations of each check in words."""
        return self._found.kept

    @cached_property
    def unrecovered(self) -> int | None:
        """What is left of the faults at the end; None where that comes too soon after them."""
        occurrences = self._world.timeline.occurrences
        quiet_ns = self._world.now_ns - max((o.end_ns for o in occurrences), default=0)
        due = quiet_ns >= self.recovery_bounds_ns
        if self._tables is None or not due.any():
            return None
        return self._tables.left(due)

    def shared_fate(self) -> int:
        """Return how many entries have no disjoint backup at the end."""
        return int(self._world.dataplane.table.shared_fate.sum())

    # ------------------------------------------------------------ what the world reports

    def start(self) -> None:
        """Time zero: from now on it counts."""
        self._moves = []
        self._tables = Tables(
            self._world,
            self._rules,
            self._found,
            bound_ns=self.bound_ns,
            sla_bound_ns=self.sla_bound_ns,
            shut_bound_ns=int(self.recovery_bounds_ns.max()),
        )

    def foresee(self) -> None:
        """Take note of the world's timeline."""
        if self._tables is not None:
            self._tables.truth.foresee(self._world.timeline, self._world.seed)

    def kernel(self, moves: KernelMoves) -> None:
        """Kernels moved entries by themselves."""
        self._moves.append((moves.at_ns, moves.entries, moves.to_rows))

    def moved(self, at_ns: int, entries: I64, rows: I32) -> None:
        """Installed decisions moved entries."""
        self._moves.append((np.full(len(entries), at_ns, dtype=np.int64), entries, rows))

    def rerouted(self, rows: I64) -> None:
        """A provider has changed the routes under some tunnels."""
        if self._tables is not None:
            self._tables.rerouted(rows, self._world.now_ns)

    def configured(self, sites: Sequence[int], policy: Policy | None) -> None:
        """Some sites run another policy now (None: the common one)."""
        self._rules.configure(sites, policy)
        if self._tables is not None:
            self._tables.configured(sites)

    def comb(self, keys: U64, start_ns: int, until_ns: int, teeth: Teeth) -> None:
        """The packets of a slot, the flows' first."""
        wrong = conservation.leaking(keys, start_ns, until_ns, teeth)
        self._ledger.book(keys, start_ns, until_ns, teeth)
        if wrong.any():
            self._leak(int(wrong.sum()), f"{int(wrong.sum())} combs do not balance in a slot")

    def second(self, second: Second) -> None:
        """What the tally says of the flows' last second."""
        differ = self._ledger.close(second)
        if differ.any():
            self._leak(int(differ.sum()), f"{int(differ.sum())} flows are tallied wrongly")

    def fluid(self, offered_bps: I64, state: Congestion) -> None:
        """The flows have been put on the wires."""
        spilt = conservation.spilt_bps(offered_bps, state)
        if spilt:
            self._leak(1, f"{spilt} bit/s of the fluid are unaccounted for")

    def _leak(self, number: int, text: str) -> None:
        self._found.add("conservation", number)
        self._found.tell(Finding(self._world.now_ns, "conservation", -1, "", text))

    def end(self, until_ns: int) -> None:
        """A slot has ended."""
        moves, self._moves = self._moves, []
        if self._tables is None:
            return
        self._tables.take(moves)
        if until_ns % WINDOW_NS == 0:
            if until_ns % SECOND == 0:
                self._tables.audit(until_ns)
            self._tables.judge(until_ns)
