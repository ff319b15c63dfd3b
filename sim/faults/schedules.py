"""When a fault is there: once, repeatedly, or at keyed random times.

Times come from the fault's name and the seed alone, so no other fault and no
site moves them.
"""

from collections.abc import Iterable, Iterator
from itertools import count, islice, takewhile
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.fingerprint import name_key
from patronus.engine.units import NEVER
from patronus.sim.faults.selectors import FaultError
from patronus.sim.luck import exponential_ns, object_keys, words
from patronus.sim.scenario import FaultKind, FaultSpec

MOST: Final = 100_000
"""Occurrences of one fault; more is a mistake in its schedule."""

_AT_ONCE: Final = 64


class Happening(NamedTuple):
    """From when until when (``NEVER``: not undone)."""

    start_ns: int
    end_ns: int


def happenings(fault: FaultSpec, end_ns: int, seed: int) -> list[Happening]:
    """Return when a fault happens before the scenario ends, in order.

    A flapping link happens once each time that it is down.

    Raises:
        FaultError: a time that makes no sense, or too many occurrences.
    """
    _check(fault)
    spans: Iterable[Happening] = _planned(fault, seed)
    if fault.schedule.times:
        spans = islice(spans, fault.schedule.times)
    spans = takewhile(lambda span: span.start_ns < end_ns, spans)
    if fault.kind is FaultKind.FLAPPING:
        spans = (down for span in spans for down in _flaps(fault, span, end_ns))
    found = list(islice(spans, MOST + 1))
    if len(found) > MOST:
        raise FaultError(fault, f"happens more than {MOST} times before the end")
    return found


def _check(fault: FaultSpec) -> None:
    schedule = fault.schedule
    if schedule.at_ns < 0 or schedule.for_ns <= 0:
        raise FaultError(fault, "begins before the scenario or lasts no time")
    if min(schedule.every_ns, schedule.random_mean_ns, schedule.times) < 0:
        raise FaultError(fault, "repeats after a negative time or a negative number of times")
    if schedule.every_ns and schedule.random_mean_ns:
        raise FaultError(fault, "repeats both regularly and at random; choose one")
    if schedule.times != 1 and not (schedule.every_ns or schedule.random_mean_ns):
        raise FaultError(fault, "is to repeat but says neither every how long nor at random")


def _planned(fault: FaultSpec, seed: int) -> Iterator[Happening]:
    schedule = fault.schedule
    if schedule.random_mean_ns:
        yield from _random(fault, seed)
    elif schedule.every_ns:
        for i in count():
            yield _lasting(schedule.at_ns + i * schedule.every_ns, schedule.for_ns)
    else:
        yield _lasting(schedule.at_ns, schedule.for_ns)


def _random(fault: FaultSpec, seed: int) -> Iterator[Happening]:
    # The gap is counted from the end of the one before: a fault does not overlap itself.
    free_ns = fault.schedule.at_ns
    for gap_ns in _gaps(fault, seed):
        span = _lasting(free_ns + gap_ns, fault.schedule.for_ns)
        yield span
        free_ns = span.end_ns


def _gaps(fault: FaultSpec, seed: int) -> Iterator[int]:
    # Drawn many at a time, for speed alone.
    key = object_keys(seed, "schedule", np.array([name_key(fault.name)], dtype=np.uint64))
    for first in count(step=_AT_ONCE):
        word = words(np.repeat(key, _AT_ONCE), np.arange(first, first + _AT_ONCE))
        yield from exponential_ns(word, fault.schedule.random_mean_ns).tolist()


def _lasting(start_ns: int, for_ns: int) -> Happening:
    return Happening(start_ns, min(start_ns + for_ns, NEVER))


def _flaps(fault: FaultSpec, span: Happening, end_ns: int) -> Iterator[Happening]:
    for start_ns in range(span.start_ns, min(span.end_ns, end_ns), fault.down_ns + fault.up_ns):
        yield Happening(start_ns, min(start_ns + fault.down_ns, span.end_ns))
