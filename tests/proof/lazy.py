"""Prove that lazy mode decides what event mode decides: random scenarios, equal journals.

    python -m tests.proof.lazy [--scenarios 200] [--first 1] [--sites 18] [--seconds 20]

Each scenario is drawn from its number (:mod:`tests.sim.weather`): up to ``--sites`` sites
in a full mesh over two or three transports with loss and jitter, sometimes with equal
scores, and four faults, so that a few in a row have every kind. It runs in both modes;
journals must be equal byte for byte, and so must what the probes met. A proof in which
hardly anybody slept, or hardly anybody woke, proves nothing: half of the scenarios must
have woken at least a fifth of the rows that slept.

Exit code: 0 all agree, 1 some do not, 3 they agree but too few rows woke.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from patronus.engine.units import SECOND
from patronus.sim.scenario import FaultKind, Scenario
from patronus.sim.sleepers import REASONS, Sleepers
from patronus.sim.world import World
from tests.sim.weather import scenario


@dataclass(frozen=True, slots=True)
class Result:
    """What both modes made of one scenario."""

    equal: bool
    tunnels: int
    decisions: int
    asleep: float
    """Share of the rows over time that were not simulated."""
    woken: float
    """Share of the rows that slept and woke again before the end."""
    wakes: Counter[str]
    kinds: frozenset[FaultKind]


def both(drawn: Scenario) -> Result:
    """Run a scenario in both modes."""
    journals: list[list[bytes]] = [[], []]
    plain, lazy = (
        World(drawn, drawn.seed, sink=journal.append, compiled=True, lazy=mode)
        for mode, journal in zip((False, True), journals, strict=True)
    )
    sleepers = lazy.sleepers
    assert sleepers is not None
    seen = _Seen(sleepers)
    plain.run()
    lazy.run()
    probes = [(w.prober.sent, w.prober.lost, w.engine.journal.count) for w in (plain, lazy)]
    told = sleepers.told(drawn.duration_ns + drawn.warmup_ns)
    return Result(
        equal=journals[0] == journals[1] and probes[0] == probes[1],
        tunnels=plain.overlay.rows,
        decisions=plain.engine.journal.count,
        asleep=1 - told["awake_ppm"] / 1e6,
        woken=seen.share,
        wakes=Counter(told["wakes"]),
        kinds=frozenset(f.kind for f in drawn.faults),
    )


class _Seen:
    """Which rows have slept, and which of them have woken."""

    def __init__(self, sleepers: Sleepers) -> None:
        self._sleepers, self._wake = sleepers, sleepers.wake
        self.slept, self.woke = sleepers.asleep.copy(), sleepers.asleep.copy()
        sleepers.wake = self.wake  # type: ignore[method-assign, assignment]  # looks on

    def wake(self, *given: object) -> object:
        """Note who wakes."""
        before = self._sleepers.asleep.copy()
        woken = self._wake(*given)  # type: ignore[arg-type]  # handed through
        self.slept |= before
        self.woke |= before & ~self._sleepers.asleep
        return woken

    @property
    def share(self) -> float:
        """Of those that slept, who woke."""
        return float(self.woke.sum() / max(1, self.slept.sum()))


def results(numbers: range, sites: int, seconds: int) -> Iterator[tuple[int, Result]]:
    """Yield what became of each scenario."""
    for number in numbers:
        yield number, both(scenario(number, sites=sites, duration_ns=seconds * SECOND))


def main() -> int:
    """Prove it, and print a line for each scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--sites", type=int, default=18)
    parser.add_argument("--seconds", type=int, default=20)
    asked = parser.parse_args()
    numbers = range(asked.first, asked.first + asked.scenarios)
    done: list[Result] = []
    print("scenario  tunnels  decisions  asleep  woken  journals", flush=True)
    for number, one in results(numbers, asked.sites, asked.seconds):
        done.append(one)
        verdict = "equal" if one.equal else "DIFFER"
        print(
            f"{number:8}  {one.tunnels:7}  {one.decisions:9}  {one.asleep:6.0%}  {one.woken:5.0%}"
            f"  {verdict}",
            flush=True,
        )
    return _conclude(done)


def _conclude(done: list[Result]) -> int:
    wakes = sum((one.wakes for one in done), Counter[str]())
    kinds = frozenset[FaultKind]().union(*(one.kinds for one in done))
    awake = sum(one.woken >= 0.2 for one in done)
    print(f"{sum(one.equal for one in done)} of {len(done)} equal, at most", end=" ")
    print(f"{max(one.tunnels for one in done)} tunnels; {len(kinds)} of {len(FaultKind)} kinds")
    print(f"in {awake} of {len(done)} at least a fifth of those that slept woke")
    print("rows woke:", ", ".join(f"{reason} {wakes[reason]}" for reason in REASONS))
    if not all(one.equal for one in done):
        return 1
    return 0 if 2 * awake >= len(done) else 3


if __name__ == "__main__":
    sys.exit(main())
