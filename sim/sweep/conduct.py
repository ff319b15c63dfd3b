"""Runs the points of a grid that are not finished, in batches, and keeps each as it comes."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol

from patronus.sim.crew import Orders
from patronus.sim.footprint import RoomError
from patronus.sim.language import ScenarioError
from patronus.sim.sweep.grid import Grid, Point
from patronus.sim.sweep.identity import identity
from patronus.sim.sweep.ledger import BLOCK
from patronus.sim.sweep.places import Place
from patronus.sim.sweep.points import FAILED, Batch, Record, Task, failure, mistaken, spread_out

BATCH_S: Final = 2.0
"""Time of the processor that a batch is meant to take. Handing out and keeping one takes some
10 ms of all processes together; a kill loses no more than a batch of each worker."""

BATCH_MOST: Final = 100

DIED: Final = "the worker that ran it died, and so did others; perhaps of too little memory"

Told = Callable[[int], None]
"""Told how many points are finished."""


class Keeper(Protocol):
    """What keeps records: a ledger, or a list."""

    def keep(self, records: tuple[Record, ...]) -> None:
        """Keep the records of some points of one block."""
        ...


@dataclass
class Pace:
    """How long points take, to make batches of them."""

    mean_s: float = BATCH_S
    """Of late."""

    def learn(self, records: Collection[Record]) -> None:
        """See how long some points took."""
        # By the clock, a busy machine would make many small batches, and be busier still.
        took = [min(r.wall_s, r.cpu_s) for r in records if not r.failed]
        if took:
            self.mean_s += (sum(took) / len(took) - self.mean_s) / 2

    def size(self, left: int, workers: int) -> int:
        """Return of how many points the next batch should be made.

        Towards the end batches become smaller, so that the workers end together.
        """
        wanted = int(BATCH_S / max(self.mean_s, BATCH_S / BATCH_MOST))
        return max(1, min(wanted, left // (2 * workers)))


@dataclass
class Conductor:
    """Hands out points and takes in records."""

    grid: Grid
    place: Place
    keeper: Keeper
    finished: bytearray
    """By point: whether it need not run."""
    told: Told | None = None
    pace: Pace = field(default_factory=Pace)
    done: int = 0
    """Points finished, those kept from before among them."""
    failed: int = 0
    work_s: float = 0.0
    """Time of the runs themselves, added up."""
    cpu_s: float = 0.0
    peak_mb: int = 0

    def run(self) -> None:
        """Run all points that are left.

        Raises:
            SweepError: the cluster is gone.
            FolderError: records cannot be kept.
            KeyboardInterrupt: Ctrl-C.
            All of them leave the points finished until then kept.
        """
        self.done = sum(self.finished)
        batches = self._batches()
        again: deque[Batch] = deque()
        while True:
            while self.place.room > 0:
                batch = again.popleft() if again else next(batches, None)
                if batch is None:
                    break
                self.place.submit(batch)
            if not self.place.busy:
                return
            batch, records = self.place.wait()
            if records is None and len(batch.tasks) > 1:
                # One of them kills its worker; the others are not to suffer for it.
                again.extend(spread_out(batch))
            else:
                self._take(records or (failure(batch.tasks[0], DIED),))

    def _batches(self) -> Iterator[Batch]:
        """Yield batches, none across blocks of the ledger, of cases that can be loaded."""
        mine = identity()
        tasks: list[Task] = []
        size = 0
        for task in self._tasks():
            if tasks and (len(tasks) >= size or task.number // BLOCK != tasks[0].number // BLOCK):
                yield Batch(tuple(tasks), mine)
                tasks = []
            if not tasks:
                left = len(self.finished) - task.number
                size = self.pace.size(left, self.place.workers or 1)
            tasks.append(task)
        if tasks:
            yield Batch(tuple(tasks), mine)

    def _tasks(self) -> Iterator[Task]:
        for case in range(self.grid.cases):
            points = [p for p in self.grid.points(case) if not self.finished[p.number]]
            if not points:
                continue
            orders, why = self._orders(case)
            if orders is None:
                self._refuse(points, why)
                continue
            own = orders.scenario.seed
            for number, _, seed in points:
                yield Task(number, own if seed < 0 else seed, orders)

    def _refuse(self, points: Sequence[Point], why: str) -> None:
        for _, together in groupby(points, lambda point: point.number // BLOCK):
            self._take(tuple(Record(p.number, p.seed, FAILED, error=why) for p in together))

    def _orders(self, case: int) -> tuple[Orders | None, str]:
        try:
            orders = self.grid.orders(case)
            self.place.memory.check([orders.scenario])
        except ScenarioError as error:
            return None, mistaken(error)
        except RoomError as error:
            return None, str(error)
        return orders, ""

    def _take(self, records: tuple[Record, ...]) -> None:
        self.keeper.keep(records)
        self.pace.learn(records)
        self.done += len(records)
        self.failed += sum(record.failed for record in records)
        self.work_s += sum(record.wall_s for record in records)
        self.cpu_s += sum(record.cpu_s for record in records)
        self.peak_mb = max(self.peak_mb, *(record.peak_mb for record in records))
        if self.told is not None:
            self.told(self.done)
