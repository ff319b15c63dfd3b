"""A process that brings a world to rest once and forks a child for each failure.

A fork is an exact copy, so what differs afterwards is the failure's doing alone. It would
also copy the locks of threads as they happen to be; hence a process of its own, started
afresh, in which there are none.

Children write their result to a pipe and leave. One that dies is told of, never left out.
Whoever started all this may go away at any time: the nursery sees the end of its pipe, and
children see that the nursery is gone.
"""

import gc
import os
import pickle
import resource
import signal
import traceback
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from time import perf_counter
from typing import TypeAlias

import numpy as np

from patronus.engine.units import SECOND
from patronus.sim.api import plan
from patronus.sim.whatif.failures import Failure
from patronus.sim.whatif.harvest import Child, Manner, rehearse
from patronus.sim.whatif.orders import T0_NS, Orders
from patronus.sim.whatif.outcome import Baseline, Died, Result, baseline
from patronus.sim.wire import WINDOW_NS
from patronus.sim.world import Halt, Stop, World


@dataclass(frozen=True, slots=True)
class Warming:
    """The world has come so far, from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The overlay is at rest, and these are its failures."""

    failures: tuple[Failure, ...]
    sites: int
    tunnels: int
    flows: int
    classes: tuple[str, ...]
    ready_s: float
    """What building and warming up took, and the run without a failure."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The study cannot be made."""

    error: BaseException
    trace: str


@dataclass(frozen=True, slots=True)
class Finished:
    """All children have been heard of."""

    peak_mb: int
    """Of the nursery, most of which the children share."""
    child_mb: int
    """Of the largest child, with what it shares."""


Message: TypeAlias = Warming | Plan | Result | Broken | Finished


class NotConverged(Exception):
    """The warm-up was too short."""


def nursery(parent: Connection, orders: Orders) -> None:
    """Make a study and tell of it through a pipe; the main function of the process."""
    os.setpgid(0, 0)  # Ctrl-C is meant for whoever started us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _Nursery(parent, orders).run()
    except (BrokenPipeError, EOFError):
        return
    except BaseException as error:  # noqa: BLE001  # told to the parent, whatever it is
        parent.send(Broken(error, traceback.format_exc()))


class _Nursery:
    """The state of the process; in a child it is the child's."""

    def __init__(self, parent: Connection, orders: Orders) -> None:
        self._parent, self._orders = parent, orders
        self._began = perf_counter()
        self._journal: list[bytes] = []
        self._manner = Manner(T0_NS, orders.full, orders.whole, orders.expectations)
        self._world = _build(orders, self._journal)
        self._failures = orders.failures(self._world.network)
        if not orders.whole:
            self._world.measurement.harm.among = np.unique(self._world.load.entries)
        self._running: dict[Connection, tuple[int, str]] = {}
        """Children by their pipes: process and failure."""
        self._pid = os.getpid()
        self._out: Connection | None = None
        """The pipe of a child, None in the nursery."""
        self._failure: Failure | None = None
        """That of a child; the child without one is what the others are compared with."""
        self._base: Baseline | None = None
        self._child: Child | None = None

    def run(self) -> None:
        """Bring the world to rest and raise the children; returns in the nursery alone."""
        try:
            stop = self._world.run(progress=self._at)
            if self._out is not None:
                self._out.send(self._result(stop))
        except BaseException as error:
            if self._out is None:
                raise
            self._out.send(Died(self._id, _last_words(error)))
        finally:
            if self._out is not None:
                os._exit(0)
            for pid, _ in self._running.values():
                os.kill(pid, signal.SIGKILL)

    @property
    def _id(self) -> str:
        return self._failure.id if self._failure is not None else ""

    def _result(self, stop: Stop) -> object:
        if self._child is not None:
            return self._child.outcome(stop, self._journal)
        return baseline(self._world)

    def _at(self, now_ns: int) -> None:
        """A slot begins, in whichever process this is."""
        if self._out is not None:
            if os.getppid() != self._pid:
                os._exit(1)  # nobody is there to be told
            if self._child is not None:
                self._child.look(now_ns)
        elif now_ns % WINDOW_NS or self._world.wire.horizon_ns + WINDOW_NS <= T0_NS:
            # As late as can be: a failure must not meet what is worked out already.
            if now_ns % SECOND == 0:
                begin_ns = self._world.begin_ns
                self._parent.send(Warming((now_ns - begin_ns) / (T0_NS - begin_ns)))
        else:
            self._raise_all()
            if self._failure is not None and self._base is not None:
                self._child = Child(self._world, self._failure, self._manner, self._base)

    # ------------------------------------------------------------ the nursery's own part

    def _raise_all(self) -> None:
        """Fork a child for each failure; returns in the children alone.

        Raises:
            Halt: in the nursery, at the end.
            NotConverged: the warm-up was too short.
        """
        self._world.prober.by_blocks.rest()  # a child would not have its threads
        rehearse(self._world)
        gc.collect()
        gc.freeze()  # else each child would copy every page that holds an object
        if self._fork(None):
            return
        self._base = self._await_baseline()
        if not self._base.converged:
            raise NotConverged
        self._parent.send(self._plan())
        waiting = iter(self._failures)
        while True:
            for failure in islice(waiting, max(0, self._orders.jobs - len(self._running))):
                if self._fork(failure):
                    return
            if not self._running:
                break
            for ready in wait([*self._running, self._parent]):
                assert isinstance(ready, Connection)
                self._hear(ready)
        usage = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        self._parent.send(Finished(*(resource.getrusage(u).ru_maxrss >> 10 for u in usage)))
        raise Halt

    def _plan(self) -> Plan:
        world = self._world
        return Plan(
            tuple(self._failures),
            len(world.overlay.sites),
            world.overlay.rows,
            len(world.load.entries),
            tuple(c.name for c in world.scenario.policy.classes),
            perf_counter() - self._began,
        )

    def _fork(self, failure: Failure | None) -> bool:
        """Tell whether this is the new child."""
        reader, writer = Pipe(duplex=False)
        pid = os.fork()
        if pid:
            writer.close()
            self._running[reader] = pid, failure.id if failure is not None else ""
            return False
        for connection in (reader, self._parent, *self._running):
            connection.close()
        self._running.clear()
        self._out, self._failure = writer, failure
        return True

    def _await_baseline(self) -> Baseline:
        """Return what the child without a failure tells.

        Raises:
            RuntimeError: it has died.
        """
        (reader,) = self._running
        while reader not in wait([reader, self._parent]):
            self._parent.recv_bytes()  # it says nothing, so it is gone
        told, status = self._reap(reader)
        heard: Baseline | Died = pickle.loads(told) if told else Died("", _why(status))
        if isinstance(heard, Died):
            raise RuntimeError(f"the run without a failure came to no end: {heard.why}")
        return heard

    def _hear(self, reader: Connection) -> None:
        """Pass on what a child has to say, or that it has died."""
        if reader is self._parent:
            reader.recv_bytes()  # it says nothing, so it is gone
        name = self._running[reader][1]
        told, status = self._reap(reader)
        if told:
            self._parent.send_bytes(told)
        else:
            self._parent.send(Died(name, _why(status)))

    def _reap(self, reader: Connection) -> tuple[bytes, int]:
        """Return a child's last message, empty if it left none, and its exit status."""
        pid, _ = self._running.pop(reader)
        told = b""
        with suppress(EOFError, OSError):
            told = reader.recv_bytes()
        reader.close()
        return told, os.waitpid(pid, 0)[1]


def _build(orders: Orders, journal: list[bytes]) -> World:
    try:
        return World(orders.scenario, orders.seed, sink=journal.append)
    except ValueError:
        plan(orders.scenario, orders.seed)  # says what the scenario is to blame for
        raise


def _why(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"its process ended with {code} and said nothing"
    perhaps = "; perhaps there is not enough memory for so many jobs" if code == -9 else ""
    return f"its process was ended by {signal.Signals(-code).name}{perhaps}"


def _last_words(error: BaseException) -> str:
    words = str(error) or "no more is known"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno}: {words}"
