"""Orders that go wrong, where worker processes can import them."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from patronus.sim.crew import Orders
from patronus.sim.run import Run
from tests.sim.synthetic import make_run


@dataclass(frozen=True, slots=True)
class Invented(Orders):
    """Orders whose runs are made up; one seed kills its worker, breaks, or kills who asked."""

    deadly: int = -1
    broken: int = -1
    orphan: int = -1

    def carry_out(self, seed: int, progress: Callable[[int], None] | None = None) -> Run:
        """Return a run at once."""
        if seed == self.deadly:
            os._exit(1)
        if seed == self.broken:
            raise ZeroDivisionError(f"seed {seed}")
        if seed == self.orphan:
            os.kill(os.getppid(), signal.SIGKILL)
            threading.Event().wait()
        if progress is not None:
            progress(0)
        return make_run(seed, summary={"pid": os.getpid()})
