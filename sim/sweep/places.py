"""Where points run: in this process, or on a Dask cluster, ours or somebody else's.

A place takes a few batches at a time and gives back their records, in any order. It has
no say in what the records are.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self
from uuid import uuid4

from patronus.sim.footprint import NO_LIMIT, Memory, free, shared
from patronus.sim.sweep.points import Batch, Record, StrangerError, work

if TYPE_CHECKING:  # importing Dask takes longer than many a command
    from distributed import Client, Future, Worker

PATIENCE_S: Final = 5.0
"""A scheduler answers within this, or is taken for absent."""

ALONE_S: Final = 30.0
"""So long a cluster may be without any worker in the middle of a sweep."""

AHEAD: Final = 3
"""Batches at each worker: one that runs, and two so that it never waits for more."""

_QUIET: Final = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.system-monitor.interval": "10s",
}
"""Dask watches itself for its dashboard, which nobody sees here: two idle workers took 9 % of a
core, and take 1 % so."""

_LOOK_S: Final = 1.0
"""How often a cluster is asked for its workers."""


class SweepError(RuntimeError):
    """A sweep cannot go on, and its points are not to blame; the message says why."""


class NoClusterError(SweepError):
    """There is nobody to run the points; none was run."""


class Answer(NamedTuple):
    """What came of a batch."""

    batch: Batch
    records: tuple[Record, ...] | None
    """None: its workers died, one after the other."""


class Place(Protocol):
    """What runs batches."""

    @property
    def workers(self) -> int:
        """How many points run at a time."""
        ...

    @property
    def memory(self) -> Memory:
        """What there is for each of these."""
        ...

    @property
    def room(self) -> int:
        """How many more batches it should be given now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether there is an answer to wait for."""
        ...

    def submit(self, batch: Batch) -> None:
        """Take a batch."""
        ...

    def wait(self) -> Answer:
        """Return an answer, when there is one.

        Raises:
            SweepError: there will be none.
        """
        ...


class Here:
    """This process, one batch at a time, by Dask's synchronous scheduler."""

    workers = 1

    def __init__(self) -> None:
        """Prepare.

        Raises:
            SweepError: Dask is not installed.
        """
        with _dask():
            from dask.local import get_sync
        self._get = get_sync
        self._batch: Batch | None = None

    @property
    def memory(self) -> Memory:
        """What this machine has left."""
        return shared(1)

    @property
    def room(self) -> int:
        """One batch, if there is none."""
        return 0 if self._batch else 1

    @property
    def busy(self) -> bool:
        """Whether there is a batch."""
        return self._batch is not None

    def submit(self, batch: Batch) -> None:
        """Take a batch; it runs when it is waited for."""
        self._batch = batch

    def wait(self) -> Answer:
        """Run the batch."""
        batch, self._batch = self._batch, None
        assert batch is not None
        return Answer(batch, self._get({"batch": (work, batch)}, "batch"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Cluster:
    """A cluster of Dask workers; a context manager.

    A worker that dies costs time: its batches run on others. Dask gives a batch up when
    it has seen several workers die with it.
    """

    def __init__(self, workers: int | str, *, patience_s: float = PATIENCE_S) -> None:
        """Start a cluster of our own, or connect to the scheduler at an address.

        Args:
            workers: processes of our own, which end with this one; or an address such as
                ``tcp://10.0.0.1:8786``.
            patience_s: how long the scheduler and its first worker may take.

        Raises:
            SweepError: Dask is not installed, or nobody answers.
        """
        self._answers: SimpleQueue[Future] = SimpleQueue()
        self._running: dict[Future, Batch] = {}
        self._given, self._mine = 0, uuid4().hex
        self._looked_s = self._manned_s = monotonic()
        with _dask():
            import distributed
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._given_up: type[BaseException] = distributed.KilledWorker
        with ExitStack() as stack:
            theirs = _connected(workers, patience_s) if isinstance(workers, str) else None
            opened = theirs or _own(int(workers))
            self._client = stack.enter_context(opened)
            self.workers = self._first(patience_s)
            self.memory = self._memory()
            self._stack = stack.pop_all()

    def _first(self, patience_s: float) -> int:
        with suppress(TimeoutError):
            self._client.wait_for_workers(1, timeout=patience_s)
        count = self._count()
        address = self._client.scheduler.addr
        if not count:
            raise NoClusterError(
                f"the scheduler at {address} answers but has no worker; start some with "
                f"`dask worker {address}`"
            )
        return count

    def _count(self) -> int:
        with _answered():
            return len(self._client.nthreads())

    def _memory(self) -> Memory:
        """Return what the poorest worker has, if all workers of its machine take as much."""
        try:
            told = self._client.run(_room_of)
        except Exception as error:  # Dask sends any error of a worker as this one
            raise NoClusterError(f"the workers cannot run this Patronus: {error}") from error
        machine = [address.rpartition(":")[0] for address in told]
        each = [
            min(limit, left // machine.count(where))
            for where, (left, limit) in zip(machine, told.values(), strict=True)
        ]
        return Memory(min(each), len(each))

    @property
    def room(self) -> int:
        """So many batches that no worker waits."""
        return AHEAD * self.workers - len(self._running)

    @property
    def busy(self) -> bool:
        """Whether there are batches."""
        return bool(self._running)

    def submit(self, batch: Batch) -> None:
        """Send a batch to the cluster."""
        self._given += 1
        first = batch.tasks[0].number
        # A scheduler may serve several sweeps, and takes equal keys for the same result.
        key = f"patronus-{self._mine}-{first}-{self._given}"
        with _answered():
            future = self._client.submit(work, batch, key=key, pure=False)
        self._running[future] = batch
        future.add_done_callback(self._answers.put)

    def wait(self) -> Answer:
        """Return the next answer, whichever worker gives it."""
        while True:
            if monotonic() - self._looked_s >= _LOOK_S:
                self._look()
            with suppress(Empty):
                return self._taken(self._answers.get(timeout=_LOOK_S))

    def _look(self) -> None:
        """See how many workers there are now."""
        self.workers, now = self._count(), monotonic()
        self._looked_s = now
        if self.workers:
            self._manned_s = now
        elif now - self._manned_s > ALONE_S:
            raise SweepError(f"the cluster has had no worker for {ALONE_S:.0f} s")

    def _taken(self, future: "Future") -> Answer:
        batch = self._running.pop(future)
        if future.status in {"cancelled", "lost"}:
            raise SweepError("the scheduler has gone away")
        with _answered():
            error = future.exception()
        if isinstance(error, self._given_up):
            return Answer(batch, None)
        if isinstance(error, StrangerError):
            raise SweepError(f"a worker runs another Patronus: {error}") from error
        if error is not None:
            told = f"{type(error).__name__}: {error}"
            raise SweepError(f"a worker cannot run points: {told}") from error
        with _answered():
            return Answer(batch, future.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError, TimeoutError):
            self._client.cancel(list(self._running))
        self._stack.close()


def _room_of(dask_worker: "Worker") -> tuple[int, int]:
    """Return what the machine of a worker has left, and what the worker may take at most."""
    limit = dask_worker.memory_manager.memory_limit
    return free(), limit or NO_LIMIT


@contextmanager
def _answered() -> Iterator[None]:
    """Say what it means when the scheduler does not answer in the middle of a sweep."""
    try:
        yield
    except (OSError, TimeoutError, CancelledError) as error:
        raise SweepError("the scheduler has gone away") from error


@contextmanager
def _dask() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise NoClusterError(
            "a sweep needs Dask, which is not installed: pip install 'patronus[sweep]'"
        ) from error


@contextmanager
def _connected(address: str, patience_s: float) -> "Iterator[Client]":
    from distributed import Client

    try:
        client = Client(address, timeout=patience_s, set_as_default=False)
    except (OSError, TimeoutError, ValueError, AssertionError) as error:
        # The assertion is Dask's: its own loop did not start within ten seconds.
        raise NoClusterError(
            f"no Dask scheduler answers at {address} within {patience_s:g} s; give the address "
            "that `dask scheduler` prints, such as tcp://10.0.0.1:8786"
        ) from error
    with client:
        yield client


@contextmanager
def _own(jobs: int) -> "Iterator[Client]":
    from dask import config
    from distributed import Client, LocalCluster

    from patronus.sim.sweep.deaf import Deaf

    settings: Mapping[str, Any] = {
        "n_workers": jobs,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": ":0",
        "memory_limit": 0,  # what is needed was estimated before; the system is the judge
        "silence_logs": logging.CRITICAL,
    }
    with (
        config.set(_QUIET),
        LocalCluster(**settings) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(Deaf())
        yield client
