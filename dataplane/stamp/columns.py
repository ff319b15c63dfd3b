"""Samples of many sessions, put into the columns that ``Engine.observe`` takes.

The engine takes at most one sample a row in a call, rows ascending. What came in between two
calls is kept here, bounded, and handed out in turns: the first of every row, the second, ...
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from patronus.dataplane.stamp.session import Sample
from patronus.engine.overlay import I64

WAITING_MAX: Final = 256
"""Samples of one row between two calls: 2.5 s at 10 ms."""


class Columns(NamedTuple):
    """One sample of each of some rows; the arguments of ``Engine.observe``."""

    rows: I64
    sent_ns: I64
    reflected_ns: I64
    arrived_ns: I64
    sequence: I64
    heard_count: I64


class Intake:
    """Samples that wait for the engine."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Sample]] = {}
        self.dropped = 0
        """Samples that found their row's queue full; the oldest went."""

    def add(self, row: int, sample: Sample) -> None:
        """Keep a sample until the next call of the engine."""
        queue = self._waiting.setdefault(row, deque(maxlen=WAITING_MAX))
        self.dropped += len(queue) == WAITING_MAX
        queue.append(sample)

    def drain(self) -> Iterator[Columns]:
        """Yield all that waits, in turns."""
        while self._waiting:
            rows = sorted(self._waiting)
            yield _columns(rows, [self._waiting[row].popleft() for row in rows])
            self._waiting = {row: queue for row, queue in self._waiting.items() if queue}


def _columns(rows: list[int], samples: list[Sample]) -> Columns:
    fields = zip(*(sample[:5] for sample in samples), strict=True)
    values = [np.array(field, dtype=np.int64) for field in fields]
    return Columns(np.array(rows, dtype=np.int64), *values)
