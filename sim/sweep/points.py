"""Running points: what a worker is given, and what it gives back.

This is all that happens on a worker. Whatever goes wrong with a point becomes its record,
so that one bad point costs itself alone.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

from patronus.sim.crew import Orders
from patronus.sim.language import ScenarioError
from patronus.sim.sweep.figures import Figure, figures
from patronus.sim.sweep.identity import Identity, identity

DONE: Final = "done"
FAILED: Final = "failed"

_ONE_AT_A_TIME: Final = threading.Lock()
"""A worker may have many threads; runs side by side in one process are no quicker, and take
the memory of many where that of one was counted with."""


@dataclass(frozen=True, slots=True)
class Task:
    """A point with all that is needed to run it."""

    number: int
    seed: int
    orders: Orders


@dataclass(frozen=True, slots=True)
class Batch:
    """Points that are run one after the other, so that handing them out costs little."""

    tasks: tuple[Task, ...]
    identity: Identity
    """Of whoever asks; another program would give other figures."""


@dataclass(frozen=True, slots=True)
class Record:
    """What came of a point."""

    number: int
    seed: int
    status: str
    """``done`` or ``failed``."""
    scenario: str = ""
    """Name of the scenario, which a parameter may have changed."""
    error: str = ""
    """Why it failed, in one line."""
    figures: dict[str, Figure] | None = None
    wall_s: float = 0.0
    """How long the run took; not part of the results."""
    cpu_s: float = 0.0
    peak_mb: int = 0
    """The worker's peak memory so far."""

    @property
    def failed(self) -> bool:
        """Whether there are no figures."""
        return self.status == FAILED


class StrangerError(RuntimeError):
    """A worker runs another Patronus than whoever asks."""


def work(batch: Batch) -> tuple[Record, ...]:
    """Run a batch; the records come in its order.

    Raises:
        StrangerError: this is another Patronus; nothing was run.
        KeyboardInterrupt: Ctrl-C, in the process of whoever asks.
    """
    mine = identity()
    if mine != batch.identity:
        raise StrangerError(f"it has {mine}, the sweep {batch.identity}")
    with _ONE_AT_A_TIME:
        return tuple(attempt(task) for task in batch.tasks)


def attempt(task: Task) -> Record:
    """Run one point, and make a record of it whatever happens."""
    wall, cpu = perf_counter(), process_time()
    name = task.orders.scenario.name
    try:
        run = task.orders.carry_out(task.seed)
    except Exception as error:  # noqa: BLE001  # the point has failed, whatever it was
        return failure(task, told(error))
    if run.summary["interrupted"]:
        raise KeyboardInterrupt
    return Record(
        task.number,
        task.seed,
        DONE,
        name,
        figures=figures(run.summary),
        wall_s=perf_counter() - wall,
        cpu_s=process_time() - cpu,
        peak_mb=run.summary["peak_rss_mb"],
    )


def failure(task: Task, why: str) -> Record:
    """Return the record of a point that could not be run."""
    return Record(task.number, task.seed, FAILED, task.orders.scenario.name, why)


def told(error: Exception) -> str:
    """Return an error in one line: the first mistake of a scenario, or its kind and place."""
    if isinstance(error, ScenarioError):
        return mistaken(error)
    at = _place(error)
    return " ".join(f"{type(error).__name__}: {error}{at}".split())


def mistaken(error: ScenarioError) -> str:
    """Return the first mistake of a scenario in one line."""
    first, *others = error.mistakes
    more = f" (and {len(others)} more)" if others else ""
    return " ".join(f"{first}{more}".split())


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"


def spread_out(batch: Batch) -> Sequence[Batch]:
    """Return a batch for each point of one."""
    return [Batch((task,), batch.identity) for task in batch.tasks]
