"""From a finding to the smallest scenario that still shows it.

Delta debugging: each *cut* proposes smaller scenarios, the first that breaks the same
invariant is kept, and the cut goes on from there; when no cut finds anything, it is
over. Luck is keyed by names, so what is taken away changes nothing for what stays, and
most cuts succeed at once. The same finding always shrinks to the same scenario.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from patronus.engine.units import SECOND
from patronus.sim.fuzzing.cuts import FINE, ROUGH, Cut
from patronus.sim.fuzzing.trial import Verdict, judge
from patronus.sim.language.writing import document
from patronus.sim.scenario import FaultSpec, Scenario

Item = TypeVar("Item")

TRIALS: Final = 400
"""So many runs at most."""


class Shrinker:
    """Shrinks one finding; counts the runs that it took."""

    def __init__(
        self,
        verdict: Verdict,
        *,
        trials: int = TRIALS,
        test: Callable[[Scenario], Verdict] = judge,
        told: Callable[[Scenario, int], object] | None = None,
    ) -> None:
        """Prepare.

        Args:
            verdict: what is to stay true: the same invariant is broken.
            trials: runs at most.
            test: runs a scenario.
            told: called with the smallest scenario so far and the runs made.
        """
        self.verdict = verdict
        self.trials = 0
        self._most, self._test, self._told = trials, test, told

    def shrink(self, scenario: Scenario) -> Scenario:
        """Return the smallest scenario found; the given one breaks the invariant."""
        best = self._faults(self._shorten(scenario))
        for cuts in (ROUGH, (*ROUGH, *FINE)):
            before = None
            while best != before and self.trials < self._most:
                before = best
                for cut in cuts:
                    best = self._follow(best, cut)
                best = self._faults(best)
        return best

    # ------------------------------------------------------------ steps

    def _follow(self, best: Scenario, cut: Cut) -> Scenario:
        """Take a cut's proposals as long as any is good."""
        while True:
            proposals = (smaller for smaller in cut(best) if smaller != best)
            found = next(filter(self._shows, proposals), None)
            if found is None:
                return best
            best = found

    def _shorten(self, scenario: Scenario) -> Scenario:
        """Leave out what comes after the first sight of the finding."""
        at_ns = self.verdict.at_ns
        if at_ns < 0 or self.verdict.check == "unrecovered":  # which the end alone can show
            return scenario
        faults = tuple(f for f in scenario.faults if f.schedule.at_ns < at_ns)
        shorter = replace(
            scenario,
            faults=faults,
            duration_ns=min(scenario.duration_ns, (at_ns // SECOND + 1) * SECOND),
        )
        return shorter if self._shows(shorter) else scenario

    def _faults(self, scenario: Scenario) -> Scenario:
        """Take away faults: first great parts of them, in the end one by one."""
        faults = scenario.faults

        def good(some: Sequence[FaultSpec]) -> bool:
            return self._shows(replace(scenario, faults=tuple(some)))

        return replace(scenario, faults=tuple(fewest(faults, good)))

    def _shows(self, scenario: Scenario) -> bool:
        """Tell whether a scenario breaks the same invariant; each is tried once."""
        if self.trials >= self._most or not _sayable(scenario):
            return False
        self.trials += 1
        shown = self._test(scenario).like(self.verdict)
        if shown and self._told is not None:
            self._told(scenario, self.trials)
        return shown


def fewest(items: Sequence[Item], good: Callable[[Sequence[Item]], bool]) -> Sequence[Item]:
    """Return a part of some items that is good and of which no single one can be spared.

    Zeller's ddmin without its test of single parts, which seldom succeeds where two
    things must come together: parts of half the size are taken away in turn.
    """
    if items and good(()):
        return ()
    size = len(items) // 2
    while size >= 1:
        start, removed = 0, False
        while start < len(items):
            rest = [*items[:start], *items[start + size :]]
            if good(rest):
                items, removed = rest, True
            else:
                start += size
        size = size if removed and size == 1 else size // 2
    return items


def _sayable(scenario: Scenario) -> bool:
    """Tell whether the language can say it: a half-applied policy may take nothing back."""
    try:
        document(scenario)
    except ValueError:
        return False
    return True
