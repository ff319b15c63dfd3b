"""Small sweeps, and places that lose points, for the tests beside."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from patronus.sim.footprint import Memory
from patronus.sim.language.loading import draft
from patronus.sim.sweep.axes import axis
from patronus.sim.sweep.figures import Figure
from patronus.sim.sweep.grid import Grid
from patronus.sim.sweep.places import Answer
from patronus.sim.sweep.points import DONE, Batch, Record, Task

SCENARIO = """\
version: 1
topology: {sites: [berlin, oslo, rome]}
transports: [mpls, broadband]
duration: 3s
warmup: 4s
traffic:
  - {class: default, from: all, to: all, rate: 1Mbps}
faults:
  - {kind: blackhole, name: cut, at: 1s, for: 1s, on: {site: rome, transport: mpls}}
expect:
  - failover.max < 600ms
"""
"""As quick to run as anything in which something is decided."""


AMPLE = Memory(2**40)


def file(folder: Path, name: str = "cut", text: str = SCENARIO) -> Path:
    """Write a scenario file."""
    path = folder / f"{name}.patronus.yml"
    path.write_text(text)
    return path


def grid(
    folder: Path, *params: str, seeds: Sequence[int] = (), settings: Sequence[str] = ()
) -> Grid:
    """Return a grid over the small scenario."""
    path = folder / "cut.patronus.yml"
    if not path.exists():
        file(folder)
    return Grid([draft(path)], [axis(text) for text in params], seeds, settings=settings)


def record(task: Task, **changes: object) -> Record:
    """Return a made-up record of a point that took no time."""
    figures: dict[str, Figure] = {
        "verdict": "pass",
        "counts.sites": 3,
        "failover.p99_ms": float(task.number),
    }
    made = Record(task.number, task.seed, DONE, "cut", figures=figures)
    return replace(made, **changes)  # type: ignore[arg-type]  # whatever a test wants


class Invented:
    """A place that makes records up; points that kill workers are never answered."""

    def __init__(
        self,
        workers: int = 2,
        *,
        deadly: Sequence[int] = (),
        took_s: float = 0.1,
        memory: Memory = AMPLE,
        before: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        """Say how many workers there seem to be, which points kill them, how long points take."""
        self.workers, self.memory, self.took_s = workers, memory, took_s
        self.deadly, self.before = set(deadly), before
        self.batches: list[list[int]] = []
        self._waiting: deque[Batch] = deque()

    @property
    def room(self) -> int:
        """As of a cluster."""
        return 3 * self.workers - len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a batch waits."""
        return bool(self._waiting)

    def submit(self, batch: Batch) -> None:
        """Take a batch."""
        self.batches.append([task.number for task in batch.tasks])
        self._waiting.append(batch)

    def wait(self) -> Answer:
        """Answer the last batch first: order is nobody's promise."""
        batch = self._waiting.pop()
        self.before(batch)
        if self.deadly.intersection(task.number for task in batch.tasks):
            return Answer(batch, None)
        return Answer(
            batch, tuple(record(t, wall_s=5 * self.took_s, cpu_s=self.took_s) for t in batch.tasks)
        )
