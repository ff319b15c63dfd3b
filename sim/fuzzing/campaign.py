"""A search: schedule after schedule, here or in worker processes, until it is enough.

Schedules are independent, so it does not matter who runs which; they are noted as they
end. Findings are shrunk when the schedules are through, a few of each kind, since a
thousand of one kind are one bug.
"""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import count, islice
from time import monotonic
from typing import Any, Final

from patronus.sim.crew import CrewError, serve
from patronus.sim.fuzzing.attempts import Attempt, Shrunk, attempt, shrink, story
from patronus.sim.fuzzing.drawing import draw
from patronus.sim.fuzzing.ledger import Ledger
from patronus.sim.fuzzing.shrinking import TRIALS
from patronus.sim.fuzzing.trial import Verdict
from patronus.sim.language.writing import text
from patronus.sim.scenario import Scenario

SHRUNK_OF_EACH: Final = 3
"""So many findings of one invariant are shrunk; all are kept as they were drawn."""

_AHEAD: Final = 2
"""Schedules that wait for each worker."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to search, and how long."""

    seed: int
    sites: int | None = None
    schedules: int | None = None
    """Numbers below this one; None: without end."""
    seconds: float | None = None
    """No schedule is begun later than this after the start."""
    jobs: int = 1
    trials: int = TRIALS
    """Runs that shrinking a finding may take."""


class Campaign:
    """One search; a context manager that ends its workers."""

    def __init__(
        self, wanted: Wanted, ledger: Ledger, told: Callable[[str, float], object] | None = None
    ) -> None:
        """Prepare.

        Args:
            wanted: what to search.
            ledger: what was tried before, and where to note what is tried now.
            told: called with what is being done, and how much of it is done.
        """
        self._wanted, self._ledger, self._told = wanted, ledger, told
        self._began = monotonic()

    # ------------------------------------------------------------ searching

    def search(self) -> None:
        """Run the schedules that were not tried yet.

        Raises:
            CrewError: a worker died; what was noted is on disk.
        """
        if self._wanted.jobs > 1:
            self._search_together()
            return
        for number in self._numbers():
            self._note(attempt(self._wanted.seed, number, self._wanted.sites))

    def _search_together(self) -> None:
        jobs, seed, sites = self._wanted.jobs, self._wanted.seed, self._wanted.sites
        others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=serve)
        numbers = self._numbers()
        running: set[Future[Attempt]] = set()
        try:
            while True:
                for number in islice(numbers, jobs * _AHEAD - len(running)):
                    running.add(pool.submit(attempt, seed, number, sites))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._note(future.result())
        except BrokenProcessPool as error:
            why = "a worker process died; perhaps there is not enough memory for so many jobs"
            raise CrewError(why) from error
        finally:
            mine = [c for c in multiprocessing.active_children() if c not in others]
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in mine:
                worker.kill()
            for worker in mine:
                worker.join()

    def _numbers(self) -> Iterator[int]:
        wanted = self._wanted
        for number in count() if wanted.schedules is None else range(wanted.schedules):
            if number in self._ledger.tried:
                continue
            if wanted.seconds is not None and monotonic() - self._began >= wanted.seconds:
                return
            yield number

    def _note(self, done: Attempt) -> None:
        if done.verdict:
            wanted = self._wanted
            drawn = draw(wanted.seed, done.number, wanted.sites)
            head = f"Schedule {done.number}: {done.verdict.check}\n{done.verdict.told}"
            self._ledger.keep(done.number, done.verdict.check, text(drawn, head), small=False)
        self._ledger.note(done)
        if self._told is not None:
            self._told(self._state(), self._share())

    def _state(self) -> str:
        tried, found = len(self._ledger.tried), len(self._ledger.findings)
        return f"{tried} schedules, {found} finding{'s' * (found != 1)}"

    def _share(self) -> float:
        wanted = self._wanted
        shares = [0.0]
        if wanted.schedules:
            shares.append(len(self._ledger.tried) / wanted.schedules)
        if wanted.seconds:
            shares.append((monotonic() - self._began) / wanted.seconds)
        return min(1.0, max(shares))

    # ------------------------------------------------------------ shrinking

    def shrink(self) -> None:
        """Shrink the first findings of each kind that are not shrunk yet."""
        of_each: Counter[str] = Counter()
        for record in self._ledger.findings:
            check = record["check"]
            of_each[check] += 1
            if of_each[check] <= SHRUNK_OF_EACH and not self._ledger.shrunk(
                record["number"], check
            ):
                self._shrink(record)

    def _shrink(self, record: dict[str, Any]) -> None:
        number, wanted = record["number"], self._wanted
        verdict = Verdict(record["check"], record["count"], record["told"], at_ns=record["at_ns"])
        drawn = draw(wanted.seed, number, wanted.sites)

        def told(scenario: Scenario, trials: int) -> None:
            self._keep(drawn, Shrunk(number, scenario, verdict, trials, 0.0))
            if self._told is not None:
                self._told(f"shrinking {number}: {len(scenario.faults)} faults", 0.0)

        found = shrink(drawn, number, verdict, trials=wanted.trials, told=told)
        path = self._keep(drawn, found)
        self._ledger.finish(
            number,
            verdict.check,
            {
                "number": number,
                "check": verdict.check,
                "told": found.verdict.told,
                "faults_before": len(drawn.faults),
                "faults": len(found.scenario.faults),
                "sites": len(found.scenario.topology.sites),
                "runs": found.trials,
                "wall_s": round(found.wall_s, 3),
                "file": path,
            },
        )

    def _keep(self, drawn: Scenario, found: Shrunk) -> str:
        wanted = self._wanted
        content = story(wanted.seed, wanted.sites, len(drawn.faults), found)
        path = self._ledger.keep(found.number, found.verdict.check, content, small=True)
        return path.name
