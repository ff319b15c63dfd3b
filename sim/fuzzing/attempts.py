"""One schedule from its number to what is to be kept of it; what workers do."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from patronus.engine.units import MS, SECOND
from patronus.sim.fuzzing.drawing import draw
from patronus.sim.fuzzing.shrinking import TRIALS, Shrinker
from patronus.sim.fuzzing.trial import Verdict, judge
from patronus.sim.language.writing import text
from patronus.sim.scenario import Scenario

AGAIN_EVERY: Final = 100
"""One schedule of so many runs a second time in another mode."""

MODES: Final = "modes"
"""The same schedule gave another journal where only the way of working it out differed."""

_NARROW_NS: Final = 10 * MS


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one schedule."""

    number: int
    verdict: Verdict
    simulated_s: float
    wall_s: float
    faults: int
    again: bool
    """It also ran in another mode."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest scenario of a finding."""

    number: int
    scenario: Scenario
    verdict: Verdict
    trials: int
    wall_s: float


def attempt(seed: int, number: int, sites: int | None = None) -> Attempt:
    """Run a schedule lazily; one of ``AGAIN_EVERY`` in event mode, too."""
    began = perf_counter()
    scenario = draw(seed, number, sites)
    again = number % AGAIN_EVERY == AGAIN_EVERY - 1
    verdict = alike(scenario) if again else judge(scenario, lazy=True)
    simulated_s = (scenario.duration_ns + scenario.warmup_ns) / SECOND
    faults = len(scenario.faults)
    return Attempt(number, verdict, simulated_s, perf_counter() - began, faults, again)


def alike(scenario: Scenario) -> Verdict:
    """Run a scenario twice: as it is, and lazily with narrow slots."""
    one = judge(scenario, whole=True)
    if one:
        return one
    other = judge(scenario, whole=True, lazy=True, slot_ns=_NARROW_NS)
    if other == one:
        return one
    what = other.told or f"journal {other.journal[:12]}, not {one.journal[:12]}"
    return Verdict(MODES, 1, f"lazily, with narrow slots: {what}")


def shrink(
    scenario: Scenario,
    number: int,
    verdict: Verdict,
    *,
    trials: int = TRIALS,
    told: Callable[[Scenario, int], object] | None = None,
) -> Shrunk:
    """Shrink a finding; arguments as of :class:`Shrinker`."""
    began = perf_counter()
    test = alike if verdict.check == MODES else judge
    shrinker = Shrinker(verdict, trials=trials, test=test, told=told)
    smallest = shrinker.shrink(scenario)
    return Shrunk(number, smallest, test(smallest), shrinker.trials, perf_counter() - began)


def story(seed: int, sites: int | None, was: int, found: Shrunk) -> str:
    """Return the file of a finding, what broke above it; ``was``: its faults before."""
    size = "" if sites is None else f" --sites {sites}"
    now = len(found.scenario.faults)
    return text(
        found.scenario,
        f"Found by `patronus fuzz --seed {seed}{size}` as schedule {found.number}.\n"
        f"Shrunk from {was} faults to {now} in {found.trials} runs.\n"
        f"Broken: {found.verdict.check} ({found.verdict.count})\n"
        f"{found.verdict.told}",
    )
