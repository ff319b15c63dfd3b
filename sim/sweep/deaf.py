"""Workers of our own leave it to the process that started them to obey signals."""

import signal

from distributed import Worker, WorkerPlugin


class Deaf(WorkerPlugin):  # type: ignore[misc]  # Dask says nothing of its types
    """Signals reach every process of a terminal or a job; the one that was started decides."""

    name = "patronus-deaf"

    def setup(self, worker: Worker) -> None:
        """Ignore what asks a worker to end; it does when its parent is gone."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
