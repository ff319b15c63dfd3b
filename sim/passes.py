"""Which passes over the dense arrays a world takes: plain ones, or compiled ones where it pays.

A compiled pass takes the rows on which nothing happens but the usual; the engine itself
takes the others.
"""

from importlib import import_module
from types import ModuleType
from typing import Final

import numpy as np

from patronus.engine.engine import Engine
from patronus.engine.overlay import I64, Overlay
from patronus.engine.ranking import terms
from patronus.sim.choosers import Choosers
from patronus.sim.flight import ByBlocks, Flight, numbered, part_of
from patronus.sim.scenario import Scenario

_MANY_PROBES: Final = 3_000_000
"""Compiled passes take half a second to load, plain ones about that for so many probes."""

_PROBES_AN_ENTRY: Final = 4
"""With fewer probes, choosing paths takes the time, and 130 MB of compiler save little of it."""


def passes(scenario: Scenario, overlay: Overlay, compiled: bool | None) -> ModuleType | None:
    """Return ``patronus.sim.compiled``, or None for the plain passes; they do the same.

    ``compiled`` says which; None: whatever is quicker.
    """
    if compiled is None:
        profiles = [scenario.policy.profile(t) for t in overlay.transports]
        simulated_ns = scenario.duration_ns + scenario.warmup_ns
        rounds = simulated_ns // min(p.interval_ns for p in profiles)
        probes = overlay.rows * rounds
        pairs = len(overlay.sites) * len(overlay.destinations)
        entries = pairs * len(scenario.policy.classes)
        compiled = probes > max(_MANY_PROBES, _PROBES_AN_ENTRY * entries)
    return import_module("patronus.sim.compiled") if compiled else None


class Quick:
    """The passes that stand in for an engine where nothing but the usual happens."""

    def __init__(self, passes: ModuleType, engine: Engine, by_blocks: ByBlocks) -> None:
        """Let an engine judge rows by a compiled pass, where its policy allows that.

        Args:
            passes: ``patronus.sim.compiled``.
            engine: whose state they move.
            by_blocks: works through many rows.
        """
        self._passes, self._engine, self._by_blocks = passes, engine, by_blocks
        self._terms = terms(engine.policy)
        if self._terms is not None:
            engine.pass_over = self.judge
        engine.steering.whole.passes = Choosers(passes, by_blocks)

    def observe(self, flight: Flight, span: tuple[int, int], part: slice) -> I64:
        """Take ordinary reflections that came in a span of time to a part of a flight.

        Returns:
            The places of those that are left.
        """
        odd = np.empty(part.stop - part.start, dtype=np.int64)
        times = flight.sent_ns[part], flight.heard_at_ns[part], flight.back_at_ns[part]
        probes = (*times, flight.heard_count[part], flight.ordinal)
        rows = numbered(part_of(flight.rows, part))
        left: int = self._passes.observe(rows, probes, span, self._engine.meters.columns, odd)
        places: I64 = odd[:left] + part.start
        return places

    def judge(self, rows: I64, now_ns: int) -> I64:
        """Judge the rows on which nothing changes; return the places of the others."""
        known = self._engine.meters.window, self._terms, self._engine.ranking.standing

        def block(at: slice) -> I64:
            odd = np.empty(at.stop - at.start, dtype=np.int64)
            left: int = self._passes.judge(rows[at], now_ns, *known, odd)
            places: I64 = odd[:left] + at.start
            return places

        found = self._by_blocks(len(rows), block)
        others: I64 = np.concatenate([np.zeros(0, dtype=np.int64), *found])
        return others
