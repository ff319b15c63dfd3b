"""What happens at one instant happens in one order, whoever asked for it first.

SimPy breaks ties of time by the order in which events were scheduled, which would
make results depend on how they came about. Here every action has a phase and a
key; actions of one (time, phase) are one SimPy event and run in order of keys.
"""

from collections.abc import Callable
from enum import IntEnum

import simpy
from simpy.events import Event, EventPriority

Action = Callable[[], None]


class Phase(IntEnum):
    """Order within an instant; SimPy's priority."""

    MEASURE = 0
    """The slot that ends here is counted, in the world as it was."""
    WIRE = 1
    """The world changes: faults begin and end, agents stop and start."""
    EDGES = 2
    """Stamps go stale or fresh: the kernel moves, then the engine."""
    RELEASE = 3
    """Latches fall by themselves where no agent is."""
    ALARMS = 4
    LEARN = 5
    """Announcements arrive."""
    PROGRAMMED = 6
    """The dataplane has installed what the engine wanted."""
    EVALUATE = 7
    SLOT = 8
    """The slot that begins here is computed ahead."""


class _Instant(Event):
    """A SimPy event that happens once at a given time with a given priority."""

    def __init__(
        self, env: simpy.Environment, place: tuple[int, Phase], run: Callable[[Event], None]
    ) -> None:
        super().__init__(env)
        self.callbacks = [run]
        self._ok, self._value = True, None
        env.schedule(self, priority=EventPriority(int(place[1])), delay=place[0] - int(env.now))


class Agenda:
    """Actions by (time, phase, key) on a SimPy environment."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._waiting: dict[tuple[int, Phase], list[tuple[str | int, Action]]] = {}

    def at(self, t_ns: int, phase: Phase, key: str | int, action: Action) -> None:
        """Run an action at a time, not before now; keys of one (time, phase) are of one type."""
        place = (int(t_ns), phase)
        if place not in self._waiting:
            self._waiting[place] = []
            _Instant(self._env, place, lambda _: self._run(place))
        self._waiting[place].append((key, action))

    def _run(self, place: tuple[int, Phase]) -> None:
        for _, action in sorted(self._waiting.pop(place), key=lambda item: item[0]):
            action()
