"""Ten bugs for the fuzzer to find: each one piece of the engine's text replaced.

They sit in the seams between modules, where what one part forgets to tell another shows
only when two faults meet. :func:`planted` puts one into the running program and takes
it out again.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, Final

from tests.mutants.harness import mutant


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug."""

    name: str
    module: str
    old: str
    new: str
    does: str
    """What goes wrong with it."""


BUGS: Final = (
    Bug(
        "latch-after-pause", "patronus.engine.tunnels",
        "down = self.fall(rows[~heard | (up & latched)], Input.EXPIRE, now_ns)",
        "down = self.fall(rows[~heard], Input.EXPIRE, now_ns)",
        "a tunnel that blinked while the agent stood still keeps its latch for ever",
    ),
    Bug(
        "latch-of-last-resort", "patronus.engine.engine",
        "self._rise(self.tunnels.admit(unproven, now_ns))",
        "self._attention.tunnels(self.tunnels.admit(unproven, now_ns))",
        "a tunnel let up since there is no other keeps its latch",
    ),
    Bug(
        "deaf-class", "patronus.engine.knowledge",
        "return lost, (was != now).any(axis=1) | (had != has), moved",
        "return lost, (was != now)[:, :1].any(axis=1) | (had != has), moved",
        "what a transit site offers again is news only if the first class may use it",
    ),
    Bug(
        "settled-for-good", "patronus.engine.tunnels",
        "        self.settled[rows] = False\n        self.damper.up(rows, now_ns)",
        "        self.damper.up(rows, now_ns)",
        "a transit site whose tunnels were down for long once never waits for the others again",
    ),
    Bug(
        "fate-of-yesterday", "patronus.engine.engine",
        "        self.tunnels.reroute(rows, fates)\n        self._attention.tunnels(rows)",
        "        self.tunnels.reroute(rows, fates)",
        "backups stay as they were when their provider routes another way: they share fate",
    ),
    Bug(
        "short-hold", "patronus.engine.damping",
        "holds: I64 = np.left_shift(self._damping.hold_ns, flaps)",
        "holds: I64 = np.left_shift(self._damping.hold_ns, np.maximum(flaps - 1, 0))",
        "the hold is that of one flap less",
    ),
    Bug(
        "proof-through-silence", "patronus.engine.tunnels",
        "self.init_ns[rows[waiting]] = np.maximum(self.init_ns[rows], since_ns)[waiting]",
        "self.init_ns[rows[waiting]] = np.minimum(self.init_ns[rows], since_ns)[waiting]",
        "after a pause a tunnel's proof counts from before it fell silent",
    ),
    Bug(
        "second-home",
        "patronus.engine.attention",
        "self.marked[src[np.isin(dst, destination.sites)], number] = True",
        "self.marked[src[np.isin(dst, destination.sites[:1])], number] = True",
        "a tunnel to the second site of a destination comes back, and nobody looks at it",
    ),
    Bug(
        "drained-for-good", "patronus.engine.engine",
        "        self.drained[rows] = on\n        self._attention.tunnels(rows)",
        "        self.drained[rows] = on",
        "nobody looks at a tunnel whose drain is over",
    ),
    Bug(
        "nobody-misses-it", "patronus.engine.engine",
        "self._attention.sites(self._transit.misses(*stale))",
        "self._transit.misses(*stale)",
        "ways through a site that is not heard any more stay in use",
    ),
)  # fmt: skip


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Let the program have a bug.

    Functions of the module and of its classes are replaced, wherever they were imported;
    what they return is none the wiser.
    """
    module = import_module(bug.module)
    broken = mutant(module, bug.old, bug.new)
    swaps = [*_of_classes(module, broken), *_of_module(module, broken)]
    try:
        for holder, name, _, new in swaps:
            setattr(holder, name, new)
        yield
    finally:
        for holder, name, old, _ in swaps:
            setattr(holder, name, old)


Swap = tuple[Any, str, Any, Any]


def _of_classes(module: ModuleType, broken: ModuleType) -> Iterator[Swap]:
    for cls in _mine(module, type):
        for name, old in vars(cls).items():
            if isinstance(old, FunctionType | property) and name in vars(
                vars(broken)[cls.__name__]
            ):
                yield cls, name, old, vars(vars(broken)[cls.__name__])[name]


def _of_module(module: ModuleType, broken: ModuleType) -> Iterator[Swap]:
    for old in _mine(module, FunctionType):
        name = str(old.__name__)
        for holder in [m for key, m in sys.modules.items() if key.startswith("patronus")]:
            if vars(holder).get(name) is old:
                yield holder, name, old, vars(broken)[name]


def _mine(module: ModuleType, kind: type) -> Sequence[Any]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, kind) and getattr(value, "__module__", "") == module.__name__
    ]
