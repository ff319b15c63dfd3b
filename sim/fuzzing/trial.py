"""Runs one schedule and judges it, leaving out everything that only reports need."""

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from patronus.engine.units import SECOND
from patronus.sim.fuzzing.drawing import INVARIANTS
from patronus.sim.scenario import Scenario
from patronus.sim.wire import WINDOW_NS
from patronus.sim.world import World

CRASH: Final = "crash"
"""The program itself broke off; what says is its error."""

_AT_ONCE: Final = tuple(name for name in INVARIANTS if name != "unrecovered")
"""Those that are known as soon as they are broken."""

WARMUP: Final = "warm-up"
"""Nothing had happened, and the overlay did not converge."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one schedule."""

    check: str = ""
    """The first invariant that was broken, "" if none was."""
    count: int = 0
    told: str = ""
    """What was seen first."""
    journal: str = ""
    """SHA-256 of the journal as far as it was written; empty after a crash."""
    at_ns: int = -1
    """When it was seen, -1 for no single time."""

    def __bool__(self) -> bool:
        """Tell whether there is a finding."""
        return bool(self.check)

    def like(self, other: "Verdict") -> bool:
        """Tell whether two findings are of one kind; crashes are if they are at one place."""
        crash = self.check == CRASH
        where = [v.told.partition(":")[0] for v in (self, other)]
        return self.check == other.check and (not crash or where[0] == where[1])


class _Enough(Exception):
    """Something is broken already; the rest of the run can tell no more."""


def judge(
    scenario: Scenario,
    *,
    lazy: bool = False,
    slot_ns: int = WINDOW_NS,
    whole: bool = False,
) -> Verdict:
    """Run a schedule under its own seed and say what it breaks.

    Args:
        scenario: which.
        lazy: as of :class:`World`; it must change nothing.
        slot_ns: likewise.
        whole: run to the end, whatever is broken before.
    """
    try:
        world = World(scenario, scenario.seed, lazy=lazy, slot_ns=slot_ns, reported=False)
        return _judge(world, whole=whole)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what we are looking for
        return Verdict(CRASH, 1, _where(error))


def _judge(world: World, *, whole: bool) -> Verdict:
    checks = world.checkers

    def look(now_ns: int) -> None:
        if any(getattr(checks, name) for name in _AT_ONCE):
            raise _Enough

    try:
        world.run(progress=None if whole else look)
    except _Enough:
        pass
    else:
        if not world.converged:
            what = "the overlay does not converge before anything happens"
            return Verdict(WARMUP, 1, what, world.engine.journal.journal_sha256)
    counts = {name: getattr(checks, name) or 0 for name in INVARIANTS}
    broken = next((name for name in INVARIANTS if counts[name]), "")
    first = next((f for f in checks.findings if f.check == broken), None)
    told = f"{first.at_ns / SECOND:.3f} s: {first.text}" if first else ""
    journal, at_ns = world.engine.journal.journal_sha256, first.at_ns if first else -1
    return Verdict(broken, counts.get(broken, 0), told, journal, at_ns)


def _where(error: Exception) -> str:
    """Return an error with the place that raised it, the same for whoever meets it again."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}, in {frames[-1].name}" if frames else "nowhere"
    return f"{type(error).__name__} in {place}: {error}"[:500]
