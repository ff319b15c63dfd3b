"""What a gauge is: it watches all occurrences of one fault, each at its three times.

A slot is only a batch of work, so nothing that is counted may depend on its width. What
is chosen once for a while (tunnels, entries) is chosen on the grid of 100 ms.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from patronus.sim.gauging.evidence import Reading
from patronus.sim.gauging.spans import Patience, Spans, spans_of
from patronus.sim.timeline import Occurrence


class Gauge(ABC):
    """Watches one fault."""

    def __init__(
        self,
        occurrences: Sequence[Occurrence],
        patience: Callable[[Occurrence], Patience],
        end_ns: int,
    ) -> None:
        """Take the occurrences of one fault, in order, and the end of the run."""
        self.occurrences, self.end_ns = occurrences, end_ns
        self.spans = [spans_of(o, patience(o), end_ns) for o in occurrences]
        begin = [s.before.from_ns for s in self.spans]
        finish = [max(span.until_ns for span in s) for s in self.spans]
        # Occurrences of one fault follow each other, so both are ascending.
        self._begin = np.array(begin, dtype=np.int64)
        self._finish = np.array(finish, dtype=np.int64)

    def near(self, start_ns: int, until_ns: int) -> Iterator[tuple[Occurrence, Spans]]:
        """Yield the occurrences that are measured in a slot."""
        low = int(np.searchsorted(self._finish, start_ns, side="right"))
        high = int(np.searchsorted(self._begin, until_ns, side="left"))
        for at in range(low, high):
            yield self.occurrences[at], self.spans[at]

    def undone(self, occurrence: Occurrence) -> bool:
        """Tell whether an occurrence ends within the run."""
        return occurrence.end_ns < self.end_ns

    @abstractmethod
    def see(self, start_ns: int, until_ns: int) -> None:
        """Measure in a slot that has ended."""

    @abstractmethod
    def reading(self, occurrence: Occurrence) -> Reading:
        """Return what was measured of an occurrence."""
