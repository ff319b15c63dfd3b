"""Two scenarios under the same seeds: an experiment with common random numbers.

Mostly these are one scenario under two policies. Luck is keyed by names, so both meet the
same losses and delays under a seed, however differently they act.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from patronus.sim.comparison import Comparison, Pairs
from patronus.sim.crew import Crew, Orders
from patronus.sim.run import Run
from patronus.sim.scenario import Scenario

_A, _B = 0, 1

_AHEAD = 2
"""So many runs a worker are ordered before they are asked for; each is held when finished."""


def experiment(
    a: Scenario,
    b: Scenario,
    seeds: Iterable[int],
    *,
    jobs: int = 1,
    independent: bool = False,
    alpha: float = 0.05,
) -> Comparison:
    """Run two scenarios under the same seeds and compare them in pairs.

    The result does not depend on ``jobs``.

    Args:
        a: a scenario, from :func:`load` with a policy, for instance.
        b: what it is compared with.
        seeds: at least one, each once.
        jobs: worker processes; see :func:`run_many`.
        independent: run B under as many further seeds, too (those after the largest), so that
            what common luck is worth is simulated and not computed from re-paired runs.
        alpha: the risk that an interval misses the median of its differences.

    Raises:
        ValueError: no seed, or one twice.
        ScenarioError: a scenario cannot be run.
        CrewError: a worker process died.
    """
    chosen = tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError("an experiment needs at least one seed, and each once")
    pairs = Pairs()
    with Crew([Orders(a), Orders(b)], jobs=jobs) as crew:
        gather(pairs, crew, chosen, further(chosen) if independent else ())
    return pairs.comparison(alpha=alpha)


def further(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return as many seeds as there are, none of them the same: those after the largest."""
    first = max(seeds) + 1
    return tuple(range(first, first + len(seeds)))


def gather(pairs: Pairs, crew: Crew, seeds: Sequence[int], alone: Sequence[int] = ()) -> None:
    """Run what an experiment needs and take it pair by pair.

    Args:
        pairs: takes them; what it holds after an error is complete pairs.
        crew: whose orders are those of A and of B.
        seeds: for both.
        alone: for B.

    Raises:
        KeyboardInterrupt: a run was interrupted.
        CrewError: a worker process died.
    """
    both = chain.from_iterable(((_A, seed), (_B, seed)) for seed in seeds)
    runs = _runs(crew, [*both, *((_B, seed) for seed in alone)])
    for _ in seeds:
        pairs.add(next(runs), next(runs))
    for run in runs:
        pairs.add_alone(run)


def _runs(crew: Crew, tasks: Sequence[tuple[int, int]]) -> Iterator[Run]:
    """Yield runs in the order of their (order, seed), while workers are some runs ahead."""
    ahead = _AHEAD * crew.jobs
    for number, seed in tasks[:ahead]:
        crew.start(number, [seed])
    for place, (number, seed) in enumerate(tasks):
        for later, next_seed in tasks[place + ahead : place + ahead + 1]:
            crew.start(later, [next_seed])
        (run,) = crew.runs(number, [seed])
        if run.summary.get("interrupted", False):
            raise KeyboardInterrupt
        yield run
