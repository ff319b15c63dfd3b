"""What is asked of a what-if study, and what is told on the way."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from patronus.engine.units import SECOND
from patronus.sim.expectation import Expectation, parse
from patronus.sim.faults.selectors import Network
from patronus.sim.scenario import Scenario
from patronus.sim.whatif.failures import SINGLE, Failure, FailureKind, singles
from patronus.sim.whatif.pairs import JOIN, paired, sample

T0_NS: Final = SECOND
"""When a failure begins: after one whole second in which all is well can be seen."""

WATCHED_NS: Final = 10 * SECOND
"""How long a failure is watched at most, if nothing else is said."""

_OWN: Final = frozenset({"fault", "kind"})
"""What an expectation selects by that is about faults."""


class WhatIfError(ValueError):
    """A study that cannot be made; the message says why and what to change."""


@dataclass(frozen=True, slots=True)
class Orders:
    """One study."""

    scenario: Scenario
    """Its faults are left out, and it ends when failures have been watched for long enough."""
    seed: int
    only: tuple[FailureKind, ...] = SINGLE
    pairs: int = 0
    """So many pairs besides the single failures."""
    pairs_seed: int = 1
    picked: tuple[str, ...] = ()
    """Only these ids; empty: all."""
    jobs: int = 1
    full: bool = False
    whole: bool = False
    expectations: tuple[Expectation, ...] = ()
    """Judged on each failure."""

    def failures(self, network: Network) -> list[Failure]:
        """Return the failures of the study, in the order of their names' positions.

        Raises:
            WhatIfError: there is none, or an id that nothing has.
        """
        if self.picked:
            return find(self.picked, self.scenario, network)
        found = singles(self.scenario, network, T0_NS, self.only)
        if not found:
            kinds = ", ".join(self.only)
            raise WhatIfError(f"{self.scenario.name} has nothing of this kind: {kinds}")
        if self.pairs:
            found += sample(found, self.scenario, network, self.pairs, self.pairs_seed)
        return found


def prepare(scenario: Scenario, watched_ns: int) -> tuple[Scenario, tuple[Expectation, ...]]:
    """Return a scenario as a study takes it, and those of its expectations that can be judged.

    Those that speak of one of the scenario's own faults are left out with them, and ``@`` is
    dropped: a failure is simulated once.

    Raises:
        WhatIfError: the scenario is none to ask such questions of.
    """
    if not scenario.traffic:
        raise WhatIfError(
            f"{scenario.name} offers no traffic, so no class can break its SLA; "
            "say under `traffic:` who sends what to whom"
        )
    if scenario.cold or scenario.warmup_ns <= 0:
        raise WhatIfError(
            f"{scenario.name} starts cold, but failures are studied from a converged overlay; "
            "give it a warm-up (`--set start=converged`)"
        )
    judged = tuple(replace(parse(text), confidence=None) for text in judged_lines(scenario))
    return replace(scenario, faults=(), duration_ns=T0_NS + watched_ns), judged


def judged_lines(scenario: Scenario) -> list[str]:
    """Return the expectations that do not speak of the scenario's own faults."""
    lines = [line.text for line in scenario.expectations]
    return [text for text in lines if not _OWN & {key for key, _ in parse(text).query.select}]


def find(ids: Sequence[str], scenario: Scenario, network: Network) -> list[Failure]:
    """Return failures by their ids.

    Raises:
        WhatIfError: nothing is called so; the message names what is.
    """
    known = {f.id: f for f in singles(scenario, network, T0_NS)}

    def one(name: str) -> Failure:
        if name not in known:
            raise WhatIfError(_unknown(name, known))
        return known[name]

    found = []
    for name in ids:
        first, _, second = name.partition(JOIN)
        found.append(paired(one(first), one(second)) if second else one(first))
    return found


def _unknown(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    kinds = ", ".join(SINGLE)
    hint = f"did you mean {close[0]}?" if close else f"an id begins with one of {kinds}"
    return f"there is no failure {name!r} here; {hint}"
