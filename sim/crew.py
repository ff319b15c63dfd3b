"""Runs shared out among worker processes; who ran what changes nothing.

Workers are started afresh (spawn): a fork would copy the threads' locks of the
libraries as they happen to be. Each is told the scenarios once, a task is a
number and a seed, and runs come back in the order asked for.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from patronus.sim.api import run
from patronus.sim.run import Run
from patronus.sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Orders:
    """What to run, but for the seed; arguments as of ``patronus.sim.run``."""

    scenario: Scenario
    until_ns: int | None = None
    trace: str | None = None
    lazy: bool | None = None

    @property
    def end_ns(self) -> int:
        """When a run of it ends, in time of the scenario."""
        duration_ns = self.scenario.duration_ns
        return duration_ns if self.until_ns is None else min(self.until_ns, duration_ns)

    def carry_out(self, seed: int, progress: Callable[[int], None] | None = None) -> Run:
        """Run it under one seed."""
        return run(
            self.scenario,
            seed,
            until_ns=self.until_ns,
            trace=self.trace,
            progress=progress,
            lazy=self.lazy,
        )


class CrewError(RuntimeError):
    """A worker process died, usually because the machine had no memory left."""


class Crew:
    """Runs scenarios: here with one job, in worker processes with more.

    A context manager; leaving it early stops the workers, since a run under way
    cannot be asked to end.
    """

    def __init__(
        self,
        orders: Sequence[Orders],
        *,
        jobs: int = 1,
        progress: Callable[[Orders, int], None] | None = None,
    ) -> None:
        """Prepare to run; workers start with their first task.

        Args:
            orders: runs are asked for by their position here.
            jobs: how many at a time.
            progress: told the time that a run has reached, in workers its end alone.
        """
        self._orders = tuple(orders)
        self.jobs = max(1, jobs)
        self._progress = progress
        self._futures: dict[tuple[int, int], Future[Run]] = {}
        self._others = set(multiprocessing.active_children())
        self._pool: ProcessPoolExecutor | None = None
        if jobs > 1:
            self._pool = ProcessPoolExecutor(
                jobs,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_arrive,
                initargs=(self._orders,),
            )

    def start(self, number: int, seeds: Sequence[int]) -> None:
        """Let workers begin with what will be asked for later."""
        if self._pool is not None:
            for seed in seeds:
                with _alive():
                    self._futures[number, seed] = self._pool.submit(_work, number, seed)

    def runs(self, number: int, seeds: Sequence[int]) -> Iterator[Run]:
        """Yield the runs of some seeds in their order.

        Raises:
            CrewError: a worker died.
        """
        orders = self._orders[number]
        self.start(number, [seed for seed in seeds if (number, seed) not in self._futures])
        for seed in seeds:
            done = self._here(orders, seed) if self._pool is None else self._there(number, seed)
            if self._progress is not None:
                self._progress(orders, orders.end_ns)
            yield done

    def _here(self, orders: Orders, seed: int) -> Run:
        told = self._progress
        return orders.carry_out(seed, None if told is None else lambda ns: told(orders, ns))

    def _there(self, number: int, seed: int) -> Run:
        with _alive():
            return self._futures.pop((number, seed)).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        if kind is None and not self._futures:
            self._pool.shutdown()
            return
        mine = [child for child in multiprocessing.active_children() if child not in self._others]
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in mine:
            worker.kill()
        for worker in mine:
            worker.join()


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        why = "a worker process died; perhaps there is not enough memory for so many jobs"
        raise CrewError(why) from error


_orders: tuple[Orders, ...] = ()


def _arrive(orders: tuple[Orders, ...]) -> None:
    global _orders  # noqa: PLW0603  # a worker's own memory is how it is told things once
    serve()
    _orders = orders


def serve() -> None:
    """Make this process a worker: it ends with the one that started it, and not by itself."""
    # Signals reach every process of a terminal or a job; the one that was started decides.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End with the process that started this one, also when that was killed outright."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(number: int, seed: int) -> Run:
    return _orders[number].carry_out(seed)
