"""One sweep from what is kept of it to its table: the steps of the verb and the command."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Any, Final, Protocol

import pyarrow as pa

from patronus.sim.scenario import Scenario
from patronus.sim.sweep.conduct import Conductor, Keeper
from patronus.sim.sweep.grid import Grid
from patronus.sim.sweep.ledger import SUMMARY, TABLE, Ledger
from patronus.sim.sweep.places import PATIENCE_S, Cluster, Here, Place
from patronus.sim.sweep.points import Record
from patronus.sim.sweep.table import Table, names_in, write

SHOWN: Final = 20
"""Failed points that the summary names; the table holds all."""

Told = Callable[[int, int], None]
"""Told how many points are finished, and of how many."""


class Store(Keeper, Protocol):
    """Keeps records and gives them back."""

    def blocks(self) -> Iterator[list[Record]]:
        """Yield all records, in the order of the points, so many at a time."""
        ...


class Memory:
    """A store that lasts as long as somebody wants it."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}

    def keep(self, records: Sequence[Record]) -> None:
        """Keep some records."""
        self._records |= {record.number: record for record in records}

    def blocks(self) -> Iterator[list[Record]]:
        """Yield all of them at once."""
        yield [self._records[number] for number in sorted(self._records)]


class Study:
    """The points of a grid and what is known of them."""

    def __init__(self, grid: Grid, store: Store) -> None:
        """See what is finished already; what failed before is tried again."""
        self.grid, self.store = grid, store
        self.finished = bytearray(len(grid))
        for records in store.blocks():
            for record in records:
                self.finished[record.number] = not record.failed
        self.kept = sum(self.finished)
        """Points that need not run."""
        self.conductor: Conductor | None = None
        self.workers = 0
        self.began_s = perf_counter()

    @property
    def left(self) -> int:
        """Points that have to run."""
        return len(self.grid) - self.kept

    @property
    def done(self) -> int:
        """Points that are finished by now."""
        return self.kept if self.conductor is None else self.conductor.done

    def run(self, place: Place, witnesses: Sequence[Scenario], told: Told | None = None) -> None:
        """Run what is left.

        Args:
            place: where.
            witnesses: of the grid; each has to fit into the memory that a worker has.
            told: called when points are finished.

        Raises:
            RoomError: one does not; nothing was run.
            SweepError, FolderError, KeyboardInterrupt: what was finished until then is kept.
        """
        total = len(self.grid)
        self.workers = place.workers
        place.memory.check(witnesses)
        self.conductor = Conductor(
            self.grid, place, self.store, self.finished,
            None if told is None else lambda done: told(done, total),
        )  # fmt: skip
        self.conductor.run()

    def table(self) -> pa.Table:
        """Return the table of all points in memory."""
        table = Table(self.grid, names_in(self.store.blocks()))
        parts = [table.of(records) for records in self.store.blocks()]
        return pa.concat_tables([table.schema.empty_table(), *parts])


def place(workers: int | str, patience_s: float = PATIENCE_S) -> "AbstractContextManager[Place]":
    """Return where to run: here (1), on processes of our own, or at the address of a scheduler.

    Raises:
        SweepError: Dask is not installed, or nobody answers.
    """
    if workers == 1:
        return Here()
    return Cluster(workers, patience_s=patience_s)


def finish(study: Study, ledger: Ledger) -> dict[str, Any]:
    """Write the table and the summary of a sweep whose points are all there.

    Returns:
        The summary: ``points``, ``done``, ``failed``, ``kept``, ``verdicts``, the first
        ``failures``, ``table_sha256``, and what it took.

    Raises:
        FolderError: something cannot be written; the points stay kept.
    """
    verdicts: Counter[str] = Counter()
    failures: list[Record] = []
    failed = 0

    def counted() -> Iterator[list[Record]]:
        nonlocal failed
        for records in ledger.blocks():
            for record in records:
                if record.figures is not None:
                    verdicts[str(record.figures["verdict"])] += 1
                    continue
                failed += 1
                if len(failures) < SHOWN:
                    failures.append(record)
            yield records

    table = Table(study.grid, names_in(ledger.blocks()))
    with ledger.filling(TABLE) as partial:
        write(table, counted(), partial)
        sha256 = hashlib.sha256(partial.read_bytes()).hexdigest()
    conductor = study.conductor
    summary = {
        "points": len(study.grid),
        "done": len(study.grid) - failed,
        "failed": failed,
        "kept": study.kept,
        "verdicts": dict(sorted(verdicts.items())),
        "failures": [_failure(study.grid, record) for record in failures],
        "table": TABLE,
        "table_sha256": sha256,
        "workers": study.workers,
        "wall_s": round(perf_counter() - study.began_s, 3),
        "work_s": round(conductor.work_s, 3) if conductor else 0.0,
        "work_cpu_s": round(conductor.cpu_s, 3) if conductor else 0.0,
        "peak_rss_mb": conductor.peak_mb if conductor else 0,
    }
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False)
    ledger.write(SUMMARY, f"{text}\n".encode())
    return summary


def _failure(grid: Grid, record: Record) -> dict[str, Any]:
    case = record.number // max(1, len(grid.seeds))
    return {
        "point": record.number,
        "file": grid.drafts[grid.case(case).draft].name,
        "settings": list(grid.settings_of(case)),
        "seed": record.seed,
        "error": record.error,
    }
